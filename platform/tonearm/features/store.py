"""Stored features: float16 ``.npy`` parts that are read memory-mapped, and a Parquet index beside each.

Layout of one store, a folder named by :meth:`Representation.store_name`::

    representation.json          the config
    parts/<id>.npy               float16 (tracks, freq_bins, frames), unnormalised, zeros after a track's end
    parts/<id>.parquet           a row a track: key, row, frames, mean, deviation, and both per frame

A part is complete when its Parquet file is there, which is written last; whatever else lies there is not read. So a
job killed at any moment loses only the parts it was writing, and an added track adds a part.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tonearm.audio.windows import ClipConfig
from tonearm.core import storage
from tonearm.core.errors import StoreError
from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray
from tonearm.features.base import Representation
from tonearm.features.scaling import Statistics, statistics

Float16Array = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Stored:
    """One track's stored representation: memory-mapped float16 of shape (freq_bins, frames), and its statistics."""

    values: Float16Array
    stats: Statistics

    @property
    def frames(self) -> int:
        return int(self.values.shape[1])


def track_key(content: str, clip: ClipConfig) -> str:
    """What a track's stored features are keyed by: the content of its file, and which clip of it was taken."""
    return digest(content, clip.to_dict())


def store_uri(root: str, representation: Representation) -> str:
    """The folder of a representation's store below ``root``."""
    return storage.join(root, representation.store_name())


def prepare_store(root: str, representation: Representation) -> str:
    """Make the store's description, once; returns its folder."""
    uri = store_uri(root, representation)
    if not storage.exists(storage.join(uri, "representation.json")):
        storage.write_json(storage.join(uri, "representation.json"), representation.to_dict())
    return uri


def write_part(uri: str, keys: Sequence[str], arrays: Sequence[FloatArray]) -> int:
    """Write one part of a store; called by the worker that computed it.

    Parameters
    ----------
    uri
        The store's folder.
    keys
        One key a track.
    arrays
        float32 of shape (freq_bins, frames) each; frames may differ.

    Returns
    -------
    Bytes written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    frames = max(a.shape[1] for a in arrays)
    block = np.zeros((len(arrays), arrays[0].shape[0], frames), dtype=np.float16)
    stats = []
    for row, array in enumerate(arrays):
        block[row, :, : array.shape[1]] = array
        stats.append(statistics(array))
    table = pa.table(
        {
            "key": list(keys),
            "row": list(range(len(keys))),
            "frames": [a.shape[1] for a in arrays],
            "mean": [s.mean for s in stats],
            "deviation": [s.deviation for s in stats],
            "frame_mean": [s.frame_mean.tobytes() for s in stats],
            "frame_deviation": [s.frame_deviation.tobytes() for s in stats],
        }
    )
    part = storage.join(uri, "parts", digest(sorted(keys)))
    payload, index = io.BytesIO(), io.BytesIO()
    np.save(payload, block, allow_pickle=False)
    pq.write_table(table, index)
    storage.write_bytes(f"{part}.npy", payload.getvalue())
    storage.write_bytes(f"{part}.parquet", index.getvalue())
    return len(payload.getvalue()) + len(index.getvalue())


class FeatureStore:
    """Reader of one store. Opening reads the indexes; values stay on disk until they are used.

    Parameters
    ----------
    uri
        A local folder; copy a remote store to the node once with :func:`copy_to_node`.

    Raises
    ------
    StoreError
        If there is no store, or an index in it is damaged.
    """

    def __init__(self, uri: str) -> None:
        import pyarrow.parquet as pq

        self.uri = uri
        description = storage.join(uri, "representation.json")
        if not storage.exists(description):
            raise StoreError(f"no feature store at {uri}: extract the features first (python -m jobs.extract --help)")
        self.representation = Representation.from_dict(storage.read_json(description))
        self._rows: dict[str, dict[str, Any]] = {}
        self._parts: dict[str, Float16Array] = {}
        for name in storage.list_files(storage.join(uri, "parts"), ".parquet"):
            part = storage.join(uri, "parts", name)
            try:
                rows = pq.read_table(io.BytesIO(storage.read_bytes(part))).to_pylist()
            except (OSError, ValueError) as error:  # pyarrow's errors are of these
                raise StoreError(f"index {part} is damaged ({error}): delete it, then extract again") from None
            for row in rows:
                self._rows[row["key"]] = {**row, "part": name.removesuffix(".parquet")}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that are not stored, in order."""
        return [k for k in keys if k not in self._rows]

    def frames(self, key: str) -> int:
        """Frames of a track."""
        return int(self._row(key)["frames"])

    def read(self, key: str) -> Stored:
        """One track: a memory-mapped view, no copy.

        Raises
        ------
        StoreError
            If the key is not there, or its part is damaged.
        """
        row = self._row(key)
        values = self._part(row["part"])[row["row"], :, : row["frames"]]
        stats = Statistics(
            np.frombuffer(row["frame_mean"], dtype=np.float32),
            np.frombuffer(row["frame_deviation"], dtype=np.float32),
            row["mean"],
            row["deviation"],
        )
        return Stored(values, stats)

    def _row(self, key: str) -> dict[str, Any]:
        if key not in self._rows:
            raise StoreError(f"track key {key} is not in the store {self.uri}: extract it first")
        return self._rows[key]

    def _part(self, part: str) -> Float16Array:
        if part not in self._parts:
            uri = storage.join(self.uri, "parts", f"{part}.npy")
            try:
                self._parts[part] = np.load(storage.local_path(uri), mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise StoreError(f"part {uri} is damaged ({error}): delete it and its .parquet, then extract") from None
        return self._parts[part]


def copy_to_node(uri: str, cache: str) -> str:
    """A local copy of a remote store, made once a node and shared by all its trials; a local one is used as it is.

    Parameters
    ----------
    uri
        The store, at any URI.
    cache
        A local folder.
    """
    if storage.is_local(uri):
        return str(storage.local_path(uri))
    target = Path(cache) / uri.rsplit("/", 1)[-1]
    for name in ["representation.json"]:
        if not (target / name).exists():
            storage.write_bytes(str(target / name), storage.read_bytes(storage.join(uri, name)))
    parts = storage.join(uri, "parts")
    for name in storage.list_files(parts, ".parquet"):
        stem = name.removesuffix(".parquet")
        for file in (f"{stem}.npy", name):  # the index last, as in the original
            if not (target / "parts" / file).exists():
                storage.write_bytes(str(target / "parts" / file), storage.read_bytes(storage.join(parts, file)))
    return str(target)
