"""Base class of all tasks."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.errors import ConfigError, TrainingError
from tonearm.core.plugins import Registration, load_plugins
from tonearm.core.registry import Registry
from tonearm.core.types import FloatArray, GroundTruth
from tonearm.tasks.answers import Readable
from tonearm.tasks.metrics import METRICS, Metric, find_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MetricFunction = Callable[[FloatArray, np.ndarray], float]  # of track predictions and the target, as metrics() has them


class Task(Readable):
    """Base of all tasks. Networks give logits; the task knows what they mean.

    Attributes
    ----------
    primary
        The metric that decides: which epoch is kept, when to stop or to lower the rate, which trial is best, what is
        selected and promoted. By default the task's figure of merit, ``default_primary``.
    may_decide
        What ``primary`` may be, besides metrics of one's own (:meth:`add_metric`).
    tie_breaker
        A metric, smaller is better, that moves with every prediction: it breaks ties, and selects ensembles.
    default_headline
        The metrics that a report gives with an interval.
    needs_classes
        Whether a label of few tracks is left out of the data set.
    uses_labels
        Whether labels are what is learnt; if not, splits need not balance them.
    trivial_name
        What :meth:`trivial` predicts, for reports: ``"majority class"``.
    class_measure
        What :meth:`class_scores` gives, for reports; "" where it gives nothing.
    added, added_by
        Functions of :meth:`add_metric`, and the modules that called it, by name.
    metric_ranges
        The ends of a metric's range, by name, where this task's values reach less far than :data:`METRICS` says.
    """

    registry: ClassVar[Registry[type[Task]]] = Registry("task")
    needs_classes: ClassVar[bool] = False
    uses_labels: ClassVar[bool] = True
    may_decide: ClassVar[tuple[str, ...]] = ()
    tie_breaker: ClassVar[str]
    default_headline: ClassVar[tuple[str, ...]]
    trivial_name: ClassVar[str]
    class_measure: ClassVar[str] = ""
    added: ClassVar[Mapping[str, MetricFunction]] = {}
    added_by: ClassVar[Mapping[str, Registration]] = {}
    metric_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}

    primary: str = dataclasses.field(default="", metadata=OMIT_DEFAULT)

    def problems(self) -> list[str]:
        """Whether the primary metric is one of the task's. Overrides begin with these."""
        load_plugins()  # modules of one's own may add metrics
        if self.primary in ("", *self.choices):
            return []
        return [f"task.primary is {self.primary!r}: {self.kind} can be evaluated by {', '.join(self.choices)}"]

    def own_code(self) -> tuple[Any, ...]:
        return (*super().own_code(), *([self.added_by[self.primary]] if self.primary in self.added_by else []))

    @property
    def default_primary(self) -> str:
        """The task's figure of merit, which :meth:`track_scores` are of."""
        return type(self).primary

    @property
    def choices(self) -> tuple[str, ...]:
        """What ``primary`` may be."""
        return tuple(dict.fromkeys((self.default_primary, *self.may_decide, *self.added)))

    @property
    def maximise(self) -> bool:
        """The primary metric's direction."""
        return find_metric(self.primary).maximise

    def metric(self, name: str) -> Metric:
        """The metric of a name, as :func:`find_metric` has it, with the range of this task's values."""
        found = find_metric(name)
        low, high = self.metric_ranges.get(found.name, (found.low, found.high))
        return dataclasses.replace(found, low=low, high=high)

    @property
    def headline(self) -> tuple[str, ...]:
        """The metrics that a report gives with an interval, the primary one first."""
        return tuple(dict.fromkeys((self.primary, *self.default_headline)))

    @property
    def selected_by(self) -> tuple[str, ...]:
        """What models and members are selected by, in this order: the tie breaker, since hits of few dozen tracks move
        in large steps; before it a primary metric that was chosen, or any where windows vote: shares are no odds."""
        first = self.primary not in (self.default_primary, self.tie_breaker) or getattr(self, "pooling", "") == "vote"
        return tuple(dict.fromkeys((self.primary, self.tie_breaker))) if first else (self.tie_breaker,)

    @classmethod
    def add_metric(cls, metric: Metric, function: MetricFunction) -> None:
        """Let this task report one more metric: in all logs and reports, and as what ``primary`` may be.

        Parameters
        ----------
        metric
            Its name, direction and range.
        function
            Maps track predictions and the target, as :meth:`metrics` has them, to a value within the range, of any
            tracks: a bootstrap draws some of them.

        Raises
        ------
        ConfigError
            If the name is taken by another metric, or the task reports this one already.
        """
        if metric.name not in METRICS or METRICS[metric.name] != metric:
            METRICS.add(metric.name, metric)
        # The module whose import registers it, wherever the function is from.
        caller = Registration(str(sys._getframe(1).f_globals["__name__"]), metric.name)
        own = (cls.primary, *cls.may_decide, getattr(cls, "tie_breaker", ""), *getattr(cls, "default_headline", ()))
        if metric.name in own or cls.added_by.get(metric.name, caller) != caller:
            raise ConfigError(f"{cls.__name__} reports {metric.name!r} already: give your metric another name")
        cls.added_by = {**cls.added_by, metric.name: caller}
        cls.added = {**cls.added, metric.name: function}

    def added_metrics(self, predictions: FloatArray, target: np.ndarray) -> dict[str, float]:
        """Those of :meth:`add_metric`, which every task's :meth:`metrics` ends with."""
        return {name: self.added_metric(name, predictions, target) for name in self.added}

    def added_metric(self, name: str, predictions: FloatArray, target: np.ndarray) -> float:
        """One of :meth:`added_metrics`.

        Raises
        ------
        TrainingError
            If it lies outside of its range.
        """
        return METRICS[name].checked(float(self.added[name](predictions, target)), len(target))

    def names(self, truth: GroundTruth, classes: Sequence[str]) -> tuple[str, ...]:
        """What the outputs stand for; by default the sorted classes of the data set."""
        return tuple(classes)

    def output_names(self, names: Sequence[str]) -> tuple[str, ...]:
        """What the numbers of a prediction stand for; by default each is an output of the network."""
        return tuple(names)

    def has_target(self, truth: GroundTruth) -> np.ndarray:
        """Which tracks have a target, bool (tracks,); by default those that have a label."""
        return np.array([bool(labels) for labels in truth.labels], dtype=bool)

    def encode(self, truth: GroundTruth, names: Sequence[str]) -> np.ndarray:
        """Targets (tracks, ...) given the outputs' names.

        Raises
        ------
        DatasetError
            If a track has none, or one that is unknown; the metadata column or label is named.
        """
        raise TypeError(f"{type(self).__name__} must define its targets")

    def weights(self, target: np.ndarray, outputs: int) -> torch.Tensor | None:
        """Weights (outputs,) of the loss from the training split's targets, for classes of unequal size; or None."""
        return None

    def loss(self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Mean loss of a batch; logits (batch, outputs), target as :meth:`encode` gives it, one row an example."""
        raise TypeError(f"{type(self).__name__} must define its loss")

    def pool(self, logits: FloatArray) -> FloatArray:
        """Window logits (..., windows, outputs) to track predictions (..., outputs).

        Raises
        ------
        TrainingError
            If there are no windows.
        """
        raise TypeError(f"{type(self).__name__} must define how windows pool")

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Figures of merit of track predictions; ``groups`` names each track's artist, where that matters.

        Raises
        ------
        TrainingError
            If there are no predictions, or some are not finite.
        """
        raise TypeError(f"{type(self).__name__} must define its metrics")

    def selected_metrics(
        self,
        chosen: Collection[str],
        predictions: FloatArray,
        target: np.ndarray,
        groups: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """The named ones of :meth:`metrics`. Tasks with expensive metrics compute no others: a bootstrap and the
        selection of an ensemble call this thousands of times."""
        found = self.metrics(predictions, target, groups)
        return {name: found[name] for name in chosen}

    def track_scores(self, predictions: FloatArray, target: np.ndarray) -> np.ndarray:
        """Each track's share of the figure of merit, float64 (tracks,): its mean is ``metrics(...)[default_primary]``.

        Raises
        ------
        TrainingError
            As :meth:`metrics`.
        """
        raise TypeError(f"{type(self).__name__} must define its tracks' scores")

    def class_scores(self, predictions: FloatArray, target: np.ndarray) -> np.ndarray:
        """The parts of :meth:`track_scores` that are of single classes, float64 (tracks, classes); their means over
        the classes are the track scores. Of tasks with a ``class_measure``."""
        raise TypeError(f"{type(self).__name__} scores no single classes")

    def confidences(self, predictions: FloatArray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Stated probabilities within 0..1 and whether it was so, 0 or 1, both float64 (statements,): what a
        reliability diagram is drawn from. None, the default, where predictions are no probabilities.

        Raises
        ------
        TrainingError
            As :meth:`metrics`.
        """
        return None

    def window_metrics(self, window_logits: Sequence[FloatArray], target: np.ndarray) -> dict[str, float]:
        """Figures of single windows, each compared with its track's target, named ``window_...``; by default none.

        Parameters
        ----------
        window_logits
            Of each track, logits (windows, outputs).
        target
            Of the tracks, as :meth:`encode` gives it.
        """
        return {}

    def by_class(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """Figures of each class, playlist or target by its name; empty where there are not several."""
        return {}

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        """The trivial prediction (outputs,), the same for every track, from the training split's targets alone."""
        raise TypeError(f"{type(self).__name__} must define its trivial prediction")

    def chance(self, outputs: int) -> float | None:
        """The primary metric of guessing classes at random; None where there is no such figure."""
        return None

    def strata(self, target: np.ndarray) -> np.ndarray:
        """One whole number a track, by which balanced sampling draws evenly; all zero where there are no classes."""
        return np.zeros(len(target), dtype=np.int64)

    def readable(self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]) -> dict[str, list[Any]]:
        """Columns for people beside the numbers, such as the names of the true and the predicted class."""
        return {}

    def figures(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str], title: str
    ) -> dict[str, Figure]:
        """Plots of the predictions by file name without its suffix, e.g. ``confusion``."""
        return {}

    def better(self, candidate: dict[str, float], incumbent: dict[str, float] | None) -> bool:
        """Whether the candidate's metrics are better than the incumbent's: by the primary, then the tie breaker.

        NaN ranks last, and where the primary is NaN the tie breaker decides nothing. Anything is better than None.
        """
        return incumbent is None or self._rank(candidate) > self._rank(incumbent)

    def _rank(self, metrics: dict[str, float]) -> tuple[float, ...]:
        lacking = [name for name in (self.primary, self.tie_breaker) if name not in metrics]
        if lacking:
            raise TrainingError(
                f"{self.kind} needs {', '.join(lacking)}, its metrics() reports {', '.join(metrics)}: report it"
            )
        primary, tie_breaker = metrics[self.primary] * (1 if self.maximise else -1), -metrics[self.tie_breaker]
        if math.isnan(primary):
            return (0,)
        return (1, primary, 0) if math.isnan(tie_breaker) else (1, primary, 1, tie_breaker)
