"""The frames of an MP3 or raw AAC stream, found by their headers: where the music begins, and how much there is.

An MP3 has no table of contents that could be trusted: the Xing header may be of another file, or missing. The headers
of its frames say how long each is, so a stream can be walked without decoding it, a millisecond for half a minute.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

ReadAt = Callable[[int, int], bytes]
"""Bytes of a file: from a place, so many; fewer at its end."""

CHUNK = 2**17
LONGEST_JUNK = 2**16  # bytes that may be in front of the first frame
MOST_TAGS = 300  # one behind the other
MOST_GAPS = 10_000  # places where frames do not follow each other; a stream with more is noise
FEWEST_FRAMES = 4  # in a row are no accident: each has the right bits at the place that the one before names
LONGEST_FRAME = 2881  # bytes: layer 2, 160 kbit/s at 8 kHz
APE_HEADER = 2**29  # the flag of one that stands in front of its items
ADTS_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
ADTS = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")
HEADER = re.compile(rb"\xff[\xe2-\xff][\x10-\xef]")  # what may be one
VERSIONS = {0: "2.5", 2: "2", 3: "1"}
RATES = {"1": (44_100, 48_000, 32_000), "2": (22_050, 24_000, 16_000), "2.5": (11_025, 12_000, 8_000)}  # Hz
#: kbit/s by the index in the header; the first, "free", says nothing of a frame's length.
KILOBITS = {
    ("1", 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    ("1", 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    ("1", 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    ("2", 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    ("2", 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclass(frozen=True)
class MpegStream:
    """What walking an MP3 found.

    Attributes
    ----------
    start
        Where its first frame begins, in bytes.
    frames
        How many there are.
    seconds
        How long they are together.
    uniform
        Whether they all have one sample rate and one number of channels.
    """

    start: int
    frames: int
    seconds: float
    uniform: bool


def walk_mp3(read_at: ReadAt, start: int, at_most: float = math.inf) -> MpegStream | None:
    """Count the frames of an MP3 from ``start`` on, where a frame begins, up to so many seconds; None if none does.

    Tags and junk between frames (of files that were joined) are skipped, as decoders do.
    """
    lengths, durations = _mp3_tables()
    place, base, data = start, start, read_at(start, CHUNK)
    if not is_chain(data, 0, 1):
        return None
    counts: dict[int, int] = {}
    kinds, seconds = set(), 0.0
    for _ in range(MOST_GAPS):
        i, end = place - base, len(data) - 4
        while i <= end:
            key = data[i + 1] << 8 | data[i + 2]
            length = lengths[key] if data[i] == 0xFF else 0
            if not length:
                break
            counts[key] = counts.get(key, 0) + 1
            kinds.add((data[i + 1], data[i + 2] & 0x0C, data[i + 3] > 0xBF))
            i += length
        place = base + i
        seconds = sum(n * durations[key] for key, n in counts.items())
        if seconds > at_most:
            break
        if i <= end:
            place = _next_frame(read_at, place)
        base, data = place, read_at(place, CHUNK)
        if len(data) < 4:
            break
    return MpegStream(start, sum(counts.values()), seconds, len({(a & 0xFE, b, c) for a, b, c in kinds}) == 1)


def _next_frame(read_at: ReadAt, place: int) -> int:
    """Where frames go on behind a tag or junk; the end of the file if nowhere."""
    while True:
        place = behind_tags(read_at, place)
        data = read_at(place, CHUNK)
        found = first_frame(data, 2)
        if found is not None:
            return place + found
        if len(data) < CHUNK:
            return place + len(data)
        place += CHUNK - LONGEST_FRAME  # look on in the next piece


def behind_tags(read_at: ReadAt, place: int = 0) -> int:
    """Where the first byte behind all ID3v2 and APEv2 tags is that begin at a place; no file has hundreds of them."""
    for _ in range(MOST_TAGS):
        head = read_at(place, 32)
        if head[:8] == b"APETAGEX" and len(head) == 32:
            version, size, _, flags = struct.unpack("<4I", head[8:24])
            if version not in (1000, 2000) or not flags & APE_HEADER:
                return place
            place += 32 + size
            continue
        if len(head) < 10 or head[:3] != b"ID3" or head[3] == 0xFF or max(head[6:10]) > 0x7F:
            return place
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        place += 10 + size + (10 if head[5] & 0x10 else 0)
    return place


def first_frame(data: bytes, frames: int = FEWEST_FRAMES) -> int | None:
    """Where the first MP3 frame begins in some bytes: one with so many in a row. None if nowhere."""
    for tries, match in enumerate(HEADER.finditer(data)):
        if is_chain(data, match.start(), frames):
            return match.start()
        if tries > MOST_GAPS:
            return None
    return None


def first_adts(data: bytes) -> int | None:
    """Where the first frame of raw AAC begins in some bytes: one of several of a kind in a row. None if nowhere."""
    for tries, match in enumerate(ADTS.finditer(data)):
        place, form = match.start(), data[match.start() + 1 : match.start() + 3]
        for _ in range(FEWEST_FRAMES):
            length = adts_length(data[place : place + 7])
            if not length or data[place + 1 : place + 3] != form:
                break
            place += length
        else:
            return match.start()
        if tries > MOST_GAPS:
            return None
    return None


def begins_as_adts(data: bytes) -> bool:
    """Whether some bytes begin with two frames of raw AAC, or with one that they end with."""
    first = adts_length(data[:7])
    return bool(first) and (first + 2 > len(data) or bool(adts_length(data[first : first + 7])))


def adts_length(head: bytes) -> int:
    """Bytes of the frame of raw AAC that begins with these seven; 0 if it is none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 >= len(ADTS_RATES):
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length >= len(head) else 0


def adts_seconds(head: bytes) -> float:
    """Seconds of the frame of raw AAC that begins with these seven bytes; 0 if it is none."""
    return 1024 * (1 + (head[6] & 3)) / ADTS_RATES[head[2] >> 2 & 15] if adts_length(head) else 0.0


def is_chain(data: bytes, place: int = 0, frames: int = FEWEST_FRAMES) -> bool:
    """Whether so many MP3 frames of one rate begin there, one behind the other, or as many as the bytes hold."""
    lengths, _ = _mp3_tables()
    first = data[place : place + 3]
    found = 0
    while found < frames:
        head = data[place : place + 3]
        if len(head) < 3:
            return found > 0 and len(data) < CHUNK and found >= min(frames, 2)
        same = head[1] & 0xFE == first[1] & 0xFE and head[2] & 0x0C == first[2] & 0x0C
        length = lengths[head[1] << 8 | head[2]] if head[0] == 0xFF and same else 0
        if not length:
            return False
        place += length
        found += 1
    return True


@cache
def _mp3_tables() -> tuple[list[int], list[float]]:
    """Of each pair of bytes behind the first of a header: bytes of the frame (0: it is none), and its seconds."""
    lengths, durations = [0] * 65536, [0.0] * 65536
    for second in range(0xE0, 0x100):
        version, layer = VERSIONS.get(second >> 3 & 3), 4 - (second >> 1 & 3)
        if version is None or layer == 4:
            continue
        table = KILOBITS["1", layer] if version == "1" else KILOBITS["2", min(layer, 2)]
        samples = 384 if layer == 1 else 1152 if layer == 2 or version == "1" else 576
        for third in range(256):
            index, rate_index, padding = third >> 4, third >> 2 & 3, third >> 1 & 1
            if index in (0, 15) or rate_index == 3:
                continue
            rate = RATES[version][rate_index]
            if layer == 1:
                length = (12_000 * table[index] // rate + padding) * 4
            else:
                length = samples // 8 * 1000 * table[index] // rate + padding
            lengths[second << 8 | third], durations[second << 8 | third] = length, samples / rate
    return lengths, durations
