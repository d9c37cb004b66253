"""Small files of frozen encoders, made by code: TorchScript, and ONNX as the protocol buffer that it is."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tonearm.features.base import Representation
from tonearm.features.frozen import EncoderOutput, Frozen
from tonearm.features.raw import RawWaveform
from tonearm.features.weight_files import sha256_of

RATE, PATCH = 8000, 1000


class Statistics(nn.Module):
    """Of patches (patches, samples) their mean and greatest value, and their size a hundred samples."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        steps = x.reshape(x.shape[0], -1, 100)
        moments = torch.stack([x.mean(dim=1), x.amax(dim=1)], dim=1)
        return {"moments": moments, "sizes": steps.abs().mean(dim=2)[:, :, None]}


def torchscript(path: Path, module: nn.Module | None = None) -> Path:
    """A TorchScript file."""
    torch.jit.save(torch.jit.script((module or Statistics()).eval()), str(path))  # type: ignore[no-untyped-call]
    return path


def statistics_encoder(path: Path, of: Representation | None = None, **fields: object) -> Frozen:
    """The config of a file of :class:`Statistics`, which is made if it is not there."""
    if not path.exists():
        torchscript(path)
    given = {"patch": PATCH, "patches": 3, "sha256": sha256_of(path), "file": str(path), "name": "statistics",
             "licence": "Apache-2.0", "outputs": (EncoderOutput(name="moments", dim=2),), **fields}  # fmt: skip
    return Frozen(of=of or RawWaveform(sample_rate=RATE), **given)  # type: ignore[arg-type]


def onnx(path: Path, weight: np.ndarray, batch: int | None = None, external: str = "") -> Path:
    """An ONNX file: patches (batch, samples) times ``weight`` (samples, dim) is its output "embedding".

    Parameters
    ----------
    batch
        Patches that it takes at once; None: any number.
    external
        A file that the graph names for its weights.
    """
    samples, dim = weight.shape
    if external:
        entry = _text(1, "location") + _text(2, external)
        values = whole(13, entry) + number(14, 1)
    else:
        values = whole(9, weight.astype("<f4").tobytes())
    initializer = number(1, samples) + number(1, dim) + number(2, 1) + _text(8, "weight") + values
    node = _text(1, "patches") + _text(1, "weight") + _text(2, "embedding") + _text(4, "MatMul")
    ends = whole(11, _tensor("patches", batch, samples)) + whole(12, _tensor("embedding", batch, dim))
    graph = whole(1, node) + _text(2, "encoder") + whole(5, initializer) + ends
    path.write_bytes(number(1, 8) + whole(7, graph) + whole(8, number(2, 17)))
    return path


def _tensor(name: str, batch: int | None, size: int) -> bytes:
    first = _text(2, "n") if batch is None else number(1, batch)
    shape = whole(1, first) + whole(1, number(1, size))
    return _text(1, name) + whole(2, whole(1, number(1, 1) + whole(2, shape)))


def varint(value: int) -> bytes:
    """An unsigned number, seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    """A field of a protocol buffer that is a number."""
    return varint(field << 3) + varint(value)


def whole(field: int, value: bytes) -> bytes:
    """A field of a protocol buffer that has a length: bytes, or a message."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return whole(field, value.encode())


def tensor_bundle(folder: Path, tensors: dict[str, np.ndarray], restarts: bool = False) -> tuple[Path, Path]:
    """A TensorFlow checkpoint: ``.index``, a sorted table of names, and ``.data-00000-of-00001``, the numbers.

    Parameters
    ----------
    restarts
        Keys are written whole; else what they share with the one before is left out.
    """
    data, entries = b"", [(b"", number(1, 1))]
    for name in sorted(tensors):
        values = tensors[name]
        code = {"f": 1, "d": 2, "i": 3, "l": 9}[values.dtype.char]
        shape = b"".join(whole(2, number(1, n)) for n in values.shape)
        place = (number(4, len(data)) if data else b"") + number(5, values.nbytes)
        entries.append((name.encode(), number(1, code) + whole(2, shape) + place))
        data += values.tobytes()
    table = _block(entries, restarts)
    handle = varint(0) + varint(len(table) - 5)
    index = _block([(b"\xff", handle)], True)
    footer = (varint(0) + varint(0) + varint(len(table)) + varint(len(index) - 5)).ljust(40, b"\0")
    own = folder / ".index", folder / ".data-00000-of-00001"
    own[0].write_bytes(table + index + footer + struct.pack("<Q", 0xDB4775248B80FB57))
    own[1].write_bytes(data)
    return own


def _block(entries: list[tuple[bytes, bytes]], restarts: bool) -> bytes:
    """Entries with their keys, places of restarts, and behind it the compression (none) and a checksum, not set."""
    out, before, places = b"", b"", []
    for key, value in entries:
        shared = 0
        while not restarts and shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        if restarts or not out:
            places.append(len(out))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return out + b"".join(struct.pack("<I", p) for p in places) + struct.pack("<I", len(places)) + bytes(5)
