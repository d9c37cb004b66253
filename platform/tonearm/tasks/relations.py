"""Related or not: what a table of artists' vectors learns from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.types import FloatArray, GroundTruth
from tonearm.tasks.base import Task
from tonearm.tasks.labels import clip_probabilities, complete_values, require_finite
from tonearm.tasks.log_loss import binary_log_loss, binary_log_losses
from tonearm.tasks.pooling import pool_fitness
from tonearm.tasks.ranking import roc_auc

RELATED = "related"


class Relations(Task, kind="relations"):
    """Pairs of artists, 1 for related and 0 for random ones; sigmoid and binary cross-entropy (Whitell 2019).

    The network's outputs are the numbers of an artist's vector; its prediction for a pair is one logit. It is judged on
    one random artist a related one, drawn evenly, whatever it is trained with.

    Attributes
    ----------
    dimension
        Length of the vectors.
    loss_kind
        ``"log_loss"``, or ``"hinge"``: a pair costs what its logit lacks to be ``margin`` above 0, or below it if it is
        a random one. A hinge teaches no probabilities: let ``primary`` be ``roc_auc``.
    margin
        Of the hinge, in units of the logit, > 0.
    negatives
        Random artists a related one in training, >= 1; together they weigh as much as the related ones.
    sampling
        How these are drawn: evenly, or by the 3/4 power of how often an artist is related to others (Mikolov et al.
        2013), so that it does not suffice to know who is popular.
    held_out
        Whether nothing is learned from relations with artists of the test split, who are no random artists either; else
        all are learned from, as in the thesis. Artists of the validation split are learned from: they stop a training,
        and are no result.
    """

    uses_labels: ClassVar[bool] = False
    may_decide: ClassVar[tuple[str, ...]] = ("roc_auc", "accuracy")
    tie_breaker: ClassVar[str] = "log_loss"
    default_headline: ClassVar[tuple[str, ...]] = ("log_loss", "roc_auc")
    trivial_name: ClassVar[str] = "share of related pairs"

    primary: str = dataclasses.field(default="log_loss", metadata=OMIT_DEFAULT)
    dimension: int = 800
    loss_kind: Literal["log_loss", "hinge"] = dataclasses.field(default="log_loss", metadata=OMIT_DEFAULT)
    margin: float = dataclasses.field(default=1.0, metadata=OMIT_DEFAULT)
    negatives: int = dataclasses.field(default=1, metadata=OMIT_DEFAULT)
    sampling: Literal["uniform", "popularity"] = dataclasses.field(default="uniform", metadata=OMIT_DEFAULT)
    held_out: bool = dataclasses.field(default=False, metadata=OMIT_DEFAULT)

    def problems(self) -> list[str]:
        found = super().problems()
        if self.dimension < 1:
            found.append(f"dimension is {self.dimension}: a vector has at least one number")
        if self.negatives < 1:
            found.append(f"negatives is {self.negatives}: draw at least one random artist a related one")
        if not 0 < self.margin < math.inf:
            found.append(f"margin is {self.margin}: it must be above 0 and finite")
        if self.loss_kind != "hinge" and self.margin != 1:
            found.append(f"margin is {self.margin}, and the log loss has none: set loss_kind to 'hinge'")
        return found

    def names(self, truth: GroundTruth, classes: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"vector[{i}]" for i in range(self.dimension))

    def output_names(self, names: Sequence[str]) -> tuple[str, ...]:
        return (RELATED,)

    def has_target(self, truth: GroundTruth) -> np.ndarray:
        """Every artist: each has its vector, and pairs are made of those that have relations."""
        return np.ones(len(truth), dtype=bool)

    def encode(self, truth: GroundTruth, names: Sequence[str]) -> np.ndarray:
        return complete_values(truth, RELATED, vectors=False)

    def loss(self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        if self.loss_kind == "log_loss":
            costs = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
        else:
            costs = torch.relu(self.margin - torch.where(target > 0, logits[:, 0], -logits[:, 0]))
        if self.negatives == 1:
            return costs.mean()
        shares = torch.where(target > 0, 1.0, 1 / self.negatives)
        return (shares * costs).sum() / shares.sum()

    def pool(self, logits: FloatArray) -> FloatArray:
        return pool_fitness(logits, "mean_logit")

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Log loss (nats), area under the ROC curve, and accuracy at one half."""
        p = require_finite(predictions)[:, 0]
        return {
            "log_loss": binary_log_loss(p, target),
            "roc_auc": roc_auc(p, target),
            "accuracy": float(np.mean((p > 0.5) == (target > 0))),
            **self.added_metrics(predictions, target),
        }

    def track_scores(self, predictions: FloatArray, target: np.ndarray) -> np.ndarray:
        """The log loss (nats) of each pair."""
        return binary_log_losses(require_finite(predictions)[:, 0], target)

    def confidences(self, predictions: FloatArray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The probability that each pair is related, and whether it is."""
        return clip_probabilities(require_finite(predictions)[:, 0]), (target > 0).astype(np.float64)

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        return np.array([target.mean()], dtype=np.float32)
