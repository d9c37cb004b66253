"""Take features that are not needed out of a store: whole parts are deleted, others are written anew without them."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.seeding import digest
from tonearm.features.base import Representation
from tonearm.features.store_index import index_schema, read_index

FILES = (".parquet", ".npy", ".frames.npy")  # the index first: without it the others are no part


@dataclass(frozen=True)
class PartWithSpare:
    """A part of a store that holds clips which nothing needs.

    Attributes
    ----------
    rows
        All of its rows.
    kept
        Those whose keys are needed.
    bytes
        What would be gained.
    """

    name: str
    rows: list[dict[str, Any]]
    kept: list[dict[str, Any]]
    bytes: int

    @property
    def tracks(self) -> int:
        """Tracks that are not needed."""
        return len({r["key"] for r in self.rows} - {r["key"] for r in self.kept})


def parts_with_spare(uri: str, needed: Collection[str]) -> Iterator[PartWithSpare]:
    """The parts of a store that hold other keys than the needed ones."""
    by_part: dict[str, list[dict[str, Any]]] = {}
    for row in read_index(uri).to_pylist():
        by_part.setdefault(row.pop("part"), []).append(row)
    for name, rows in sorted(by_part.items()):
        kept = [row for row in rows if row["key"] in needed]
        if len(kept) < len(rows):
            size = sum(max(0, storage.size(storage.join(uri, "parts", name + suffix))) for suffix in FILES)
            frames = sum(row["frames"] for row in rows)
            share = 1 - sum(row["frames"] for row in kept) / frames if frames else 1.0
            yield PartWithSpare(name, rows, kept, round(size * share))


def prune_part(uri: str, representation: Representation, part: PartWithSpare) -> None:
    """Write what is kept of a part as a part of its own, then delete it; killed in between, both are there."""
    if part.kept:
        _write_kept(uri, representation, part)
    for suffix in FILES:
        storage.remove(storage.join(uri, "parts", part.name + suffix))


def _write_kept(uri: str, representation: Representation, part: PartWithSpare) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    planes, bins = representation.planes, representation.freq_bins
    read = {suffix: np.load(io.BytesIO(storage.read_bytes(storage.join(uri, "parts", part.name + suffix))),
                            allow_pickle=False) for suffix in FILES[1:]}  # fmt: skip
    values, frame_values, rows, names = [], [], [], []
    offset = frame_offset = 0
    for row in part.kept:
        size = planes * bins * row["frames"]
        width = planes * row["frames"] if bins > 1 else 0
        block = read[".npy"][row["offset"] : row["offset"] + size]
        values.append(block)
        frame_values.append(read[".frames.npy"][:, row["frame_offset"] : row["frame_offset"] + width])
        names.append(digest(row["key"], row["clip"], block.tobytes()))
        rows.append({**row, "offset": offset, "frame_offset": frame_offset})
        offset, frame_offset = offset + size, frame_offset + width
    place = storage.join(uri, "parts", digest(names))
    for suffix, array in ((".npy", np.concatenate(values)), (".frames.npy", np.concatenate(frame_values, axis=1))):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        storage.write_bytes(place + suffix, buffer.getvalue())
    index, schema = io.BytesIO(), index_schema()
    pq.write_table(pa.Table.from_pylist(rows, schema.remove(len(schema) - 1)), index)
    storage.write_bytes(f"{place}.parquet", index.getvalue())
