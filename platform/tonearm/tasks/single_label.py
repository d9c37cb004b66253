"""One class a track: softmax and cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from tonearm.core.errors import DatasetError
from tonearm.core.types import FloatArray
from tonearm.tasks.aggregate import Pooling, pool_probabilities
from tonearm.tasks.base import Task

SMALLEST_PROBABILITY = 1e-7


class SingleLabel(Task, kind="single_label"):
    """Figure of merit: F1 micro (which is accuracy, with one label a track), as in the thesis.

    Attributes
    ----------
    pooling
        How the windows of a track pool.
    """

    primary: ClassVar[str] = "f1_micro"
    maximise: ClassVar[bool] = True

    pooling: Pooling = "mean_probability"

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits, target)

    def pool(self, logits: FloatArray) -> FloatArray:
        return pool_probabilities(logits, self.pooling)

    def metrics(self, predictions: FloatArray, target: np.ndarray) -> dict[str, float]:
        """F1 micro and macro, balanced accuracy, log loss (nats).

        Parameters
        ----------
        predictions
            Probabilities (tracks, classes).
        target
            Class indices (tracks,).
        """
        confusion = confusion_matrix(target, predictions.argmax(axis=1), predictions.shape[1])
        own = np.clip(predictions[np.arange(len(target)), target], SMALLEST_PROBABILITY, 1.0)
        present = confusion.sum(axis=1) > 0
        recall = np.diag(confusion)[present] / confusion.sum(axis=1)[present]
        return {
            "f1_micro": float(np.trace(confusion) / confusion.sum()),
            "f1_macro": float(f1_of_each_class(confusion).mean()),
            "balanced_accuracy": float(recall.mean()),
            "log_loss": float(-np.log(own).mean()),
        }

    def encode(self, labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
        index = {c: i for i, c in enumerate(classes)}
        unknown = sorted(set(labels) - set(classes))
        if unknown:
            raise DatasetError(f"labels {unknown} are none of the classes {list(classes)}")
        return np.array([index[label] for label in labels], dtype=np.int64)


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
