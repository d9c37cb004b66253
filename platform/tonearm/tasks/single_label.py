"""One class a track: softmax and cross-entropy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.types import FloatArray, GroundTruth
from tonearm.tasks.answers import ClassAnswer, ranked
from tonearm.tasks.base import Task
from tonearm.tasks.labels import clip_probabilities, label_indices, require_finite
from tonearm.tasks.log_loss import SMALLEST_PROBABILITY
from tonearm.tasks.plots import bar_plot, confusion_plot
from tonearm.tasks.pooling import Pooling, pool_probabilities

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_CONFUSION_CLASSES = 40


class SingleLabel(Task, kind="single_label"):
    """Figure of merit: F1 micro (which is accuracy, with one label a track), as in the thesis.

    Of a track with several labels the first is its class.

    Attributes
    ----------
    pooling
        How the windows of a track pool.
    class_weights
        ``"balanced"``: the loss of a class counts by tracks / (classes x its tracks) of the training split, so that
        all classes weigh the same; a batch's loss is the weighted mean.
    label_smoothing
        This share of each target is spread evenly over all classes (Szegedy et al. 2016), within 0..1.
    """

    # Not top 3 or 5, which data of few classes do not have.
    may_decide: ClassVar[tuple[str, ...]] = ("f1_macro", "balanced_accuracy", "log_loss")
    needs_classes: ClassVar[bool] = True
    tie_breaker: ClassVar[str] = "log_loss"
    default_headline: ClassVar[tuple[str, ...]] = ("f1_micro", "f1_macro")
    trivial_name: ClassVar[str] = "majority class"

    primary: str = dataclasses.field(default="f1_micro", metadata=OMIT_DEFAULT)
    pooling: Pooling = "mean_probability"
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = 0.0

    def problems(self) -> list[str]:
        found = super().problems()
        if not 0 <= self.label_smoothing < 1:
            found.append(f"task.label_smoothing is {self.label_smoothing}: it must be at least 0 and below 1")
        return found

    def encode(self, truth: GroundTruth, names: Sequence[str]) -> np.ndarray:
        return np.array([indices[0] for indices in label_indices(truth, names)], dtype=np.int64)

    def weights(self, target: np.ndarray, outputs: int) -> torch.Tensor | None:
        if self.class_weights == "none":
            return None
        counts = np.bincount(target, minlength=outputs)
        occurs = counts > 0
        weights = np.ones(outputs)  # a class without training tracks: its weight meets no target
        weights[occurs] = len(target) / (occurs.sum() * counts[occurs])
        return torch.from_numpy(weights.astype(np.float32))

    def loss(self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits, target, weight=weights, label_smoothing=self.label_smoothing)

    def pool(self, logits: FloatArray) -> FloatArray:
        return pool_probabilities(logits, self.pooling)

    def read(self, prediction: FloatArray, names: Sequence[str]) -> ClassAnswer:
        return ClassAnswer(ranked(prediction, names))

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """F1 micro and macro, balanced accuracy, log loss (nats), and top 3 and 5 where there are more classes.

        Parameters
        ----------
        predictions
            Probabilities (tracks, classes).
        target
            Class indices (tracks,).
        """
        predictions = require_finite(predictions)
        confusion = confusion_matrix(target, predictions.argmax(axis=1), predictions.shape[1])
        own = predictions[np.arange(len(target)), target]
        # Classes that come before the own one: of equal probabilities the first class wins, as in argmax.
        equal_before = (predictions == own[:, None]) & (np.arange(predictions.shape[1]) < target[:, None])
        place = ((predictions > own[:, None]) | equal_before).sum(axis=1)
        return {
            **{name: figure(confusion) for name, figure in OF_CONFUSION.items()},
            "log_loss": _log_loss(own),
            **{f"top_{k}": float((place < k).mean()) for k in (3, 5) if k < predictions.shape[1]},
            **self.added_metrics(predictions, target),
        }

    def selected_metrics(
        self,
        chosen: Collection[str],
        predictions: FloatArray,
        target: np.ndarray,
        groups: Sequence[str] | None = None,
    ) -> dict[str, float]:
        known = {"log_loss", *OF_CONFUSION}
        if not known.issuperset(chosen) or type(self).metrics is not SingleLabel.metrics:  # a task of one's own
            return super().selected_metrics(chosen, predictions, target, groups)
        predictions = require_finite(predictions)
        found: dict[str, float] = {}
        if "log_loss" in chosen:
            found["log_loss"] = _log_loss(predictions[np.arange(len(target)), target])
        if wanted := OF_CONFUSION.keys() & chosen:
            confusion = confusion_matrix(target, predictions.argmax(axis=1), predictions.shape[1])
            found |= {name: OF_CONFUSION[name](confusion) for name in wanted}
        return {name: found[name] for name in chosen}

    def track_scores(self, predictions: FloatArray, target: np.ndarray) -> np.ndarray:
        """1 for the right class, 0 for another."""
        right: np.ndarray = require_finite(predictions).argmax(axis=1) == target
        return right.astype(np.float64)

    def confidences(self, predictions: FloatArray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The highest probability of each track, and whether that class is right (Guo et al. 2017); None of votes."""
        highest = clip_probabilities(require_finite(predictions).max(axis=1))
        return None if self.pooling == "vote" else (highest, self.track_scores(predictions, target))

    def by_class(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """Precision, recall and F1 of each class (0 where nothing was predicted or true), and its tracks."""
        confusion = confusion_matrix(target, predictions.argmax(axis=1), len(names))
        hits, predicted, true = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
        return {
            name: {
                "precision": float(hits[i] / max(predicted[i], 1)),
                "recall": float(hits[i] / max(true[i], 1)),
                "f1": float(2 * hits[i] / max(predicted[i] + true[i], 1)),
                "tracks": float(true[i]),
            }
            for i, name in enumerate(names)
        }

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        """Always the training split's most frequent class."""
        majority = np.bincount(target, minlength=outputs).argmax()
        certain: FloatArray = np.eye(outputs, dtype=np.float32)[majority]
        return certain

    def chance(self, outputs: int) -> float | None:
        return 1 / outputs if self.primary in ("f1_micro", "balanced_accuracy") else None

    def strata(self, target: np.ndarray) -> np.ndarray:
        """The class."""
        return target

    def readable(self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]) -> dict[str, list[Any]]:
        return {"label": [names[i] for i in target], "predicted": [names[i] for i in predictions.argmax(axis=1)]}

    def figures(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str], title: str
    ) -> dict[str, Figure]:
        """The confusion matrix, or the F1 of each class where a matrix would be too large to read."""
        if len(names) > MAX_CONFUSION_CLASSES:
            f1 = {name: figures["f1"] for name, figures in self.by_class(predictions, target, names).items()}
            return {"f1_by_class": bar_plot(f1, "F1", title)}
        confusion = confusion_matrix(target, predictions.argmax(axis=1), len(names))
        own = self.metrics(predictions, target)[self.primary]
        return {
            "confusion": confusion_plot(confusion, names, f"{title}\n{self.primary} {own:.3f}, {len(target)} tracks")
        }


def _log_loss(own: np.ndarray) -> float:
    """Of the probabilities of the right classes, (tracks,)."""
    return float(-np.log(np.clip(own, SMALLEST_PROBABILITY, 1.0)).mean())


def confusion_matrix(target: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts of shape (classes, classes): rows are the truth, columns the prediction."""
    counts = np.bincount(target * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def f1_of_each_class(confusion: np.ndarray) -> np.ndarray:
    """F1 of the classes that occur in truth or prediction (as scikit-learn counts them), 0 where nothing was hit."""
    hits = np.diag(confusion).astype(np.float64)
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    occurs = total > 0
    scores: np.ndarray = 2 * hits[occurs] / total[occurs]
    return scores


def _accuracy(confusion: np.ndarray) -> float:
    return float(np.trace(confusion) / confusion.sum())


def _mean_f1(confusion: np.ndarray) -> float:
    return float(f1_of_each_class(confusion).mean())


def _mean_recall(confusion: np.ndarray) -> float:
    """Over the classes that occur."""
    true = confusion.sum(axis=1)
    return float((np.diag(confusion)[true > 0] / true[true > 0]).mean())


OF_CONFUSION: dict[str, Callable[[np.ndarray], float]] = {
    "f1_micro": _accuracy,
    "f1_macro": _mean_f1,
    "balanced_accuracy": _mean_recall,
}
"""The metrics that counts alone tell, which a bootstrap asks for thousands of times."""
