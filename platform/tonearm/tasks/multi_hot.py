"""What tasks of several labels a track share: multi-hot targets, binary cross-entropy, fitness by sigmoid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F

from tonearm.core.types import FloatArray, GroundTruth
from tonearm.tasks.base import Task
from tonearm.tasks.labels import clip_probabilities, label_indices, require_finite
from tonearm.tasks.pooling import Pooling, pool_fitness

MIN_STATED_PROBABILITY = 0.5  # below this, a fitness does not state that a track has a class
LARGEST_WEIGHT = 20.0  # a class of one track in thousands would otherwise rule the batches that it is in


class MultiHot(Task):
    """Base of the tasks whose targets are float32 (tracks, classes) of 0 and 1.

    Attributes
    ----------
    pooling
        How the windows of a track pool; ``"vote"`` is the share of windows that speak for a class.
    class_weights
        ``"balanced"``: the positive examples of a class count by its ratio of negative to positive tracks in the
        training split (PyTorch's ``pos_weight``), at most :data:`LARGEST_WEIGHT` times. Rare classes are then found
        more often, and fitness exceeds frequency.
    """

    trivial_name: ClassVar[str] = "training frequencies"

    pooling: Pooling = "mean_probability"
    class_weights: Literal["none", "balanced"] = "none"

    def encode(self, truth: GroundTruth, names: Sequence[str]) -> np.ndarray:
        target = np.zeros((len(truth), len(names)), dtype=np.float32)
        for row, indices in zip(target, label_indices(truth, names), strict=True):
            row[indices] = 1
        return target

    def weights(self, target: np.ndarray, outputs: int) -> torch.Tensor | None:
        if self.class_weights == "none":
            return None
        positives = target.sum(axis=0)
        ratio = (len(target) - positives) / np.maximum(positives, 1)
        return torch.from_numpy(np.clip(ratio, 1 / LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.float32))

    def loss(self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Binary cross-entropy, the mean over examples and classes."""
        return F.binary_cross_entropy_with_logits(logits, target, pos_weight=weights)

    def pool(self, logits: FloatArray) -> FloatArray:
        return pool_fitness(logits, self.pooling)

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        """Of each class its share of the training tracks."""
        share: FloatArray = target.mean(axis=0).astype(np.float32)
        return share

    def confidences(self, predictions: FloatArray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Fitness of at least one half, and whether the track has that class; None if there is none, or windows voted.

        The many classes that a track does not have are left out: any model is right on most of them, and all would seem
        calibrated.
        """
        fitness = clip_probabilities(require_finite(predictions))
        stated = fitness >= MIN_STATED_PROBABILITY
        if self.pooling == "vote" or not stated.any():
            return None
        return fitness[stated], (target > 0)[stated].astype(np.float64)

    def strata(self, target: np.ndarray) -> np.ndarray:
        """The rarest of a track's classes, so that even drawing shows rare classes as often as they can be."""
        counts = target.sum(axis=0)
        rarest: np.ndarray = np.where(target > 0, counts, np.inf).argmin(axis=1)
        return rarest


def joined_names(rows: np.ndarray, names: Sequence[str]) -> list[str]:
    """Of each track, the names of the classes that its row of (tracks, classes) marks, joined by ``"; "``."""
    return ["; ".join(names[i] for i in np.flatnonzero(row).tolist()) for row in rows]
