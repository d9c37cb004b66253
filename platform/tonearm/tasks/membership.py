"""Membership of classes that are ranked by fitness: the base of playlists and of table rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from scipy.special import expit, log_softmax, logit

from tonearm.core.types import FloatArray
from tonearm.tasks.answers import Answer, FitnessAnswer, ranked
from tonearm.tasks.log_loss import SMALLEST_PROBABILITY, binary_log_loss, clip_open_interval
from tonearm.tasks.multi_hot import LARGEST_WEIGHT, MultiHot
from tonearm.tasks.pooling import share_of_windows_won


class Membership(MultiHot):
    """Base of the tasks that train by softmax or by sigmoids, and whose predictions are fitness, 0..1, either way.

    A row without a class has no target to spread: with softmax it has no weight in the loss.

    Attributes
    ----------
    training
        ``"softmax"``: cross-entropy on the raw logits, the target spread evenly over a track's classes (of one class it
        is the usual cross-entropy). ``"multi_hot"``: binary cross-entropy of each class by itself.
    class_weights
        With softmax, ``"balanced"`` weighs classes by 1 / (classes x share of the spread targets), at most
        :data:`LARGEST_WEIGHT`; with sigmoids as in :class:`MultiHot`.
    pooling
        With softmax, ``"vote"`` is the share of windows in which a class has the largest logit; with sigmoids the
        share in which its fitness is at least one half.
    """

    tie_breaker: ClassVar[str] = "log_loss"

    training: Literal["softmax", "multi_hot"] = "softmax"

    def weights(self, target: np.ndarray, outputs: int) -> torch.Tensor | None:
        if self.training == "multi_hot" or self.class_weights == "none":
            return super().weights(target, outputs)
        share = mean_share(target)
        occurs = share > 0
        weights = np.ones(outputs)
        weights[occurs] = np.minimum(1 / (occurs.sum() * share[occurs]), LARGEST_WEIGHT)
        return torch.from_numpy(weights.astype(np.float32))

    def loss(self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        if self.training == "multi_hot":
            return super().loss(logits, target, weights)
        classes = target.sum(dim=1, keepdim=True)
        parts = target / torch.where(classes > 0, classes, 1)
        if weights is not None:
            parts = parts * weights
        total = parts.sum()
        return -(parts * torch.log_softmax(logits, dim=1)).sum() / torch.where(total > 0, total, 1)

    def pool(self, logits: FloatArray) -> FloatArray:
        if self.training == "softmax" and self.pooling == "vote":
            return share_of_windows_won(logits)
        return super().pool(logits)

    def read(self, prediction: FloatArray, names: Sequence[str]) -> Answer:
        return FitnessAnswer(ranked(prediction, names))

    def meaning(self) -> tuple[Any, ...]:
        """Softmax fixes logits up to a constant: their sigmoids are no fitness by itself, as those of sigmoids are."""
        return (*super().meaning(), self.training)

    def log_loss(self, predictions: FloatArray, target: np.ndarray) -> float:
        """The unweighted training loss (nats) of pooled fitness, whose logits are had back from it."""
        if self.training == "multi_hot":
            return binary_log_loss(predictions, target)
        each = -(even_shares(target) * log_softmax(logit(clip_open_interval(predictions)), axis=1)).sum(axis=1)
        return float(each.sum() / labelled_count(target))

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        """The constant fitness of the least training loss: frequencies, for softmax by way of their logarithms."""
        if self.training == "multi_hot":
            return super().trivial(target, outputs)
        share = np.maximum(mean_share(target), SMALLEST_PROBABILITY)
        fitness: FloatArray = expit(np.log(share)).astype(np.float32)
        return fitness


def even_shares(target: np.ndarray) -> np.ndarray:
    """Multi-hot rows divided by their sums: float64 (tracks, classes). Rows of zeros stay zeros."""
    classes = target.sum(axis=1, keepdims=True)
    shares: np.ndarray = target.astype(np.float64) / np.where(classes > 0, classes, 1)
    return shares


def labelled_count(target: np.ndarray) -> int:
    """How many rows have a class, at least 1."""
    return max(int(target.any(axis=1).sum()), 1)


def mean_share(target: np.ndarray) -> np.ndarray:
    """The mean of :func:`even_shares` over the rows that have a class: (classes,)."""
    share: np.ndarray = even_shares(target).sum(axis=0) / labelled_count(target)
    return share
