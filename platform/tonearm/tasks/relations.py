"""Related or not: what a table of artists' vectors learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from tonearm.core.types import FloatArray, Truth
from tonearm.tasks.aggregate import sigmoid
from tonearm.tasks.base import Task
from tonearm.tasks.labels import numbers
from tonearm.tasks.ranking import roc_auc

SMALLEST_PROBABILITY = 1e-7
RELATED = "related"


class Relations(Task, kind="relations"):
    """Pairs of artists, 1 for related and 0 for random ones; sigmoid and binary cross-entropy (Whitell 2019).

    The network's outputs are the numbers of an artist's vector; its answer for a pair is one logit.

    Attributes
    ----------
    dimension
        Length of the vectors.
    """

    primary: ClassVar[str] = "log_loss"
    maximise: ClassVar[bool] = False
    smooth: ClassVar[str] = "log_loss"
    headline: ClassVar[tuple[str, ...]] = ("log_loss", "roc_auc")
    trivial_name: ClassVar[str] = "share of related pairs"

    dimension: int = 800

    def problems(self) -> list[str]:
        return [] if self.dimension >= 1 else [f"dimension is {self.dimension}: a vector has at least one number"]

    def names(self, truth: Truth, classes: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"vector[{i}]" for i in range(self.dimension))

    def answers(self, names: Sequence[str]) -> tuple[str, ...]:
        return (RELATED,)

    def known(self, truth: Truth) -> np.ndarray:
        """Every artist: each has its vector, and pairs are made of those that have relations."""
        return np.ones(len(truth), dtype=bool)

    def encode(self, truth: Truth, names: Sequence[str]) -> np.ndarray:
        return numbers(truth, RELATED, vectors=False)

    def loss(self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target)

    def pool(self, logits: FloatArray) -> FloatArray:
        return sigmoid(logits.mean(axis=-2))

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Log loss (nats), area under the ROC curve, and accuracy at one half."""
        p = np.clip(predictions[:, 0].astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        return {
            "log_loss": float(-np.mean(np.where(target > 0, np.log(p), np.log1p(-p)))),
            "roc_auc": roc_auc(p, target),
            "accuracy": float(np.mean((p > 0.5) == (target > 0))),
        }

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        return np.array([target.mean()], dtype=np.float32)
