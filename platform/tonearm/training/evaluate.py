"""Scores on a test split, beside those of the trivial prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray
from tonearm.statistics.intervals import Interval, bootstrap_interval
from tonearm.tasks.base import Task

RESAMPLES = (400, 2000)
CELLS_OF_ALL_RESAMPLES = 4e8  # a bootstrap of 10 000 tracks x 161 genres has 400 draws and takes two minutes


@dataclass(frozen=True)
class Scores:
    """All metrics of track predictions, the task's headline ones with an interval.

    Attributes
    ----------
    tracks
        How many were scored.
    intervals
        By metric, with a 95 % bootstrap interval over groups, since tracks of one group are no independent draws; of a
        single group it is the metric's whole range.
    metrics
        By name.
    """

    tracks: int
    intervals: dict[str, Interval]
    metrics: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Scores:
        """The inverse of :meth:`to_dict`."""
        return cls(**{**values, "intervals": {k: Interval(**v) for k, v in values["intervals"].items()}})


def score(task: Task, predictions: FloatArray, target: np.ndarray, groups: Sequence[str]) -> Scores:
    """Score track predictions: :func:`score_runs` of a single run."""
    return score_runs(task, [(predictions, target)], groups)


def score_runs(task: Task, runs: Sequence[tuple[FloatArray, np.ndarray]], groups: Sequence[str]) -> Scores:
    """Score what several runs, of one seed each, predict of the same tracks: means over the runs.

    The intervals are of these means, too: each draw of groups is scored in every run. They show how the figure would
    move with other tracks, not with other seeds.

    Parameters
    ----------
    runs
        Of each run the track predictions (tracks, outputs), as the task pools them, and the target as it encodes it:
        a target that is learned itself, such as an artist's vector, is another one in each run.
    groups
        The group of each track.
    """
    seen: dict[str, dict[str, float]] = {}

    def headline(draw: np.ndarray) -> dict[str, float]:
        # Every metric's bootstrap makes the same draws: one look at each gives all headline metrics.
        key = digest(draw.tobytes())
        if key not in seen:
            names = [groups[i] for i in draw.tolist()]
            seen[key] = _means(
                [task.selected_metrics(task.headline, p[draw], target[draw], names) for p, target in runs]
            )
        return seen[key]

    fewest, most = RESAMPLES
    resamples = int(np.clip(CELLS_OF_ALL_RESAMPLES // max(sum(p.size for p, _ in runs), 1), fewest, most))

    def interval(name: str) -> Interval:
        bounds = task.metric(name).bounds
        if len(set(groups)) < 2:  # of one artist, say: nothing is known of others
            return Interval(headline(np.arange(len(groups)))[name], *bounds)
        return bootstrap_interval(lambda draw: headline(draw)[name], groups, resamples=resamples, bounds=bounds)

    intervals = {name: interval(name) for name in task.headline}
    return Scores(len(groups), intervals, _means([task.metrics(p, target, groups) for p, target in runs]))


def _means(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    if len(runs) == 1:
        return dict(runs[0])
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}


def trivial_scores(
    task: Task, train_target: np.ndarray, target: np.ndarray, outputs: int, groups: Sequence[str] | None = None
) -> dict[str, float]:
    """Metrics of the trivial prediction for every track: the majority class, the training mean."""
    always = np.tile(task.trivial(train_target, outputs), (len(target), 1))
    return task.metrics(always, target, groups)
