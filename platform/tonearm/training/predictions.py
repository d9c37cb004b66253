"""Predictions of a split, and the Parquet file they are kept in."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tonearm.core import storage
from tonearm.core.parquet import read_parquet
from tonearm.core.types import FloatArray
from tonearm.tasks.base import Task

if TYPE_CHECKING:
    from tonearm.datasets.manifest import Split
    from tonearm.training.batches import Examples


@dataclass(frozen=True)
class TrackPredictions:
    """Predictions of a split: ids, groups, targets as the task encodes them, outputs (tracks, classes)."""

    track_ids: list[str]
    groups: list[str]
    target: np.ndarray
    probabilities: FloatArray
    classes: tuple[str, ...]


def track_predictions(task: Task, batches: Examples, split: Split, predictions: FloatArray) -> TrackPredictions:
    """Predictions of a split with the tracks that they are of."""
    return TrackPredictions(
        batches.ids(split),
        batches.groups(split),
        batches.targets(split),
        predictions,
        task.output_names(batches.classes),
    )


def write_predictions(uri: str, task: Task, found: TrackPredictions) -> None:
    """Write predictions as Parquet: a row a track, a column an output.

    Beside ``track_id`` and ``group`` there are ``target`` (as the task encodes it), ``p:NAME`` for each output, and
    the task's readable columns, such as the names of the true and the predicted class.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    target: Any = pa.array(np.ascontiguousarray(found.target).ravel())
    if found.target.ndim == 2:
        target = pa.FixedSizeListArray.from_arrays(target, found.target.shape[1])
    columns: dict[str, Any] = {
        "track_id": found.track_ids,
        "group": found.groups,
        **task.readable(found.probabilities, found.target, found.classes),
        "target": target,
        **{f"p:{c}": found.probabilities[:, i] for i, c in enumerate(found.classes)},
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    storage.write_bytes(uri, buffer.getvalue())


def read_predictions(uri: str) -> TrackPredictions:
    """The inverse of :func:`write_predictions`."""
    return parse_predictions(storage.read_bytes(uri))


def parse_predictions(data: bytes) -> TrackPredictions:
    """Predictions from the bytes of their file."""
    import pyarrow as pa

    table = read_parquet(data)
    classes = tuple(n.removeprefix("p:") for n in table.column_names if n.startswith("p:"))
    target = table["target"].combine_chunks()
    if pa.types.is_fixed_size_list(target.type):
        encoded = target.values.to_numpy(zero_copy_only=False).reshape(len(target), target.type.list_size)
    else:
        encoded = target.to_numpy(zero_copy_only=False)
    return TrackPredictions(
        table["track_id"].to_pylist(),
        table["group"].to_pylist(),
        encoded,
        np.stack([table[f"p:{c}"].to_numpy() for c in classes], axis=1).astype(np.float32),
        classes,
    )
