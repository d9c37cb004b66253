"""Onset times from the onset strength.

The rule and its settings are those of ``librosa.onset.onset_detect``. Written out, because librosa's own is a numba
gufunc compiled into a cache that all processes share: two that compile it at the same time leave a cache from which
every later process dies of a segmentation fault (numba stores a gufunc and its wrapper apart; seen in 7 of 15 attempts
with three processes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tonearm.core.types import FloatArray

MEAN_REACH = 4  # frames to each side whose mean an onset exceeds: 93 ms at a hop of 512 at 22 050 Hz
LEAST_RISE = 0.07  # above that mean, of the range of the whole recording
LEAST_DISTANCE = 2  # frames, 46 ms


def pick_onsets(strength: FloatArray) -> npt.NDArray[np.int64]:
    """Frames at which notes begin.

    Parameters
    ----------
    strength
        Onset strength of each frame, shape ``(frames,)``, 22 050 Hz with a hop of 512 samples.

    Returns
    -------
    numpy.ndarray
        Ascending frame numbers. None where the strength is the same everywhere.

    Notes
    -----
    S. Böck, F. Krebs, M. Schedl, "Evaluating the online capabilities of onset detection methods", ISMIR 2012. A frame
    is an onset if it is no lower than the one before, is clearly above the mean around it, and does not directly follow
    another onset.
    """
    scaled = np.asarray(strength, dtype=np.float64)
    scaled = scaled - scaled.min()
    if not scaled.any():
        return np.zeros(0, dtype=np.int64)
    scaled /= scaled.max()
    frames = np.arange(len(scaled))
    first, last = np.maximum(frames - MEAN_REACH, 0), np.minimum(frames + MEAN_REACH + 1, len(scaled))
    sums = np.concatenate([[0.0], np.cumsum(scaled)])
    means = (sums[last] - sums[first]) / (last - first)
    rises = np.concatenate([[True], scaled[1:] >= scaled[:-1]])
    onsets: list[int] = []
    for frame in np.flatnonzero(rises & (scaled >= means + LEAST_RISE)):
        if not onsets or frame - onsets[-1] >= LEAST_DISTANCE:
            onsets.append(int(frame))
    return np.array(onsets, dtype=np.int64)
