"""Genres of table rows (Arriojas, *Predicting song genre from audio features*)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.types import FloatArray, GroundTruth
from tonearm.tasks.answers import Answer, ClassAnswer, ranked
from tonearm.tasks.labels import clip_probabilities, label_indices, require_finite
from tonearm.tasks.log_loss import SMALLEST_PROBABILITY
from tonearm.tasks.membership import Membership, even_shares, labelled_count, mean_share
from tonearm.tasks.multi_hot import joined_names
from tonearm.tasks.plots import bar_plot
from tonearm.tasks.pooling import pool_probabilities
from tonearm.tasks.ranking import hits_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Tabular(Membership, kind="tabular"):
    """Figure of merit: Keras' categorical accuracy, argmax of the prediction = argmax of the target.

    Of a multi-hot target that is the first of a track's genres *in the order of the classes*: the other genres count
    as wrong. ``any_accuracy`` takes them all.

    Attributes
    ----------
    first_label
        Targets hold only the first of a track's labels, in its own order ("first genre as the class").
    """

    may_decide: ClassVar[tuple[str, ...]] = ("any_accuracy", "log_loss")
    default_headline: ClassVar[tuple[str, ...]] = ("categorical_accuracy", "any_accuracy")

    primary: str = dataclasses.field(default="categorical_accuracy", metadata=OMIT_DEFAULT)
    first_label: bool = False

    def encode(self, truth: GroundTruth, names: Sequence[str]) -> np.ndarray:
        if not self.first_label:
            return super().encode(truth, names)
        first = [indices[0] for indices in label_indices(truth, names)]
        target: np.ndarray = np.eye(len(names), dtype=np.float32)[first]
        return target

    def pool(self, logits: FloatArray) -> FloatArray:
        """With softmax, probabilities that sum to 1, as baselines give them: the two can be compared and averaged."""
        return pool_probabilities(logits, self.pooling) if self.training == "softmax" else super().pool(logits)

    def read(self, prediction: FloatArray, names: Sequence[str]) -> Answer:
        """With softmax one class; with sigmoids the fitness of each."""
        if self.training != "softmax":
            return super().read(prediction, names)
        return ClassAnswer(ranked(prediction, names))

    def log_loss(self, predictions: FloatArray, target: np.ndarray) -> float:
        if self.training != "softmax":
            return super().log_loss(predictions, target)
        likely = np.log(np.clip(predictions.astype(np.float64), SMALLEST_PROBABILITY, 1.0))
        return float(-(even_shares(target) * likely).sum() / labelled_count(target))

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        """With softmax, the classes' shares of the training split."""
        if self.training != "softmax":
            return super().trivial(target, outputs)
        share: FloatArray = mean_share(target).astype(np.float32)
        return share

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Categorical accuracy, any accuracy (the prediction is among a track's genres), and the log loss (nats).

        Parameters
        ----------
        predictions
            Probabilities (with sigmoids: fitness) (tracks, classes).
        target
            Multi-hot (tracks, classes).
        """
        predictions = require_finite(predictions)
        return {
            "categorical_accuracy": float((predictions.argmax(axis=1) == target.argmax(axis=1)).mean()),
            "any_accuracy": float(hits_at(predictions, target, 1).mean()),
            "log_loss": self.log_loss(predictions, target),
            **self.added_metrics(predictions, target),
        }

    def track_scores(self, predictions: FloatArray, target: np.ndarray) -> np.ndarray:
        """1 for the class that categorical accuracy counts as right, 0 for another."""
        right: np.ndarray = require_finite(predictions).argmax(axis=1) == target.argmax(axis=1)
        return right.astype(np.float64)

    def confidences(self, predictions: FloatArray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The highest probability of each track, and whether categorical accuracy counts that class as right; None of
        votes."""
        highest = clip_probabilities(require_finite(predictions).max(axis=1))
        return None if self.pooling == "vote" else (highest, self.track_scores(predictions, target))

    def by_class(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """Of each class, the share of its tracks for which it was predicted (0 where it has none), and its tracks."""
        predicted = predictions.argmax(axis=1)
        out = {}
        for i, name in enumerate(names):
            own = target[:, i] > 0
            out[name] = {
                "recall": float((predicted[own] == i).mean()) if own.any() else 0.0,
                "tracks": float(own.sum()),
            }
        return out

    def readable(self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]) -> dict[str, list[Any]]:
        return {"labels": joined_names(target, names), "predicted": [names[i] for i in predictions.argmax(axis=1)]}

    def figures(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str], title: str
    ) -> dict[str, Figure]:
        each = {n: f["recall"] for n, f in self.by_class(predictions, target, names).items()}
        return {"recall_by_class": bar_plot(each, "recall", title)}
