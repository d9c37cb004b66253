"""Writer of a feature store: one shard at a time, by the worker that computed it."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray
from tonearm.features.computed import ComputedClip
from tonearm.features.normalisation import half_precision
from tonearm.features.store_index import index_schema

HEADER_BYTES = 128  # of a one-dimensional .npy, whatever its length


class ShardWriter:
    """Writes one part of a store, clip by clip, to a file: what is in memory is one clip.

    Nothing is seen by a reader before :meth:`close`; after a failure call :meth:`discard`.

    Parameters
    ----------
    uri
        The store's folder, from :func:`tonearm.features.store.prepare_store`.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.part = ""  # its name, once it is published
        self._rows: list[dict[str, Any]] = []
        self._digests: list[str] = []  # a part is named by what it holds: two that differ never share a name
        self._per_frame: list[FloatArray] = []
        self._path: Path = storage.temporary_file(storage.join(uri, "parts", "values.npy"))
        self._file = self._path.open("w+b")
        self._file.write(bytes(HEADER_BYTES))
        self._offset = self._frame_offset = 0

    def add(self, key: str, computed: ComputedClip, number: int | None = None, start: float = math.nan) -> None:
        """Add a clip of a track.

        Parameters
        ----------
        number
            Of the clip among all of its track, which is the same time in every store; None is the next one.
        start
            Where it begins in the track, seconds.

        Raises
        ------
        AudioError
            ``too_loud`` if a value is beyond what float16 holds, ``not_finite`` if one is not finite.
        """
        half = half_precision(computed.values)  # before the statistics, which would warn of an infinity
        stats = computed.statistics()
        following = self._rows[-1]["clip"] + 1 if self._rows and self._rows[-1]["key"] == key else 0
        clip = following if number is None else number
        self._file.write(half.data)
        self._digests.append(digest(key, clip, half.tobytes()))
        self._rows.append(
            {
                "key": key,
                "clip": clip,
                "start": start,
                "frames": half.shape[-1],
                "offset": self._offset,
                "frame_offset": self._frame_offset,
                "mean": stats.mean,
                "deviation": stats.deviation,
            }
        )
        self._per_frame.append(np.stack([stats.frame_mean.reshape(-1), stats.frame_deviation.reshape(-1)]))
        self._offset += half.size
        self._frame_offset += self._per_frame[-1].shape[1]

    def drop(self, key: str) -> None:
        """Take back the clips of the track that was added last, because a later one of its clips failed."""
        while self._rows and self._rows[-1]["key"] == key:
            row = self._rows.pop()
            self._offset, self._frame_offset = row["offset"], row["frame_offset"]
            self._per_frame.pop()
            self._digests.pop()
        self._file.seek(HEADER_BYTES + 2 * self._offset)
        self._file.truncate()

    def close(self) -> int:
        """Publish the part, its index last; returns the bytes written, 0 if nothing was added."""
        if not self._rows:
            self.discard()
            return 0
        import pyarrow as pa
        import pyarrow.parquet as pq

        header = io.BytesIO()
        shape = {"descr": "<f2", "fortran_order": False, "shape": (self._offset,)}
        np.lib.format.write_array_header_1_0(header, shape)
        if len(header.getvalue()) != HEADER_BYTES:
            raise ValueError(f"numpy writes headers of {len(header.getvalue())} bytes, expected {HEADER_BYTES}")
        self._file.seek(0)
        self._file.write(header.getvalue())
        self._file.close()
        size = self._path.stat().st_size
        self.part = digest(self._digests)
        part = storage.join(self.uri, "parts", self.part)
        per_frame, index = io.BytesIO(), io.BytesIO()
        np.save(per_frame, np.concatenate(self._per_frame, axis=1), allow_pickle=False)
        schema = index_schema()
        pq.write_table(pa.Table.from_pylist(self._rows, schema.remove(len(schema) - 1)), index)
        storage.publish(self._path, f"{part}.npy")
        storage.write_bytes(f"{part}.frames.npy", per_frame.getvalue())
        storage.write_bytes(f"{part}.parquet", index.getvalue())
        return size + len(per_frame.getvalue()) + len(index.getvalue())

    def discard(self) -> None:
        """Remove the unpublished file."""
        self._file.close()
        self._path.unlink(missing_ok=True)
