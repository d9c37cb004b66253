"""What a task must answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from tonearm.core.config import Config
from tonearm.core.registry import Registry
from tonearm.core.types import FloatArray


class Task(Config):
    """Base of all tasks. Networks give logits; the task knows what they mean.

    Attributes
    ----------
    primary
        The metric that decides which epoch and which trial is best.
    maximise
        Its direction.
    """

    registry: ClassVar[Registry[type[Task]]] = Registry("task")
    primary: ClassVar[str]
    maximise: ClassVar[bool]

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch; logits (batch, outputs)."""
        raise TypeError(f"{type(self).__name__} must define its loss")

    def pool(self, logits: FloatArray) -> FloatArray:
        """Window logits (tracks, windows, outputs) to track predictions (tracks, outputs)."""
        raise TypeError(f"{type(self).__name__} must define how windows pool")

    def metrics(self, predictions: FloatArray, target: np.ndarray) -> dict[str, float]:
        """Figures of merit of track predictions."""
        raise TypeError(f"{type(self).__name__} must define its metrics")

    def encode(self, labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
        """Targets of the labels, given the sorted class names."""
        raise TypeError(f"{type(self).__name__} must define its targets")

    def better(self, candidate: dict[str, float], incumbent: dict[str, float] | None) -> bool:
        """Whether the candidate's metrics are better than the incumbent's, by the primary metric, then by the loss."""
        if incumbent is None:
            return True
        sign = 1.0 if self.maximise else -1.0
        ranks = [(sign * m[self.primary], -m["log_loss"]) for m in (candidate, incumbent)]
        return ranks[0] > ranks[1]
