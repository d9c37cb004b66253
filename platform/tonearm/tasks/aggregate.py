"""Windows pooled to tracks: evaluation and serving call the same function."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tonearm.core.types import FloatArray

Pooling = Literal["mean_probability", "mean_logit", "vote"]


def softmax(logits: FloatArray) -> FloatArray:
    """Softmax over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: FloatArray = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


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
        return softmax(logits.mean(axis=-2))
    if how == "vote":
        winners = np.eye(logits.shape[-1], dtype=np.float32)[logits.argmax(axis=-1)]
        share: FloatArray = winners.mean(axis=-2)
        return share
    pooled: FloatArray = softmax(logits).mean(axis=-2)
    return pooled
