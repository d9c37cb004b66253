"""The log loss of probabilities, which are never taken for quite 0 or 1."""

from __future__ import annotations

import numpy as np

from tonearm.core.types import FloatArray

SMALLEST_PROBABILITY = 1e-7


def clip_open_interval(probabilities: FloatArray) -> np.ndarray:
    """Probabilities in float64, none nearer to 0 or 1 than :data:`SMALLEST_PROBABILITY`."""
    return np.clip(probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)


def binary_log_losses(probabilities: FloatArray, target: np.ndarray) -> np.ndarray:
    """Binary cross-entropy, nats, of each probability, given targets within 0..1 of the same shape: float64."""
    p = clip_open_interval(probabilities)
    losses: np.ndarray = -(target * np.log(p) + (1 - target) * np.log1p(-p))
    return losses


def binary_log_loss(probabilities: FloatArray, target: np.ndarray) -> float:
    """The mean of :func:`binary_log_losses`."""
    return float(binary_log_losses(probabilities, target).mean())
