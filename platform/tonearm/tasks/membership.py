"""Membership of classes that are ranked by fitness: the base of playlists and of table rows."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
from scipy.special import expit, log_softmax, logit

from tonearm.core.types import FloatArray
from tonearm.tasks.aggregate import share_of_windows_won
from tonearm.tasks.multi_hot import LARGEST_WEIGHT, SMALLEST_PROBABILITY, MultiHot, binary_log_loss


class Membership(MultiHot):
    """Base of the tasks that train by softmax or by sigmoids, and whose predictions are fitness, 0..1, either way.

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

    maximise: ClassVar[bool] = True
    smooth: ClassVar[str] = "log_loss"

    training: Literal["softmax", "multi_hot"] = "softmax"

    def weights(self, target: np.ndarray, outputs: int) -> torch.Tensor | None:
        if self.training == "multi_hot" or self.class_weights == "none":
            return super().weights(target, outputs)
        share = spread(target).mean(axis=0)
        occurs = share > 0
        weights = np.ones(outputs)
        weights[occurs] = np.minimum(1 / (occurs.sum() * share[occurs]), LARGEST_WEIGHT)
        return torch.from_numpy(weights.astype(np.float32))

    def loss(self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        if self.training == "multi_hot":
            return super().loss(logits, target, weights)
        parts = target / target.sum(dim=1, keepdim=True)
        if weights is not None:
            parts = parts * weights
        return -(parts * torch.log_softmax(logits, dim=1)).sum() / parts.sum()

    def pool(self, logits: FloatArray) -> FloatArray:
        if self.training == "softmax" and self.pooling == "vote":
            return share_of_windows_won(logits)
        return super().pool(logits)

    def log_loss(self, predictions: FloatArray, target: np.ndarray) -> float:
        """The unweighted training loss (nats) of pooled fitness, whose logits are had back from it."""
        if self.training == "multi_hot":
            return binary_log_loss(predictions, target)
        fitness = np.clip(predictions.astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        return float(-(spread(target) * log_softmax(logit(fitness), axis=1)).sum(axis=1).mean())

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        """The constant fitness of the least training loss: frequencies, for softmax by way of their logarithms."""
        if self.training == "multi_hot":
            return super().trivial(target, outputs)
        share = np.maximum(spread(target).mean(axis=0), SMALLEST_PROBABILITY)
        fitness: FloatArray = expit(np.log(share)).astype(np.float32)
        return fitness


def spread(target: np.ndarray) -> np.ndarray:
    """Multi-hot rows divided by their sums: float64 (tracks, classes)."""
    shares: np.ndarray = target.astype(np.float64) / target.sum(axis=1, keepdims=True)
    return shares
