"""The boxes of an M4A: where files were joined, and headers that state more packets than there can be."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from tonearm.audio.mpeg import ReadAt
from tonearm.core.errors import AudioError

MOST_BOXES = 200_000  # each fragment of a stream has two
MOST_PACKETS = 5_000_000  # 12 hours of AAC at 96 kHz are 4 million
PIECE = 2**20
#: A table of packets with its length, wherever it is, and what it states.
TABLE = re.compile(rb".{4}(?:stsz|stz2|trun|stts|cmov).{8}.{0,16}", re.DOTALL)
LONGEST_TABLE = 32  # bytes that are looked at


def boxes(read_at: ReadAt, start: int) -> Iterator[tuple[int, bytes, int]]:
    """Place, name and length in bytes of each box at the top; a length below 8 says that it is the last one."""
    place = start
    for _ in range(MOST_BOXES):
        head = read_at(place, 16)
        if len(head) < 8:
            return
        length = struct.unpack(">I", head[:4])[0]
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        yield place, head[4:8], length
        if length < 8:
            return
        place += length


def require_few_packets(read_at: ReadAt, start: int, size: int) -> None:
    """Check that a file states no more packets than music has: FFmpeg makes a list of them, some 48 bytes each, before
    it reads one; 19 kB could take all memory.

    Raises
    ------
    AudioError
        ``bad_header``.
    """
    packets, plain, one_tick, end = 0, 0, True, start
    for place, name, length in boxes(read_at, start):
        end = size if length < 8 else place + length
        for kind, first, second, third in _tables(read_at, place, min(size, end)) if name != b"mdat" else ():
            if kind == b"cmov":
                raise AudioError("bad_header", "its header is compressed, which is not read here: send it as FLAC")
            if kind == b"stts":
                one_tick = one_tick and first == third == 1
            elif kind == b"stsz" and 0 < first * second <= size:
                plain += second
            else:
                packets += first if kind == b"trun" else second
    if end < size and len(read_at(end, 8)) == 8:
        raise AudioError("bad_header", f"it has more than {MOST_BOXES} boxes: send it as FLAC")
    packets += 0 if one_tick else plain  # else they are samples, which FFmpeg lists by thousands
    if packets > MOST_PACKETS:
        raise AudioError("bad_header", f"it states {packets} packets, more than music has: send it as FLAC")


def _tables(read_at: ReadAt, start: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Name and the first three numbers of each table in a part of the file."""
    for base in range(start, end, PIECE):
        data = read_at(base, min(PIECE + LONGEST_TABLE, end - base))
        place = 0
        while (found := TABLE.search(data, place)) is not None and found.start() < PIECE:
            place = found.start() + 1  # they may overlap
            table = found[0].ljust(LONGEST_TABLE, b"\0")
            length, kind = struct.unpack(">I4s", table[:8])
            if length <= 1 or 16 <= length <= end - base - found.start():  # else it is no table but looks like one
                yield kind, *struct.unpack(">3I", table[20:32] if length == 1 else table[12:24])
