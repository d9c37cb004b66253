"""Combining the predictions of several models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tonearm.core.types import FloatArray


def weighted_mean(predictions: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """The weighted mean of predictions of the same shape; weights are made to sum to 1."""
    share = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    mean: FloatArray = np.tensordot(share, np.stack(predictions).astype(np.float64), axes=1).astype(np.float32)
    return mean
