"""What the pages of an Ogg file show: streams that were joined, pages that are missing, ends that are stated wrongly.

Each page has a number and the place of its end in the music, so nothing is decoded for it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from tonearm.audio.mpeg import ReadAt

PIECE = 2**17  # larger ones are memory from the system, page by page
HEADER = 27  # bytes, without the table of lengths
#: Flags, place of the end, stream, number.
PAGE = re.compile(rb"OggS\0([\0-\7])(.{8})(.{4})(.{4})", re.DOTALL)
FIRST_PAGE = 2  # the flag of one that begins a stream
OPUS_RATE = 48_000  # Hz, of every Opus stream
LONGEST_PAGE = 60.0  # seconds; 255 packets of Vorbis are 44
UNUSUAL = 3  # times as long as any other page
MOST_PAGES = 10**6  # days of music
SHORTEST_PACKET = 0.0025  # seconds, of Opus; those of other codecs are longer on average


@dataclass(frozen=True)
class OggSurvey:
    """What the pages of a file show.

    Attributes
    ----------
    places
        Where streams begin that were joined, in bytes; the first is that of the file.
    damaged
        Whether pages are missing, or some state an impossible place.
    claimed
        Seconds that the last page states, of a single stream; None if the rate is unknown.
    """

    places: tuple[int, ...]
    damaged: bool
    claimed: float | None


@dataclass
class _Stream:
    """What is known of one stream: its last page's number and place, and how far pages go at most."""

    rate: int
    number: int = 0
    end: int = 0
    longest: int = 0
    last: int = 0


def survey_pages(read_at: ReadAt, start: int, size: int, most: int = MOST_PAGES) -> OggSurvey:
    """Look at the head of each page.

    Parameters
    ----------
    read_at
        Reads some bytes of the file at a place.
    start, size
        Where the Ogg begins, and the bytes of the file.
    most
        Pages that are looked at.
    """
    places, streams, inside, damaged = list[int](), dict[bytes, _Stream](), True, False
    for place, page, data in islice(_pages(read_at, start, size), most):
        flags, end = page[1][0], struct.unpack("<q", page[2])[0]
        (number,) = struct.unpack("<I", page[4])
        if flags & FIRST_PAGE:
            if inside:
                places.append(place)
                streams.clear()
            inside = False
            streams[page[3]] = _Stream(_rate(data[page.start() + HEADER : page.start() + HEADER + 64]), number)
            continue
        inside = True
        stream = streams.get(page[3])
        if stream is None:
            continue  # of no stream that began, or no page at all
        follows, goes_on = number == stream.number + 1, _goes_on(stream, end)
        damaged, stream.number = damaged or not (follows and goes_on), number
    only = next(iter(streams.values())) if len(streams) == 1 else None
    if only is not None and len(places) == 1:
        damaged = damaged or only.last > max(UNUSUAL * only.longest, only.rate) > 0
        return OggSurvey(tuple(places), damaged, only.end / only.rate if only.rate and only.end > 0 else None)
    return OggSurvey(tuple(places), damaged, None)


def _pages(read_at: ReadAt, start: int, size: int) -> Iterator[tuple[int, re.Match[bytes], bytes]]:
    """Each page's place, its head, and bytes with it."""
    for base in range(start, size, PIECE):
        data = read_at(base, PIECE + 128)
        for page in PAGE.finditer(data):
            if page.start() < PIECE:
                yield base + page.start(), page, data


def _goes_on(stream: _Stream, end: int) -> bool:
    """Whether a page can end there, in samples; a page in which no packet ends states -1."""
    if end <= 0:
        return end == -1 or not stream.end
    step = end - stream.end
    if step < 0 or (stream.rate and step > LONGEST_PAGE * stream.rate):
        return False
    stream.longest, stream.last = max(stream.longest, stream.last), step
    stream.end = end
    return True


def _rate(body: bytes) -> int:
    """The samples a second of a stream by its first page; 0 if that is unknown."""
    if b"OpusHead" in body:
        return OPUS_RATE
    place = body.find(b"\x01vorbis")
    if place >= 0 and len(body) >= place + 16:
        return int(struct.unpack("<I", body[place + 12 : place + 16])[0])
    return 0
