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
from tonearm.core.protobuf import Field, fields, varint

FOOTER_BYTES = 48
MAGIC = 0xDB4775248B80FB57
TYPES: dict[int, str] = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}
EMPTY = memoryview(b"")
DTYPE, SHAPE, SHARD, OFFSET, SIZE = 1, 2, 3, 4, 5  # fields of an entry

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
    _, at = varint(footer, 0)
    _, at = varint(footer, at)  # the two numbers of an index of something else
    for _, handle in _block(table, footer[at:]):
        yield from _block(table, handle)


def _block(table: bytes, handle: bytes) -> list[tuple[bytes, bytes]]:
    """Keys and values of a block; a key begins with so many bytes of the one before."""
    offset, at = varint(handle, 0)
    size, _ = varint(handle, at)
    if offset + size >= len(table) or size < 4:
        raise ValueError("a block lies outside the file")
    if table[offset + size]:
        raise ValueError("it is compressed")
    block = table[offset : offset + size]
    end = size - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    found, key, at = [], b"", 0
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        key = key[:shared] + block[at : at + own]
        found.append((key, block[at + own : at + own + length]))
        at += own + length
    return found


def _tensor(name: str, entry: bytes, numbers: bytes) -> Array:
    own = fields(entry)
    if _first(own, SHARD):
        raise ValueError(f"{name} lies in a further data file")
    code = _first(own, DTYPE)
    if code not in TYPES:
        raise ValueError(f"{name} has the type {code}, read are {', '.join(map(str, TYPES))}")
    shape = [_first(fields(_message(d)), 1) for d in fields(_message(own.get(SHAPE, [EMPTY])[0])).get(2, [])]
    offset, size, dtype = _first(own, OFFSET), _first(own, SIZE), np.dtype(TYPES[code])
    if size != math.prod(shape) * dtype.itemsize or offset + size > len(numbers):
        raise ValueError(f"{name} of shape {shape} has {size} bytes at {offset} of {len(numbers)}")
    return np.frombuffer(numbers, dtype, math.prod(shape), offset).reshape(shape)


def _first(found: Mapping[int, list[Field]], number: int) -> int:
    """A number among the fields; what is 0 is left out when it is written."""
    value = found.get(number, [0])[0]
    if not isinstance(value, int):
        raise ValueError(f"field {number} is no number")
    return value


def _message(value: Field) -> memoryview:
    if not isinstance(value, memoryview):
        raise ValueError("a number where a message is expected")
    return value
