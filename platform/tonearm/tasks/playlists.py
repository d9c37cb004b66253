"""How well a song fits each of many playlists (Stern, *Classifying Music to Spotify Editorial Playlists*)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.types import FloatArray
from tonearm.tasks.labels import require_finite
from tonearm.tasks.membership import Membership
from tonearm.tasks.multi_hot import joined_names
from tonearm.tasks.plots import bar_plot
from tonearm.tasks.ranking import hits_at, mean_average_precision

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOP_K = (1, 3, 5)


class Playlists(Membership, kind="playlists"):
    """Figure of merit: top-1 accuracy, a hit being *any* playlist that the song is on.

    Stern trained on one playlist a song by cross-entropy (``training="softmax"``) and showed sigmoids of the logits as
    fitness; here songs keep all of their playlists.
    """

    may_decide: ClassVar[tuple[str, ...]] = ("top_3", "top_5", "mean_average_precision", "log_loss")
    default_headline: ClassVar[tuple[str, ...]] = ("top_1", "top_3", "top_5")

    primary: str = dataclasses.field(default="top_1", metadata=OMIT_DEFAULT)

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Top-1, 3 and 5 accuracy, mean average precision over the playlists that occur, and the log loss (nats).

        Parameters
        ----------
        predictions
            Fitness (tracks, playlists).
        target
            Multi-hot (tracks, playlists).
        """
        predictions = require_finite(predictions)
        return {
            **{f"top_{k}": float(hits_at(predictions, target, k).mean()) for k in TOP_K},
            "mean_average_precision": mean_average_precision(predictions, target),
            "log_loss": self.log_loss(predictions, target),
            **self.added_metrics(predictions, target),
        }

    def track_scores(self, predictions: FloatArray, target: np.ndarray) -> np.ndarray:
        """1 where the fittest playlist is one that the song is on, else 0."""
        return hits_at(require_finite(predictions), target, 1).astype(np.float64)

    def confidences(self, predictions: FloatArray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Only of sigmoids that were trained as such: softmax fixes logits up to a constant, so theirs mean nothing."""
        found = super().confidences(predictions, target)
        return found if self.training == "multi_hot" else None

    def by_class(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """Top-1, 3 and 5 accuracy over each playlist's songs (0 where it has none), and how many they are."""
        hits = {f"top_{k}": hits_at(predictions, target, k) for k in TOP_K}
        out = {}
        for i, name in enumerate(names):
            own = target[:, i] > 0
            figures = {k: float(hit[own].mean()) if own.any() else 0.0 for k, hit in hits.items()}
            out[name] = {**figures, "tracks": float(own.sum())}
        return out

    def readable(self, predictions: FloatArray, target: np.ndarray, names: Sequence[str]) -> dict[str, list[Any]]:
        """The true playlists, and the three of largest fitness, best first."""
        best = np.argsort(-predictions, axis=1, kind="stable")[:, :3]
        return {"labels": joined_names(target, names), "predicted": ["; ".join(names[i] for i in row) for row in best]}

    def figures(
        self, predictions: FloatArray, target: np.ndarray, names: Sequence[str], title: str
    ) -> dict[str, Figure]:
        each = {n: f["top_1"] for n, f in self.by_class(predictions, target, names).items()}
        return {"top_1_by_playlist": bar_plot(each, "top-1 accuracy", title)}
