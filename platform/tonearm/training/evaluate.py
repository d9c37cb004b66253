"""Scores on a test split, beside what needs no model at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tonearm.core.statistics import Interval, bootstrap_interval
from tonearm.core.types import FloatArray
from tonearm.tasks.base import Task


@dataclass(frozen=True)
class Scores:
    """F1 with a 95 % bootstrap interval over groups, since tracks of one group are no independent draws."""

    tracks: int
    f1_micro: Interval
    f1_macro: Interval
    metrics: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Scores:
        """The inverse of :meth:`to_dict`."""
        intervals = {k: Interval(**values[k]) for k in ("f1_micro", "f1_macro")}
        return cls(**{**values, **intervals})


def score(task: Task, predictions: FloatArray, target: np.ndarray, groups: Sequence[str]) -> Scores:
    """Score track predictions.

    Parameters
    ----------
    predictions
        Probabilities (tracks, classes).
    target
        Class indices (tracks,).
    groups
        The group of each track.
    """

    def metric(name: str) -> Interval:
        return bootstrap_interval(lambda i: task.metrics(predictions[i], target[i])[name], groups)

    return Scores(len(target), metric("f1_micro"), metric("f1_macro"), task.metrics(predictions, target))


def majority_scores(task: Task, train_target: np.ndarray, target: np.ndarray, classes: int) -> dict[str, float]:
    """Metrics of always answering the training split's most frequent class."""
    counts = np.bincount(train_target, minlength=classes)
    always = np.tile(np.eye(classes, dtype=np.float32)[counts.argmax()], (len(target), 1))
    return task.metrics(always, target)
