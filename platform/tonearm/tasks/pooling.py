"""Windows pooled to tracks: evaluation and serving call the same functions."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import expit

from tonearm.core.errors import TrainingError
from tonearm.core.types import FloatArray
from tonearm.core.unit_length import unit_length

Pooling = Literal["mean_probability", "mean_logit", "vote"]
ValuePooling = Literal["mean", "median"]


def softmax(logits: FloatArray) -> FloatArray:
    """Softmax over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: FloatArray = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


def sigmoid(logits: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)) of each value."""
    fitness: FloatArray = expit(np.asarray(logits, dtype=np.float32))
    return fitness


def require_windows(logits: FloatArray) -> FloatArray:
    """What windows gave, (..., windows, outputs), if there are any.

    Raises
    ------
    TrainingError
        If not: nothing can be pooled.
    """
    if not logits.shape[-2]:
        raise TrainingError(f"0 windows of shape {logits.shape} to pool: give each track at least one window")
    return logits


def share_of_windows_won(logits: FloatArray) -> FloatArray:
    """Of each class, the share of windows whose largest logit is its own: (..., windows, classes) to (..., classes).

    NaN if a window has a NaN, which is no vote.
    """
    winners = np.eye(logits.shape[-1], dtype=np.float32)[require_windows(logits).argmax(axis=-1)]
    winners[np.isnan(logits).any(axis=-1)] = np.nan
    share: FloatArray = winners.mean(axis=-2)
    return share


def pool_probabilities(logits: FloatArray, how: Pooling) -> FloatArray:
    """Class probabilities of tracks from the logits of their windows.

    Parameters
    ----------
    logits
        float32 of shape (..., windows, classes).
    how
        ``"mean_probability"``, ``"mean_logit"`` (a geometric mean), or ``"vote"`` (the share of windows won).

    Returns
    -------
    float32 of shape (..., classes), summing to 1.
    """
    if how == "mean_logit":
        return softmax(require_windows(logits).mean(axis=-2))
    if how == "vote":
        return share_of_windows_won(logits)
    pooled: FloatArray = softmax(require_windows(logits)).mean(axis=-2)
    return pooled


def pool_fitness(logits: FloatArray, how: Pooling, threshold: float = 0.5) -> FloatArray:
    """Of each class by itself, how well tracks fit, from the logits of their windows.

    Parameters
    ----------
    logits
        float32 of shape (..., windows, classes).
    how
        ``"mean_probability"`` (of the windows' sigmoids), ``"mean_logit"`` (the sigmoid of the mean), or ``"vote"``
        (the share of windows whose sigmoid is at least ``threshold``).

    Returns
    -------
    float32 of shape (..., classes), each within 0..1.
    """
    if how == "mean_logit":
        return sigmoid(require_windows(logits).mean(axis=-2))
    fitness = sigmoid(require_windows(logits))
    if how == "vote":
        fitness = np.where(np.isnan(fitness), np.nan, fitness >= threshold).astype(np.float32)  # NaN is no vote
    pooled: FloatArray = fitness.mean(axis=-2)
    return pooled


def pool_values(values: FloatArray, how: ValuePooling) -> FloatArray:
    """The mean or the median of windows' values: (..., windows, outputs) to (..., outputs)."""
    pooled: FloatArray = (np.median if how == "median" else np.mean)(require_windows(values), axis=-2).astype(
        np.float32
    )
    return pooled


def pool_directions(vectors: FloatArray) -> FloatArray:
    """The mean direction of windows' vectors, each counted at unit length: (..., windows, dim) to (..., dim)."""
    return unit_length(unit_length(require_windows(vectors)).mean(axis=-2))
