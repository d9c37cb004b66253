"""A track's place in a space learnt before: artist embeddings (Whitell 2019), latent factors (Dieleman 2014)."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.errors import DatasetError, TrainingError
from tonearm.core.types import FloatArray, GroundTruth
from tonearm.core.unit_length import unit_length
from tonearm.tasks.answers import VectorAnswer
from tonearm.tasks.base import Task
from tonearm.tasks.labels import complete_values, has_metadata, metadata_values, require_finite
from tonearm.tasks.plots import cosine_plot
from tonearm.tasks.pooling import pool_directions, pool_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS_AT_ONCE = 256


class Embedding(Task, kind="embedding"):
    """Figure of merit: the mean cosine between predicted and true vectors.

    Attributes
    ----------
    target
        The metadata column to predict, a vector a track: the same for all tracks of an artist, as a rule.
    loss_kind
        ``"cosine"``: the loss is minus the cosine, as in the thesis; only directions count, so targets, pooled
        predictions and all metrics are of unit length. ``"mse"``: the mean squared error of the values themselves.
    k
        How many neighbours the ranked metrics look at.
    """

    uses_labels: ClassVar[bool] = False
    # Neither interval nor decision by the ranked metrics: a bootstrap draws fewer different artists, among whom hits
    # are easier.
    may_decide: ClassVar[tuple[str, ...]] = ("mse",)
    tie_breaker: ClassVar[str] = "mse"
    default_headline: ClassVar[tuple[str, ...]] = ("mean_cosine",)
    trivial_name: ClassVar[str] = "mean vector"

    primary: str = dataclasses.field(default="mean_cosine", metadata=OMIT_DEFAULT)
    target: str
    loss_kind: Literal["cosine", "mse"] = "cosine"
    k: int = 10

    def problems(self) -> list[str]:
        found = super().problems()
        if not self.target:
            found.append("task.target is empty: name a metadata column that is a vector")
        return found if self.k >= 1 else [*found, f"task.k is {self.k}: look at 1 neighbour or more"]

    def names(self, truth: GroundTruth, classes: Sequence[str]) -> tuple[str, ...]:
        """``target[0]``, ``target[1]``, ... for each dimension."""
        return tuple(f"{self.target}[{i}]" for i in range(metadata_values(truth, self.target, vectors=True).shape[1]))

    def has_target(self, truth: GroundTruth) -> np.ndarray:
        """The tracks that have a vector; for the cosine one with a direction."""
        has = has_metadata(truth, self.target, vectors=True)
        if self.loss_kind == "cosine":
            has &= metadata_values(truth, self.target, vectors=True).any(axis=1)
        return has

    def encode(self, truth: GroundTruth, names: Sequence[str]) -> np.ndarray:
        """Vectors (tracks, dim), float32; of unit length if the loss is the cosine."""
        target = complete_values(truth, self.target, vectors=True)
        if target.shape[1] != len(names):
            raise DatasetError(
                f"the metadata column {self.target!r} has {target.shape[1]} dimensions, the model {len(names)}: "
                "train anew on it"
            )
        if self.loss_kind == "mse":
            return target
        zeros = np.flatnonzero(~target.any(axis=1))
        if len(zeros):
            raise DatasetError(
                f"{self.target!r} is all zeros for {len(zeros)} of {len(target)} tracks, first for number {zeros[0]}: "
                "zeros have no direction; leave them out, or set task.loss_kind to 'mse'"
            )
        return unit_length(target)

    def loss(self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        if self.loss_kind == "mse":
            return F.mse_loss(logits, target)
        return -F.cosine_similarity(logits, target, dim=1).mean()

    def pool(self, logits: FloatArray) -> FloatArray:
        """The mean of the windows' vectors; for the cosine of their directions, and itself of unit length."""
        return pool_values(logits, "mean") if self.loss_kind == "mse" else pool_directions(logits)

    def read(self, prediction: FloatArray, names: Sequence[str]) -> VectorAnswer:
        return VectorAnswer(self.target, tuple(names), prediction)

    def meaning(self) -> tuple[Any, ...]:
        """Directions and values are no vectors of one space."""
        return (*super().meaning(), self.target, self.loss_kind)

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Mean cosine and MSE over tracks and dimensions; hit rate and recall at k over artists.

        An artist's predicted and true vectors are the means over its tracks here. For each artist the true
        vectors of all artists in this evaluation are ranked by their cosine to its predicted vector:

        ``hit_rate_at_k``: the share of artists whose own true vector is among the k nearest.
        ``recall_at_k``: of the k other artists whose true vectors are nearest to its own true vector, the share that
        is among the k other artists nearest to its predicted vector; the mean over artists.

        With n artists k is at most n - 1. Of a single artist both are 0: there is nothing to find.

        Parameters
        ----------
        predictions, target
            (tracks, dim).
        groups
            The artist of each track; None: each track is an artist.
        """
        basic = self.selected_metrics(("mean_cosine", "mse"), predictions, target)
        hit_rate, recall = ranked(*artist_vectors(predictions, target, groups), self.k)
        ranks = {f"hit_rate_at_{self.k}": hit_rate, f"recall_at_{self.k}": recall}
        return {**basic, **ranks, **self.added_metrics(*self._compared(predictions, target))}

    def selected_metrics(
        self,
        chosen: Collection[str],
        predictions: FloatArray,
        target: np.ndarray,
        groups: Sequence[str] | None = None,
    ) -> dict[str, float]:
        if not set(chosen) <= {"mean_cosine", "mse"}:
            return super().selected_metrics(chosen, predictions, target, groups)
        predictions, target = self._compared(predictions, target)
        squared = np.square(predictions.astype(np.float64) - target)
        found = {"mean_cosine": float(cosines(predictions, target).mean()), "mse": float(squared.mean())}
        return {name: found[name] for name in chosen}

    def track_scores(self, predictions: FloatArray, target: np.ndarray) -> np.ndarray:
        """The cosine of each track."""
        return cosines(*self._compared(predictions, target)).astype(np.float64)

    def _compared(self, predictions: FloatArray, target: np.ndarray) -> tuple[FloatArray, np.ndarray]:
        predictions = require_finite(predictions)
        if self.loss_kind == "cosine":  # the mean of several unit vectors is shorter; only its direction counts
            return unit_length(predictions), unit_length(target)
        return predictions, target

    def trivial(self, target: np.ndarray, outputs: int) -> FloatArray:
        """The mean of the training vectors; for the cosine its direction."""
        mean: FloatArray = target.mean(axis=0).astype(np.float32)
        return mean if self.loss_kind == "mse" else unit_length(mean)

    def readable(self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]) -> dict[str, list[Any]]:
        return {"cosine": cosines(predictions, target).tolist()}

    def figures(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str], title: str
    ) -> dict[str, Figure]:
        return {"cosine": cosine_plot(cosines(predictions, target), title)}


def cosines(a: np.ndarray, b: np.ndarray) -> FloatArray:
    """The cosine of each pair of rows, (n, dim) to (n,); 0 where one is all zeros."""
    products: FloatArray = (unit_length(a) * unit_length(b)).sum(axis=1)
    return np.clip(products, -1, 1)  # rounding leads a little beyond


def artist_vectors(
    predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None
) -> tuple[FloatArray, FloatArray]:
    """Each artist's mean predicted and mean true vector, both (artists, dim) and of unit length, artists sorted."""
    if groups is None:
        return unit_length(predictions), unit_length(target)
    if len(groups) != len(target):
        raise TrainingError(f"{len(target)} tracks and {len(groups)} groups: give the artist of each track")
    artists, place = np.unique(np.asarray(groups), return_inverse=True)
    tracks = np.bincount(place)[:, None]
    means = []
    for vectors in (predictions, target):
        total = np.zeros((len(artists), vectors.shape[1]))
        np.add.at(total, place, vectors)
        means.append(unit_length(total / tracks))
    return means[0], means[1]


def ranked(predicted: FloatArray, true: FloatArray, k: int) -> tuple[float, float]:
    """Hit rate and recall at k, as :meth:`Embedding.metrics` defines them, of unit vectors (artists, dim)."""
    artists = len(true)
    k = min(k, artists - 1)
    if k < 1:
        return 0.0, 0.0
    hits, found = 0, 0
    for first in range(0, artists, ROWS_AT_ONCE):  # similarities of all at once would not fit for 100 000 artists
        rows = np.arange(first, min(first + ROWS_AT_ONCE, artists))
        nearest = []
        for vectors in (predicted, true):
            similarity = vectors[rows] @ true.T
            own = similarity[np.arange(len(rows)), rows].copy()
            if vectors is predicted:
                # Ties count as misses, so that a prediction without direction hits nothing.
                hits += int(((similarity >= own[:, None]).sum(axis=1) <= k).sum())
            similarity[np.arange(len(rows)), rows] = -np.inf
            marked = np.zeros(similarity.shape, dtype=bool)
            np.put_along_axis(marked, np.argpartition(-similarity, k - 1, axis=1)[:, :k], True, axis=1)
            nearest.append(marked)
        found += int((nearest[0] & nearest[1]).sum())
    return hits / artists, found / (artists * k)
