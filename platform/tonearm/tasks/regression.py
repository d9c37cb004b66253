"""Numbers of a track: danceability, energy, tempo."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.errors import DatasetError
from tonearm.core.types import FloatArray, GroundTruth
from tonearm.tasks.answers import Value, ValuesAnswer
from tonearm.tasks.base import Task
from tonearm.tasks.labels import complete_values, has_metadata, require_finite
from tonearm.tasks.plots import scatter_plot
from tonearm.tasks.pooling import ValuePooling, pool_values, sigmoid
from tonearm.tasks.ranking import spearman

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Regression(Task, kind="regression"):
    """Figure of merit: the mean absolute error a track, whose prediction pools those of its windows.

    Predictions and metrics are in the target's own unit; the loss is taken on the scale of ``low`` to ``high``.

    Attributes
    ----------
    target
        The metadata column to predict, or several, separated by commas, each an output.
    loss_kind
        ``"mse"``, ``"mae"``, or ``"huber"``: squared below ``huber_delta``, absolute above.
    huber_delta
        On the scale of the loss, > 0.
    squash
        ``"sigmoid"``: outputs lie within ``low`` to ``high``, as in the danceability networks, and so must the targets.
        ``"none"``: any number.
    low, high
        This range is mapped to 0..1 for the loss, and predictions back. Both None: values are used as they are.
    pooling
        ``"mean"`` or ``"median"`` of the windows' values.
    units
        Of the targets, for people: ``"BPM"``; of several targets separated by commas, one each. "": none is named.
    """

    uses_labels: ClassVar[bool] = False
    may_decide: ClassVar[tuple[str, ...]] = ("mse", "r2", "spearman")
    tie_breaker: ClassVar[str] = "mse"
    default_headline: ClassVar[tuple[str, ...]] = ("mae", "mse", "r2", "spearman")
    trivial_name: ClassVar[str] = "training mean"

    primary: str = dataclasses.field(default="mae", metadata=OMIT_DEFAULT)
    target: str
    loss_kind: Literal["mse", "mae", "huber"] = "mse"
    huber_delta: float = 0.1
    squash: Literal["sigmoid", "none"] = "sigmoid"
    low: float | None = None
    high: float | None = None
    pooling: ValuePooling = "mean"
    units: str = dataclasses.field(default="", metadata=OMIT_DEFAULT)

    def problems(self) -> list[str]:
        found = super().problems()
        if not all(self.targets) or len(set(self.targets)) < len(self.targets):
            found.append(
                f"task.target is {self.target!r}: name a metadata column, or several different ones separated by commas"
            )
        if (self.low is None) != (self.high is None):
            found.append(f"task.low is {self.low} and task.high {self.high}: give both ends of the range or neither")
        elif not -math.inf < self.range[0] < self.range[1] < math.inf:
            found.append(f"task.low {self.low} is not below task.high {self.high}: give a finite range")
        if self.units and len(self.units.split(",")) != len(self.targets):
            found.append(f"task.units is {self.units!r} for the targets {self.target!r}: give one each, or none")
        if not 0 < self.huber_delta < math.inf:
            found.append(f"task.huber_delta is {self.huber_delta}: it must be above 0 and finite")
        return found

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the metadata columns."""
        return tuple(name.strip() for name in self.target.split(","))

    @property
    def unit_of(self) -> dict[str, str]:
        """Of each target its unit, or ""."""
        given = self.units.split(",") if self.units else [""] * len(self.targets)
        return {name: unit.strip() for name, unit in zip(self.targets, given, strict=True)}

    @property
    def range(self) -> tuple[float, float]:
        """The values that 0 and 1 of the loss's scale stand for."""
        return (0.0, 1.0) if self.low is None or self.high is None else (self.low, self.high)

    def names(self, truth: GroundTruth, classes: Sequence[str]) -> tuple[str, ...]:
        return self.targets

    def has_target(self, truth: GroundTruth) -> np.ndarray:
        """The tracks that have all targets."""
        return np.asarray(np.all([has_metadata(truth, name, vectors=False) for name in self.targets], axis=0))

    def encode(self, truth: GroundTruth, names: Sequence[str]) -> np.ndarray:
        """Values (tracks, targets), float32, in their own unit."""
        target = np.stack([complete_values(truth, name, vectors=False) for name in names], axis=1)
        low, high = self.range
        for name, values in zip(names, target.T, strict=True):
            if self.squash == "sigmoid" and len(values) and not (low <= values.min() and values.max() <= high):
                raise DatasetError(
                    f"{name!r} reaches from {values.min():g} to {values.max():g}, a sigmoid from {low:g} to {high:g}: "
                    "set task.low and task.high to the range of the column, or task.squash to 'none'"
                )
        return target

    def loss(self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        low, high = self.range
        predicted = torch.sigmoid(logits) if self.squash == "sigmoid" else logits
        scaled = (target - low) / (high - low)
        if self.loss_kind == "mse":
            return F.mse_loss(predicted, scaled)
        if self.loss_kind == "mae":
            return F.l1_loss(predicted, scaled)
        return F.huber_loss(predicted, scaled, delta=self.huber_delta)

    def pool(self, logits: FloatArray) -> FloatArray:
        low, high = self.range
        values = pool_values(sigmoid(logits) if self.squash == "sigmoid" else logits, self.pooling)
        pooled: FloatArray = (low + (high - low) * values).astype(np.float32)
        return pooled

    def read(self, prediction: FloatArray, names: Sequence[str]) -> ValuesAnswer:
        """Of each target its value; of sigmoids also between which ends it lies."""
        low, high = self.range if self.squash == "sigmoid" else (None, None)
        pairs = zip(names, map(float, prediction), strict=True)
        return ValuesAnswer(tuple(Value(name, value, self.unit_of.get(name, ""), low, high) for name, value in pairs))

    def meaning(self) -> tuple[Any, ...]:
        return (*super().meaning(), self.targets, self.units)

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """MAE, MSE, R² and Spearman's rank correlation, each the mean over the targets if they are several.

        R² is 1 - squared error / squared deviation from the tracks' own mean: 0 for the mean, below for worse. Where
        the truth does not vary it is 1 for a perfect prediction and else 0, as in scikit-learn, and Spearman's is 0.

        Parameters
        ----------
        predictions, target
            (tracks, targets) in the targets' own unit.
        """
        predictions = require_finite(predictions)
        each = [errors(predictions[:, i], target[:, i]) for i in range(target.shape[1])]
        own = {name: float(np.mean([e[name] for e in each])) for name in each[0]}
        return {**own, **self.added_metrics(predictions, target)}

    def track_scores(self, predictions: FloatArray, target: np.ndarray) -> np.ndarray:
        """The mean absolute error over a track's targets."""
        scores: np.ndarray = np.abs(require_finite(predictions).astype(np.float64) - target).mean(axis=1)
        return scores

    def window_metrics(self, window_logits: Sequence[FloatArray], target: np.ndarray) -> dict[str, float]:
        """The same of single windows, each labelled by its song, as the source did: ``window_mae`` and so on."""
        predictions = np.concatenate([self.pool(logits[:, None, :]) for logits in window_logits])
        repeated = np.repeat(target, [len(logits) for logits in window_logits], axis=0)
        return {f"window_{name}": value for name, value in self.metrics(predictions, repeated).items()}

    def by_class(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """The metrics of each target; empty if there is only one."""
        if len(names) == 1:
            return {}
        return {name: errors(predictions[:, i], target[:, i]) for i, name in enumerate(names)}

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        """The mean of the training split."""
        mean: FloatArray = target.mean(axis=0).astype(np.float32)
        return mean

    def readable(self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]) -> dict[str, list[Any]]:
        """Of each target, the true value and the error (predicted - true)."""
        out: dict[str, list[Any]] = {}
        for i, name in enumerate(names):
            out[f"true_{name}"] = target[:, i].tolist()
            out[f"error_{name}"] = (predictions[:, i] - target[:, i]).tolist()
        return out

    def figures(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str], title: str
    ) -> dict[str, Figure]:
        return {"scatter": scatter_plot(predictions, target, names, title)}


def errors(predicted: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """MAE, MSE, R² and Spearman's rank correlation of one target, (tracks,) each."""
    predicted, target = predicted.astype(np.float64), target.astype(np.float64)
    squared, varies = np.square(predicted - target), np.square(target - target.mean()).sum()
    constant = 1.0 if not squared.any() else 0.0
    return {
        "mae": float(np.abs(predicted - target).mean()),
        "mse": float(squared.mean()),
        "r2": float(1 - squared.sum() / varies) if varies > 0 else constant,
        "spearman": spearman(predicted, target),
    }
