"""How strongly notes begin in each frame, and the onset times.

The rules and their settings are those of ``librosa.onset.onset_strength`` and ``onset_detect``. Written out, because
librosa takes seconds and 60 MiB to import, and its own picker is a numba gufunc compiled into a cache that all
processes share: two that compile it at the same time leave a cache from which every later process dies of a
segmentation fault (numba stores a gufunc and its wrapper apart; seen in 7 of 15 attempts with three processes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tonearm.core.types import FloatArray
from tonearm.features.definition import AMIN_POWER

RATE, HOP = 22_050, 512  # Hz, samples
FRAMING = 2  # frames, half a window of 2048 samples: a rise is seen so much before its note
DYNAMIC_RANGE = 80.0  # dB below the loudest
MEAN_REACH = 4  # frames to each side whose mean an onset exceeds: 93 ms at a hop of 512 at 22 050 Hz
LEAST_RISE = 0.07  # above that mean, of the range of the whole recording
LEAST_DISTANCE = 2  # frames, 46 ms


def onset_strength(mel: FloatArray) -> FloatArray:
    """How much the bands of a mel spectrogram rise from the frame before, dB, their mean.

    Parameters
    ----------
    mel
        Power, shape ``(bands, frames)``, of 22 050 Hz with a hop of 512 samples and a window of 2048.

    Returns
    -------
    numpy.ndarray
        Shape ``(frames,)``, 0 or more; 0 in the first frames.
    """
    decibels = 10.0 * np.log10(np.maximum(mel, np.float32(AMIN_POWER)))
    decibels = np.maximum(decibels, decibels.max() - DYNAMIC_RANGE)
    rises = np.maximum(np.diff(decibels, axis=1), 0).mean(axis=0)
    strength: FloatArray = np.pad(rises, (1 + FRAMING, 0))[: mel.shape[1]]
    return strength


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
