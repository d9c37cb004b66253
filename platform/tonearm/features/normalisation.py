"""Normalisation, applied on reading: training and serving call the same two functions."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import FloatArray
from tonearm.features.base import Normalisation

FloatVector = npt.NDArray[np.float64]
Float16Array = npt.NDArray[np.float16]

SMALLEST_DEVIATION = 1e-3  # in the representation's unit: a constant frame (digital silence) is centred, not blown up
LARGEST_HALF = 65504.0
ROWS_A_BLOCK = 64  # so that the float64 copies stay in the cache


@dataclass(frozen=True)
class ClipStatistics:
    """Mean and deviation in the representation's unit, of all rows.

    Attributes
    ----------
    frame_mean, frame_deviation
        float32 of shape (frames,), or (2, frames) for two planes; empty for a waveform, whose frames are samples.
    mean, deviation
        Of the whole clip.
    """

    frame_mean: FloatArray
    frame_deviation: FloatArray
    mean: float
    deviation: float


@dataclass(frozen=True)
class TrainingStatistics:
    """Mean and deviation of all values of a training split, in the representation's unit."""

    mean: float
    deviation: float


def half_precision(values: FloatArray) -> Float16Array:
    """Values as they are stored, and as serving sees them too: float16, C-contiguous.

    Raises
    ------
    AudioError
        ``not_finite``, or ``too_loud`` if a value is beyond what float16 holds.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise AudioError("not_finite", "a computed feature is not finite")
    if max(-low, high) > LARGEST_HALF:
        raise AudioError("too_loud", f"a value is {max(-low, high):.3g}, beyond the {LARGEST_HALF:g} of float16")
    if torch := sys.modules.get("torch"):  # up to seven times faster, the same bits; some 300 MB to import it for this
        half: Float16Array = torch.from_numpy(np.ascontiguousarray(values)).to(torch.float16).numpy()
        return half
    return np.ascontiguousarray(values, dtype=np.float16)


def pool_statistics(means: FloatVector, deviations: FloatVector, sizes: FloatVector) -> TrainingStatistics:
    """Mean and deviation of many clips together, from those of each and how many values it has."""
    weights = np.asarray(sizes, dtype=np.float64) / np.sum(sizes)
    mean = float(np.dot(weights, means))
    square = float(np.dot(weights, np.square(deviations) + np.square(means)))
    return TrainingStatistics(mean, float(np.sqrt(max(0.0, square - mean**2))))


def statistics(values: FloatArray) -> ClipStatistics:
    """Statistics of a representation of shape (freq_bins, frames) or (2, freq_bins, frames), summed in float64."""
    rows = values.shape[-2]
    # Sums of squares about a value near the mean lose nothing to cancellation.
    centre = float(values[..., :1, :].mean(dtype=np.float64))
    total = np.zeros((*values.shape[:-2], values.shape[-1]))
    squares = np.zeros_like(total)
    for start in range(0, rows, ROWS_A_BLOCK):
        block = values[..., start : start + ROWS_A_BLOCK, :].astype(np.float64)
        block -= centre
        total += block.sum(axis=-2)
        np.multiply(block, block, out=block)
        squares += block.sum(axis=-2)
    mean = float(total.mean()) / rows
    deviation = float(np.sqrt(max(0.0, float(squares.mean()) / rows - mean**2)))
    if rows == 1:
        nothing = np.empty(0, dtype=np.float32)
        return ClipStatistics(nothing, nothing, mean + centre, deviation)
    frame_mean = total / rows
    frame_deviation = np.sqrt(np.maximum(0.0, squares / rows - frame_mean**2))
    return ClipStatistics(
        (frame_mean + centre).astype(np.float32), frame_deviation.astype(np.float32), mean + centre, deviation
    )


def normalise(
    values: FloatArray,
    stats: ClipStatistics,
    how: Normalisation,
    start: int = 0,
    training: TrainingStatistics | None = None,
) -> FloatArray:
    """Normalise a window of a representation.

    Parameters
    ----------
    values
        float32 of shape (freq_bins, window) or (2, freq_bins, window), the frames from ``start`` on.
    stats
        Of the whole clip: a window is normalised by what its clip has.
    how
        ``"frame"``, ``"track"``, ``"training"`` or ``"none"``.
    training
        Of the training split, for ``"training"``.

    Raises
    ------
    ConfigError
        If they are needed and not given.
    """
    if how == "none":
        return values
    if how != "frame":
        if how == "training" and training is None:
            raise ConfigError("normalisation 'training' needs the training split's statistics, which a bundle holds")
        whole = training if how == "training" and training else stats
        scaled = (values - np.float32(whole.mean)) / np.float32(max(whole.deviation, SMALLEST_DEVIATION))
        return scaled.astype(np.float32, copy=False)
    part = slice(start, start + values.shape[-1])
    mean, deviation = stats.frame_mean[..., None, part], stats.frame_deviation[..., None, part]
    scaled = (values - mean) / np.maximum(deviation, np.float32(SMALLEST_DEVIATION))
    return scaled.astype(np.float32, copy=False)
