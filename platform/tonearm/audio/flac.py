"""Where a FLAC ends: by the header of its last frame, which counts blocks or samples, without decoding."""

from __future__ import annotations

import re
from functools import cache

from tonearm.audio.mpeg import ReadAt

TAIL = 2**16  # bytes, more than any frame has
PROBE = 2**14  # bytes, more than most frames have
#: Shares of the file, by chance: of 2 to 1500 joined files of one size, one always lies further in front in its file.
PROBES = (0.0587, 0.1232, 0.1738, 0.2341, 0.3174, 0.3808, 0.4711, 0.5137, 0.5926, 0.6678, 0.7551, 0.802, 0.859, 0.9545)
LONGEST_CLAIM = 12 * 3600.0  # seconds
MOST_JOINED = 10_000  # more are none
MAGIC = re.compile(rb"fLaC[\0\x80]\0\0\x22")  # and the head of its first block
PIECE = 2**17
SYNC = re.compile(rb"\xff[\xf8\xf9]")


def ends_as_claimed(read_at: ReadAt, start: int, size: int) -> bool | None:
    """Whether the last frame is the one that the header claims; None where no last frame is found.

    The parameters are those of :func:`last_sample`.
    """
    found = last_sample(read_at, start, size)
    if found is None:
        return None
    end, claimed, block = found
    return abs(end - claimed) <= block


def last_sample(read_at: ReadAt, start: int, size: int) -> tuple[int, int, int] | None:
    """The sample behind the last frame, how many the header claims, and how many a frame has.

    Parameters
    ----------
    start
        Where the FLAC begins; its STREAMINFO is the first block.
    size
        Bytes of the file.

    Returns
    -------
    tuple or None
        None where no frame is found in the last 64 KiB: a tag may be there.
    """
    info = read_at(start + 8, 18)
    if len(info) < 18:
        return None
    block, claimed = int.from_bytes(info[:2], "big"), int.from_bytes(info[13:18], "big") & (2**36 - 1)
    data = read_at(max(start + 42, size - TAIL), TAIL)
    for match in reversed(list(SYNC.finditer(data))):
        found = _header(data[match.start() : match.start() + 16])
        if found is not None:
            number, samples, by_sample = found
            first = number if by_sample else number * block
            return first + samples, claimed, block
    return None


def claimed_seconds(read_at: ReadAt, start: int) -> float | None:
    """The seconds that a header claims; None if it states no length, or an absurd one, as streams do."""
    info = read_at(start + 18, 8)
    rate, samples = int.from_bytes(info[:3], "big") >> 4, int.from_bytes(info[3:], "big") & (2**36 - 1)
    return samples / rate if rate and 0 < samples <= LONGEST_CLAIM * rate else None


def counts_anew(read_at: ReadAt, start: int, size: int) -> bool:
    """Whether a frame has no higher number than one before, or too few are between them: it is of another file.

    Only frames at some places are looked at, and the end: it is a sign that :func:`joined_places` must confirm.
    """
    if MAGIC.search(read_at(max(start + 42, size - TAIL), TAIL)):
        return True
    largest = int.from_bytes(read_at(start + 15, 3), "big")  # bytes of a frame; 0: not stated
    before, number_before = 0, -1
    for share in PROBES:
        place = start + round(share * (size - start))
        data = read_at(place, PROBE)
        for match in SYNC.finditer(data):
            if (found := _header(data[match.start() : match.start() + 16])) is not None:
                break
        else:
            continue
        place, number, frames = place + match.start(), found[0], found[0] - number_before
        if place == before:
            continue  # the same frame
        if frames <= 0 or (before and largest and not found[2] and place - before > frames * largest):
            return True
        before, number_before = place, number
    return False


def joined_places(read_at: ReadAt, start: int, size: int) -> tuple[int, ...]:
    """Where FLACs begin in a file, one behind the other; the parameters are those of :func:`last_sample`."""
    found = []
    for place in range(start, size, PIECE):
        data = read_at(place, PIECE + 7)
        found += [place + match.start() for match in MAGIC.finditer(data)]
        if len(found) > MOST_JOINED:
            break
    return tuple(found)


def _header(head: bytes) -> tuple[int, int, bool] | None:
    """Number, samples, and whether samples are counted (else blocks), of a frame; None if it is none."""
    if len(head) < 16 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] >> 4 > 10 or head[3] & 1:
        return None
    length = next((n for n in range(8) if not head[4] & 0x80 >> n), 8)  # as UTF-8 counts its bytes
    if length == 1 or length > 7:
        return None
    more = max(0, length - 1)
    number = head[4] & (0x7F if not length else 0x7F >> length)
    for byte in head[5 : 5 + more]:
        if byte >> 6 != 2:
            return None
        number = number << 6 | byte & 0x3F
    place, code = 5 + more, head[2] >> 4
    if code in (6, 7):
        samples = int.from_bytes(head[place : place + code - 5], "big") + 1
        place += code - 5
    else:
        samples = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    place += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if place >= len(head) or _crc(head[:place]) != head[place]:
        return None
    return number, samples, bool(head[1] & 1)


def _crc(data: bytes) -> int:
    table, value = _table(), 0
    for byte in data:
        value = table[value ^ byte]
    return value


@cache
def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value << 1 ^ 0x07 if value & 0x80 else value << 1) & 0xFF
        table.append(value)
    return table
