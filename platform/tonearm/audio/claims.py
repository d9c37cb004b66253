"""What a file's header claims of its length, against what the rest of the file shows; nothing is decoded for it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from tonearm.audio.formats import Format
from tonearm.audio.mpeg import ReadAt

PIECE = 2**17  # larger ones are memory from the system, page by page
OGG_PAGE = re.compile(rb"OggS\0([\0-\7])")
FIRST_PAGE = 2  # the flag of a page that begins a stream
CHUNK_NAME = re.compile(rb"[A-Za-z0-9_ (),.\-]{4}")
TRAILERS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS", b"3DI")
LEAST_REST = 4096  # bytes behind the samples that are worth a look
STREAMED = 2**32 - 1 - 2**16  # a recorder that does not know how long it will be writes sizes about the largest


@dataclass(frozen=True)
class Finding:
    """What is wrong with a header.

    Attributes
    ----------
    claimed
        The seconds that it claims; None if it claims none.
    patches
        Bytes to put over those of the file, by place: then libsndfile reads all of it. Without any FFmpeg must.
    """

    claimed: float | None = None
    patches: dict[int, bytes] = field(default_factory=dict)


def find_false_claim(found: Format, read_at: ReadAt, size: int) -> Finding | None:
    """What is wrong with what the header claims; None if nothing that can be seen without decoding.

    Parameters
    ----------
    found
        The format of the file.
    read_at
        Reads some of its bytes at a place.
    size
        Its bytes.
    """
    if found.name == "MP3":
        return _of_mp3(found, read_at)
    if found.name == "OGG":
        return Finding() if _is_chained(read_at, found.start, size) else None
    if found.demuxer == "wav":
        return _of_wav(read_at, found.start, size)
    if found.name == "AIFF":
        return _of_aiff(read_at, found.start, size)
    return None


def _of_mp3(found: Format, read_at: ReadAt) -> Finding | None:
    stream = found.mp3
    if stream is None:
        return None  # of "free" bitrate, or too short to walk
    head = read_at(stream.start, 180)
    # Behind the header and the side information, whose length depends on the version and the channels.
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
    place = 4 + side[head[1] >> 3 & 3 == 3, head[3] >> 6 == 3]
    checked = 2 if not head[1] & 1 else 0  # a checksum
    for at in (place, place + checked):
        if head[at : at + 4] in (b"Xing", b"Info") and len(head) >= at + 12:
            if not head[at + 7] & 1:
                break
            claimed = int.from_bytes(head[at + 8 : at + 12], "big")
            # The frame with the header itself is counted by some encoders.
            if stream.frames - 2 <= claimed <= stream.frames and stream.uniform:
                return None
            return Finding(claimed * stream.seconds / stream.frames)
    return None if stream.uniform else Finding()


def _is_chained(read_at: ReadAt, start: int, size: int) -> bool:
    """Whether a stream of an Ogg file begins behind pages of another: files that were joined."""
    inside = False
    for data in _pieces(read_at, start, size):
        for page in OGG_PAGE.finditer(data):
            if not page[1][0] & FIRST_PAGE:
                inside = True
            elif inside:
                return True
    return False


def _pieces(read_at: ReadAt, start: int, size: int) -> Iterator[bytes]:
    """The file piece by piece, each with a little of the one before."""
    for place in range(start, size, PIECE):
        yield read_at(place, PIECE + 8)


def _of_wav(read_at: ReadAt, start: int, size: int) -> Finding | None:
    """A WAV whose recorder crashed: the size of its samples is 0, or of long ago, and the samples go on behind it."""
    order = ">" if read_at(start, 4) == b"RIFX" else "<"
    place, bytes_a_second = start + 12, 0
    while True:
        head = read_at(place, 24)
        if len(head) < 8:
            return None
        length = struct.unpack(f"{order}I", head[4:8])[0]
        if head[:4] == b"fmt " and len(head) >= 20:
            bytes_a_second = struct.unpack(f"{order}I", head[16:20])[0]
        if head[:4] == b"data":
            break
        place += 8 + length + length % 2
    first = place + 8
    if length >= STREAMED or not _goes_on(read_at, first + length + length % 2, size, order):
        return None
    rest = struct.pack(f"{order}I", min(size - first, STREAMED))
    whole = struct.pack(f"{order}I", min(size - start - 8, STREAMED))
    claimed = length / bytes_a_second if bytes_a_second else None
    return Finding(claimed, {place + 4: rest, start + 4: whole})


def _of_aiff(read_at: ReadAt, start: int, size: int) -> Finding | None:
    """An AIFF whose recorder crashed, as :func:`_of_wav` has it; only of plain samples."""
    place, common = start + 12, (0, 0, 0, 0)
    while True:
        head = read_at(place, 16)
        if len(head) < 8:
            return None
        length = struct.unpack(">I", head[4:8])[0]
        if head[:4] == b"COMM" and len(head) == 16:
            common = (place + 10, *struct.unpack(">hIh", head[8:16]))
        if head[:4] == b"SSND":
            break
        place += 8 + length + length % 2
    at, channels, frames, bits = common
    first = place + 16  # behind an offset and a block size, which count
    end = place + 8 + length + length % 2
    if read_at(start + 8, 4) != b"AIFF" or not at or not channels or not bits:
        return None
    if length >= STREAMED or not _goes_on(read_at, max(first, end), size, ">"):
        return None
    there = (size - first) // (channels * -(-bits // 8))
    return Finding(None if frames else 0.0, {
        at: struct.pack(">I", there), place + 4: struct.pack(">I", size - first + 8),
        start + 4: struct.pack(">I", size - start - 8),
    })  # fmt: skip


def _goes_on(read_at: ReadAt, end: int, size: int, order: str) -> bool:
    """Whether what is behind the samples is more of them: no chunks, no tag."""
    if size - end < LEAST_REST:
        return False
    head = read_at(end, 12)
    if head.startswith(TRAILERS) or head[1:].startswith(TRAILERS):
        return False
    place = end
    while place + 8 <= size:  # chunks up to the end of the file
        head = read_at(place, 8)
        length = struct.unpack(f"{order}I", head[4:8])[0]
        if not CHUNK_NAME.fullmatch(head[:4]) or place + 8 + length > size:
            return place == end
        place += 8 + length + length % 2
    return False
