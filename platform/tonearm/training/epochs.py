"""What a training reports of each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tonearm.core.types import FloatArray

State = dict[str, Any]


@dataclass(frozen=True)
class EpochReport:
    """Result of one epoch.

    Attributes
    ----------
    epoch
        From 1, counted through all rounds.
    metrics
        ``train_loss``, ``validation_...``, ``lr``, ``round`` (from 0), ``epoch_seconds``.
    improved
        Whether this is the best epoch so far; the network then holds the weights to keep.
    predictions
        Track predictions on the validation split (tracks, outputs).
    state
        All that is needed to go on exactly from here.
    """

    epoch: int
    metrics: dict[str, float]
    improved: bool
    predictions: FloatArray
    state: State
