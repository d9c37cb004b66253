"""Vectors of unit length."""

from __future__ import annotations

import numpy as np

from tonearm.core.types import FloatArray


def unit_length(vectors: np.ndarray) -> FloatArray:
    """Vectors (..., dim) divided by their length; zeros stay zeros."""
    vectors = vectors.astype(np.float64)
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    vectors = vectors / np.where(largest == 0, 1, largest)  # squares of what is tiny or huge are no numbers
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: FloatArray = (vectors / np.where(length == 0, 1, length)).astype(np.float32)
    return unit
