"""Normalisation, applied on reading: training and serving call the same two functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonearm.core.types import FloatArray
from tonearm.features.base import Normalisation

SMALLEST_DEVIATION = 1e-3  # dB: a constant frame (digital silence) is centred, not blown up


@dataclass(frozen=True)
class Statistics:
    """Mean and deviation in the representation's unit: per frame, float32 of shape (frames,), and of the whole."""

    frame_mean: FloatArray
    frame_deviation: FloatArray
    mean: float
    deviation: float


def statistics(values: FloatArray) -> Statistics:
    """Statistics of a representation of shape (freq_bins, frames), computed in float64."""
    wide = values.astype(np.float64)
    return Statistics(
        wide.mean(axis=0).astype(np.float32),
        wide.std(axis=0).astype(np.float32),
        float(wide.mean()),
        float(wide.std()),
    )


def normalise(values: FloatArray, stats: Statistics, how: Normalisation, start: int = 0) -> FloatArray:
    """Normalise a window of a representation.

    Parameters
    ----------
    values
        float32 of shape (freq_bins, window), the frames from ``start`` on.
    stats
        Of the whole clip: a window is normalised by what its clip has.
    how
        ``"frame"``, ``"track"`` or ``"none"``.
    """
    if how == "none":
        return values
    if how == "track":
        scaled = (values - np.float32(stats.mean)) / np.float32(max(stats.deviation, SMALLEST_DEVIATION))
        return scaled.astype(np.float32, copy=False)
    part = slice(start, start + values.shape[1])
    scaled = (values - stats.frame_mean[part]) / np.maximum(stats.frame_deviation[part], SMALLEST_DEVIATION)
    return scaled.astype(np.float32, copy=False)
