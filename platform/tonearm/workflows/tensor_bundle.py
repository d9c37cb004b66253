"""Reading a TensorFlow checkpoint (tensor bundle, format V2) without TensorFlow.

Two files: the index, a sorted table of strings as LevelDB has them, from names to protocol buffers (type, shape,
place); and the data, the numbers one behind the other. Checksums are not looked at: who reads one knows its SHA-256.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tonearm.core.errors import ConfigError

FOOTER_BYTES = 48
MAGIC = 0xDB4775248B80FB57
TYPES: dict[int, str] = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}
DTYPE, SHAPE, SHARD, OFFSET, SIZE = 1, 2, 3, 4, 5  # fields of an entry
LENGTHS = {1: 8, 5: 4}  # bytes of fields of a fixed length, by their wire type

Array = npt.NDArray[np.generic]


def read_tensors(index: Path, data: Path) -> dict[str, Array]:
    """All tensors of a checkpoint of one data file, by name.

    Raises
    ------
    ConfigError
        If the files are damaged, or hold what is not read: several data files, compressed blocks, other types than
        float32, float64, int32 and int64.
    """
    table, numbers = index.read_bytes(), data.read_bytes()
    try:
        return {
            name.decode(): _tensor(name.decode(), entry, numbers) for name, entry in _entries(table) if name
        }  # the one without a name is the header
    except (IndexError, ValueError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise ConfigError(f"{index} is no checkpoint of TensorFlow that can be read: {error}") from error


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    footer = table[-FOOTER_BYTES:]
    if len(footer) < FOOTER_BYTES or struct.unpack("<Q", footer[-8:])[0] != MAGIC:
        raise ValueError("its end is not that of a table")
    _, at = _varint(footer, 0)
    _, at = _varint(footer, at)  # the two numbers of an index of something else
    for _, handle in _block(table, footer[at:]):
        yield from _block(table, handle)


def _block(table: bytes, handle: bytes) -> list[tuple[bytes, bytes]]:
    """Keys and values of a block; a key begins with so many bytes of the one before."""
    offset, at = _varint(handle, 0)
    size, _ = _varint(handle, at)
    if offset + size >= len(table) or size < 4:
        raise ValueError("a block lies outside the file")
    if table[offset + size]:
        raise ValueError("it is compressed")
    block = table[offset : offset + size]
    end = size - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    found, key, at = [], b"", 0
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        found.append((key, block[at + own : at + own + length]))
        at += own + length
    return found


def _tensor(name: str, entry: bytes, numbers: bytes) -> Array:
    fields = _fields(entry)
    if _first(fields, SHARD):
        raise ValueError(f"{name} lies in a further data file")
    code = _first(fields, DTYPE)
    if code not in TYPES:
        raise ValueError(f"{name} has the type {code}, read are {', '.join(map(str, TYPES))}")
    shape = [_first(_fields(_bytes(d)), 1) for d in _fields(_bytes(fields.get(SHAPE, [b""])[0])).get(2, [])]
    offset, size, dtype = _first(fields, OFFSET), _first(fields, SIZE), np.dtype(TYPES[code])
    if size != math.prod(shape) * dtype.itemsize or offset + size > len(numbers):
        raise ValueError(f"{name} of shape {shape} has {size} bytes at {offset} of {len(numbers)}")
    return np.frombuffer(numbers, dtype, math.prod(shape), offset).reshape(shape)


def _fields(message: bytes) -> dict[int, list[int | bytes]]:
    """Fields of a protocol buffer by their number: numbers, and bytes of what has a length."""
    found: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(message, at)
        else:
            length = LENGTHS.get(kind, 0)
            if kind == 2:
                length, at = _varint(message, at)
            elif not length:
                raise ValueError(f"wire type {kind}")
            value, at = message[at : at + length], at + length
        found.setdefault(tag >> 3, []).append(value)
    return found


def _first(fields: Mapping[int, list[int | bytes]], number: int) -> int:
    """A number among the fields; what is 0 is left out when it is written."""
    value = fields.get(number, [0])[0]
    if not isinstance(value, int):
        raise ValueError(f"field {number} is no number")
    return value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where a message is expected")
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number, seven bits a byte, the lowest first; and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
