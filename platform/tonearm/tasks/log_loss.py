"""The log loss of probabilities, which are never taken for quite 0 or 1."""

from __future__ import annotations

import numpy as np

from tonearm.core.types import FloatArray

SMALLEST_PROBABILITY = 1e-7


def within(probabilities: FloatArray) -> np.ndarray:
    """Probabilities in float64, none nearer to 0 or 1 than :data:`SMALLEST_PROBABILITY`."""
    return np.clip(probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)


def binary_log_loss(probabilities: FloatArray, target: np.ndarray) -> float:
    """Mean binary cross-entropy, nats, of probabilities and of targets within 0..1 of the same shape."""
    p = within(probabilities)
    return float(-(target * np.log(p) + (1 - target) * np.log1p(-p)).mean())
