"""Two models on the same tracks: the paired test that a comparison report makes, without runs in MLflow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tonearm.comparison.candidates import Candidate
from tonearm.comparison.contrast import PairedComparison, Side, compare_sides, format_with_interval
from tonearm.comparison.measure import ComparisonMetric
from tonearm.comparison.predictions import Predictions
from tonearm.core.types import FloatArray
from tonearm.tasks.base import Task


def compare_predictions(
    task: Task, target: np.ndarray, groups: Sequence[str], first: Sequence[FloatArray], second: Sequence[FloatArray],
    metric: str = "",
) -> PairedComparison | None:  # fmt: skip
    """Which of two models is better by a metric of the task, how surely.

    Parameters
    ----------
    target
        As the task encodes it, of all tracks.
    groups
        The group of each track.
    first, second
        Of each model its predictions (tracks, outputs), one array or several, whose mean score counts.
    metric
        "": the primary one.

    Returns
    -------
    None where all tracks are of one group: nothing is known of others then.
    """
    if len(set(groups)) < 2:
        return None
    ids = tuple(map(str, range(len(groups))))

    def side(name: str, runs: Sequence[FloatArray]) -> Side:
        seeds = tuple((p, target) for p in runs)
        return Side(name, (Predictions(Candidate(name, {}, ()), name, task, (), ids, tuple(groups), seeds),))

    return compare_sides(side("A", first), side("B", second), ComparisonMetric.of(task, metric), others=False)


def gain_with_interval(found: PairedComparison) -> str:
    """By how much the first is better, above 0 whichever direction is, with the ends of its interval."""
    d = found.difference
    if found.measure.maximise:
        return format_with_interval(d)
    turned = type(d)(-d.value, -d.high, -d.low, d.p, d.clusters, d.error, d.degrees_of_freedom)
    return format_with_interval(turned)
