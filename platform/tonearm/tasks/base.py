"""What a task must answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from tonearm.core.config import Config
from tonearm.core.registry import Registry
from tonearm.core.types import FloatArray, Truth

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
    smooth
        The metric, smaller is better, that moves with every prediction: it breaks ties of the primary one, and
        ensembles are selected by it.
    headline
        The metrics that a report gives with an interval.
    """

    registry: ClassVar[Registry[type[Task]]] = Registry("task")
    primary: ClassVar[str]
    maximise: ClassVar[bool]
    smooth: ClassVar[str]
    headline: ClassVar[tuple[str, ...]]

    def names(self, truth: Truth, classes: Sequence[str]) -> tuple[str, ...]:
        """What the outputs stand for; by default the sorted classes of the data set."""
        return tuple(classes)

    def encode(self, truth: Truth, names: Sequence[str]) -> np.ndarray:
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
        """Window logits (..., windows, outputs) to track predictions (..., outputs)."""
        raise TypeError(f"{type(self).__name__} must define how windows pool")

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Figures of merit of track predictions; ``groups`` names each track's artist, where that matters."""
        raise TypeError(f"{type(self).__name__} must define its metrics")

    def by_class(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """Figures of each class, playlist or target by its name; empty where there is nothing to tell apart."""
        return {}

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        """What needs no model: one prediction (outputs,) for every track, from the training split's targets."""
        raise TypeError(f"{type(self).__name__} must define what needs no model")

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
        """Whether the candidate's metrics are better than the incumbent's: by the primary, then the smooth one."""
        if incumbent is None:
            return True
        sign = 1.0 if self.maximise else -1.0
        ranks = [(sign * m[self.primary], -m[self.smooth]) for m in (candidate, incumbent)]
        return ranks[0] > ranks[1]
