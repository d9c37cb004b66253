"""Reading protocol buffers without their descriptions: fields by number, as files of others hold them."""

from __future__ import annotations

LENGTHS = {1: 8, 5: 4}  # bytes of fields of a fixed length, by their wire type
LONGEST = 10  # bytes of a number

Field = int | memoryview


def fields(message: bytes | memoryview) -> dict[int, list[Field]]:
    """Fields of a message by their number: numbers, and bytes of what has a length, which are not copied.

    Raises
    ------
    ValueError
        If it is none.
    """
    data = memoryview(message)
    found: dict[int, list[Field]] = {}
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if tag >= 2**32 or kind not in (0, 2, *LENGTHS):  # of a longer tag readers differ in what it is
            raise ValueError(f"no field begins with {tag} at {at}")
        value: Field
        if kind == 0:
            value, at = varint(data, at)
        else:
            length, at = varint(data, at) if kind == 2 else (LENGTHS[kind], at)
            value, at = data[at : at + length], at + length
        if at > len(data):
            raise ValueError(f"a field ends at {at} of {len(data)}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """An unsigned number, seven bits a byte, the lowest first; and where it ends.

    Raises
    ------
    ValueError
        If it does not end.
    """
    value = 0
    for i, byte in enumerate(data[at : at + LONGEST]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise ValueError(f"the number at {at} does not end")
