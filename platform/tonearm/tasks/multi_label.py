"""Any number of labels a track: sigmoid and binary cross-entropy (Whitell 2019, FMA large)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.types import FloatArray
from tonearm.tasks.answers import LabelsAnswer, ranked
from tonearm.tasks.labels import require_finite
from tonearm.tasks.log_loss import binary_log_loss
from tonearm.tasks.multi_hot import MultiHot, joined_names
from tonearm.tasks.plots import bar_plot
from tonearm.tasks.pooling import pool_fitness
from tonearm.tasks.ranking import average_precision, mean_average_precision, mean_roc_auc, roc_auc

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class MultiLabel(MultiHot, kind="multi_label"):
    """Figure of merit: the mean squared error a track, as in the thesis; the better rank metrics stand beside it.

    Attributes
    ----------
    threshold
        A label is predicted where the fitness is at least this, within 0..1. If windows vote, each votes by it, and
        half of them decide.
    """

    may_decide: ClassVar[tuple[str, ...]] = (
        "hamming_loss", "f1_micro", "log_loss", "mean_average_precision", "average_precision_micro", "roc_auc",
    )  # fmt: skip
    tie_breaker: ClassVar[str] = "mse"
    class_measure: ClassVar[str] = "squared error"
    default_headline: ClassVar[tuple[str, ...]] = ("mse", "hamming_loss", "mean_average_precision")
    metric_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"mse": (0.0, 1.0)}  # of fitness, which is 0..1

    primary: str = dataclasses.field(default="mse", metadata=OMIT_DEFAULT)
    threshold: float = 0.5

    def problems(self) -> list[str]:
        found = super().problems()
        if not 0 < self.threshold < 1:
            found.append(
                f"task.threshold is {self.threshold}: a probability is compared with it, so it lies within 0 and 1"
            )
        return found

    def pool(self, logits: FloatArray) -> FloatArray:
        return pool_fitness(logits, self.pooling, self.threshold)

    def predicted_labels(self, predictions: FloatArray) -> np.ndarray:
        """Which labels are predicted, bool of the predictions' shape."""
        predicted: np.ndarray = predictions >= self.decision
        return predicted

    @property
    def decision(self) -> float:
        """The fitness from which on a label is predicted."""
        return 0.5 if self.pooling == "vote" else self.threshold

    def read(self, prediction: FloatArray, names: Sequence[str]) -> LabelsAnswer:
        given = {name for name, on in zip(names, self.predicted_labels(prediction), strict=True) if on}
        best_first = ranked(prediction, names)
        return LabelsAnswer(best_first, self.decision, tuple(name for name, _ in best_first if name in given))

    def meaning(self) -> tuple[Any, ...]:
        return (*super().meaning(), self.decision)

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Errors of the fitness, errors of the predicted labels, and how well tracks are ranked for each class.

        ``mse`` and ``log_loss`` (nats) are means over a track's classes and over tracks, ``hamming_loss`` the share of
        wrong decisions among tracks x classes, ``f1_micro`` of all of them together. ``mean_average_precision`` is the
        mean over the classes that occur, ``roc_auc`` over those that some tracks have and others lack.

        Parameters
        ----------
        predictions
            Fitness (tracks, classes).
        target
            Multi-hot (tracks, classes).
        """
        return {name: figure() for name, figure in self._figures_of_merit(predictions, target).items()}

    def selected_metrics(
        self,
        chosen: Collection[str],
        predictions: FloatArray,
        target: np.ndarray,
        groups: Sequence[str] | None = None,
    ) -> dict[str, float]:
        figures = self._figures_of_merit(predictions, target)
        return {name: figures[name]() for name in chosen}

    def _figures_of_merit(self, predictions: FloatArray, target: np.ndarray) -> dict[str, Callable[[], float]]:
        predicted, truth = self.predicted_labels(require_finite(predictions)), target > 0
        return {
            "mse": lambda: float(np.square(predictions.astype(np.float64) - target).mean()),
            "hamming_loss": lambda: float((predicted != truth).mean()),
            "f1_micro": lambda: float(2 * (predicted & truth).sum() / max(predicted.sum() + truth.sum(), 1)),
            "log_loss": lambda: binary_log_loss(predictions, target),
            "mean_average_precision": lambda: mean_average_precision(predictions, target),
            "average_precision_micro": lambda: average_precision(predictions.ravel(), target.ravel()),
            "roc_auc": lambda: mean_roc_auc(predictions, target),
            **{name: partial(self.added_metric, name, predictions, target) for name in self.added},
        }

    def track_scores(self, predictions: FloatArray, target: np.ndarray) -> np.ndarray:
        """The mean squared error over a track's classes."""
        scores: np.ndarray = self.class_scores(predictions, target).mean(axis=1)
        return scores

    def class_scores(self, predictions: FloatArray, target: np.ndarray) -> np.ndarray:
        """The squared error of each track's fitness for each class."""
        scores: np.ndarray = np.square(require_finite(predictions).astype(np.float64) - target)
        return scores

    def by_class(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """Average precision, ROC-AUC, precision, recall and F1 of each class, and its tracks."""
        predicted, truth = self.predicted_labels(predictions), target > 0
        hits, positive, true = (predicted & truth).sum(axis=0), predicted.sum(axis=0), truth.sum(axis=0)
        return {
            name: {
                "average_precision": average_precision(predictions[:, i], target[:, i]),
                "roc_auc": roc_auc(predictions[:, i], target[:, i]),
                "precision": float(hits[i] / max(positive[i], 1)),
                "recall": float(hits[i] / max(true[i], 1)),
                "f1": float(2 * hits[i] / max(positive[i] + true[i], 1)),
                "tracks": float(true[i]),
            }
            for i, name in enumerate(names)
        }

    def readable(self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]) -> dict[str, list[Any]]:
        return {
            "labels": joined_names(target, names),
            "predicted": joined_names(self.predicted_labels(predictions), names),
        }

    def figures(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str], title: str
    ) -> dict[str, Figure]:
        each = {n: f["average_precision"] for n, f in self.by_class(predictions, target, names).items()}
        return {"average_precision_by_class": bar_plot(each, "average precision", title)}
