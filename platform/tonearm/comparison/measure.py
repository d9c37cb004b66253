"""The metric that decides a comparison."""

from __future__ import annotations

from dataclasses import dataclass

from tonearm.tasks.base import Task
from tonearm.tasks.metrics import Metric


@dataclass(frozen=True)
class ComparisonMetric:
    """The metric that decides.

    Attributes
    ----------
    metric
        With its direction and range.
    by_track
        Whether :meth:`Task.track_scores` are of it: it is a mean over tracks, and these can be swapped.
    """

    metric: Metric
    by_track: bool

    @classmethod
    def of(cls, task: Task, name: str = "") -> ComparisonMetric:
        """A metric of a task, by default the primary one.

        Raises
        ------
        UnknownNameError
            If it is not registered, so that its direction is not known.
        """
        name = name or task.primary
        return cls(task.metric(name), name == task.default_primary)

    @property
    def name(self) -> str:
        return self.metric.name

    @property
    def maximise(self) -> bool:
        return self.metric.maximise
