"""Labels, metadata and predictions of tracks as numbers, with everything that is missing named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tonearm.core.errors import DatasetError, TrainingError
from tonearm.core.types import FloatArray, GroundTruth

NAMED_IN_MESSAGES = 20


def label_indices(truth: GroundTruth, names: Sequence[str]) -> list[list[int]]:
    """Of each track, the places of its labels among the names, in the order of its labels.

    Raises
    ------
    DatasetError
        If a label is none of the names, or a track has no label.
    """
    index = {name: i for i, name in enumerate(names)}
    unknown = sorted({label for labels in truth.labels for label in labels} - set(names))
    if unknown:
        raise DatasetError(
            f"labels {unknown[:NAMED_IN_MESSAGES]} are none of the classes {list(names)[:NAMED_IN_MESSAGES]}: "
            "train anew on this data, or leave these tracks out"
        )
    empty = [i for i, labels in enumerate(truth.labels) if not labels]
    if empty:
        raise DatasetError(
            f"{len(empty)} of {len(truth)} tracks have no label, the first of them track number {empty[0]}: "
            "label them or leave them out"
        )
    return [[index[label] for label in labels] for labels in truth.labels]


def metadata_values(truth: GroundTruth, column: str, vectors: bool) -> FloatArray:
    """A metadata column of all tracks as float32, NaN where unknown: (tracks,), or (tracks, dim) if ``vectors``.

    Raises
    ------
    DatasetError
        If there is no such column, or it is no number (or vector).
    """
    if column not in truth.values:
        known = ", ".join(sorted(truth.values)) or "none"
        raise DatasetError(f"no metadata column {column!r} is known of these tracks: there are {known}")
    values = np.asarray(truth.values[column])
    if values.dtype.kind not in "iufb":
        raise DatasetError(f"the metadata column {column!r} is text, not numbers: choose another target")
    if values.ndim != (2 if vectors else 1):
        found = "a vector" if values.ndim > 1 else "one number"
        task = "regression" if vectors else "embedding"
        raise DatasetError(
            f"the metadata column {column!r} is {found} a track, {values.shape}: the task {task!r} learns those"
        )
    return values.astype(np.float32)


def has_metadata(truth: GroundTruth, column: str, vectors: bool) -> np.ndarray:
    """Which tracks have a value in the column, all of it finite: bool (tracks,). Raises as :func:`metadata_values`."""
    values = metadata_values(truth, column, vectors)
    return np.asarray(np.isfinite(values).reshape(len(values), -1).all(axis=1))


def complete_values(truth: GroundTruth, column: str, vectors: bool) -> FloatArray:
    """The same as :func:`metadata_values`, of tracks that all have it.

    Raises
    ------
    DatasetError
        Besides, if it is missing or infinite for some.
    """
    values, missing = metadata_values(truth, column, vectors), np.flatnonzero(~has_metadata(truth, column, vectors))
    if len(missing):
        raise DatasetError(
            f"{len(missing)} of {len(values)} tracks have no {column!r}, the first of them track number {missing[0]}: "
            "leave them out of the data set"
        )
    return values


def clip_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities in float64 within 0..1: the mean of several in float32 may lie a little beyond."""
    return np.clip(probabilities.astype(np.float64), 0, 1)


def require_finite(predictions: FloatArray) -> FloatArray:
    """Track predictions (tracks, ...) if all are finite: ranks and counts would treat NaN as a value.

    Raises
    ------
    TrainingError
        If there are none, or some are not finite.
    """
    if not len(predictions):
        raise TrainingError("there are 0 track predictions to evaluate: give the split at least one track")
    bad = int((~np.isfinite(predictions).reshape(len(predictions), -1).all(axis=1)).sum())
    if bad:
        raise TrainingError(
            f"{bad} of {len(predictions)} track predictions are not finite: lower the learning rate, or look at what "
            "these tracks' windows hold"
        )
    return predictions
