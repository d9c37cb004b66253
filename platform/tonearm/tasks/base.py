"""What a task must answer."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from tonearm.core.config import Config
from tonearm.core.registry import Registry
from tonearm.core.types import FloatArray, GroundTruth

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Task(Config):
    """Base of all tasks. Networks give logits; the task knows what they mean.

    Attributes
    ----------
    primary
        The metric that decides which epoch and which trial is best.
    maximise
        Its direction.
    tie_breaker
        The metric, smaller is better, that moves with every prediction: it breaks ties of the primary one, and
        ensembles are selected by it.
    headline
        The metrics that a report gives with an interval.
    needs_classes
        Whether a label of few tracks is left out of the data set.
    uses_labels
        Whether labels are what is learnt; if not, splits need not balance them.
    trivial_name
        What :meth:`trivial` answers, for reports: ``"majority class"``.
    class_measure
        What :meth:`class_scores` gives, for reports; "" where it gives nothing.
    """

    registry: ClassVar[Registry[type[Task]]] = Registry("task")
    needs_classes: ClassVar[bool] = False
    uses_labels: ClassVar[bool] = True
    primary: ClassVar[str]
    maximise: ClassVar[bool]
    tie_breaker: ClassVar[str]
    headline: ClassVar[tuple[str, ...]]
    trivial_name: ClassVar[str]
    class_measure: ClassVar[str] = ""

    def names(self, truth: GroundTruth, classes: Sequence[str]) -> tuple[str, ...]:
        """What the outputs stand for; by default the sorted classes of the data set."""
        return tuple(classes)

    def answers(self, names: Sequence[str]) -> tuple[str, ...]:
        """What the numbers of a prediction stand for; by default each is an output of the network."""
        return tuple(names)

    def known(self, truth: GroundTruth) -> np.ndarray:
        """Which tracks have what they are judged by, bool (tracks,); by default those that have a label."""
        return np.array([bool(labels) for labels in truth.labels], dtype=bool)

    def encode(self, truth: GroundTruth, names: Sequence[str]) -> np.ndarray:
        """Targets (tracks, ...) given the outputs' names.

        Raises
        ------
        DatasetError
            If a track has none, or one that is unknown; the fact or label is named.
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
        self, wanted: Collection[str], predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """The wanted ones of :meth:`metrics`. Tasks with dear metrics compute no others: a bootstrap and the selection
        of an ensemble ask thousands of times."""
        found = self.metrics(predictions, target, groups)
        return {name: found[name] for name in wanted}

    def track_scores(self, predictions: FloatArray, target: np.ndarray) -> np.ndarray:
        """Each track's share of the primary metric, float64 (tracks,): their mean is ``metrics(...)[primary]``.

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
        """Figures of single windows, each judged by its track's target, named ``window_...``; by default none.

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
        """Figures of each class, playlist or target by its name; empty where there is nothing to tell apart."""
        return {}

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        """What needs no model: one prediction (outputs,) for every track, from the training split's targets."""
        raise TypeError(f"{type(self).__name__} must define what needs no model")

    def chance(self, outputs: int) -> float | None:
        """The primary metric of guessing classes at random; None where guessing has no meaning."""
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
        """Whether the candidate's metrics are better than the incumbent's: by the primary, then the tie_breaker one.

        NaN ranks last, and where the primary is NaN the tie_breaker one decides nothing. Anything is better than None.
        """
        return incumbent is None or self._rank(candidate) > self._rank(incumbent)

    def _rank(self, metrics: dict[str, float]) -> tuple[float, ...]:
        primary, tie_breaker = metrics[self.primary] * (1 if self.maximise else -1), -metrics[self.tie_breaker]
        if math.isnan(primary):
            return (0,)
        return (1, primary, 0) if math.isnan(tie_breaker) else (1, primary, 1, tie_breaker)
