"""The tempo of a recording, of its onset strength.

The rule is that of ``librosa.feature.tempo``, of fewer windows, without the mean of the onset strength, more precise.
Written out, because librosa takes seconds and 60 MiB to import.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.fft

from tonearm.core.types import FloatArray
from tonearm.features.onsets import HOP, RATE

WINDOW = 344  # frames, librosa's 8 s
STEP = 8  # frames, 0.19 s: librosa takes a window a frame, to the same mean
LEAST_PERIODICITY = 0.15  # autocorrelation at the beat: 30 s of random attacks have at most 0.14, music 0.3-0.7
NOISE_DEVIATIONS = 5.0  # shorter ones more, noise deviating by 1 / sqrt(frames); 2 % of 3-6 s of random attacks pass
FEWEST_BEATS = 3
FRAMES_A_MINUTE = 60 * RATE / HOP
LIKELIEST, FASTEST = 120.0, 320.0  # beats a minute; an octave from the likeliest is one deviation
PEAKEDNESS = 1e6  # of the autocorrelation before its logarithm, librosa's

Floats = npt.NDArray[np.float64]


def measure_tempo(onset_strength: FloatArray, seconds: float) -> tuple[float | None, str]:
    """Beats a minute; or None and why.

    Parameters
    ----------
    onset_strength
        Of each frame, shape ``(frames,)``, as :func:`tonearm.features.onsets.onset_strength` has it.
    seconds
        Of the recording.
    """
    pulse = np.pad(onset_strength - onset_strength.mean(), WINDOW // 2)  # the mean would correlate at every lag
    windows = np.lib.stride_tricks.sliding_window_view(pulse, WINDOW)[::STEP]
    correlation = autocorrelate(windows * np.hanning(WINDOW + 1)[:-1])
    correlation = correlation[correlation[:, 0] > 0]
    if not len(correlation):
        return None, "no onsets: a steady sound"
    tempogram = np.asarray((correlation / correlation[:, :1]).mean(axis=0), dtype=np.float64)
    lag = likeliest_lag(tempogram)
    if tempogram[lag] < max(LEAST_PERIODICITY, NOISE_DEVIATIONS / math.sqrt(len(onset_strength))):
        return None, "no regular pulse"
    tempo = FRAMES_A_MINUTE / _finer_lag(tempogram, lag)
    beats = seconds * tempo / 60
    if beats < FEWEST_BEATS:
        return None, f"{beats:.1f} beats in {seconds:.1f} s: a tempo takes {FEWEST_BEATS:g} at least"
    return tempo, ""


def autocorrelate(values: Floats) -> Floats:
    """Autocorrelation of rows (rows, n) at the lags 0 to n - 1; what lies beyond a row is zero."""
    n = values.shape[1]
    padded = scipy.fft.next_fast_len(2 * n - 1, real=True)
    spectrum = scipy.fft.rfft(values, padded, axis=1)
    correlation: Floats = scipy.fft.irfft(spectrum.real**2 + spectrum.imag**2, padded, axis=1)[:, :n]
    return correlation


def likeliest_lag(tempogram: Floats) -> int:
    """The beat's lag, frames: where the autocorrelation (lags,) is high, and the tempo not far from 120."""
    tempi = FRAMES_A_MINUTE / np.arange(1, len(tempogram))
    prior = np.where(tempi < FASTEST, -0.5 * np.log2(tempi / LIKELIEST) ** 2, -np.inf)
    return 1 + int(np.argmax(np.log1p(PEAKEDNESS * np.maximum(tempogram[1:], 0)) + prior))


def _finer_lag(correlation: Floats, lag: int) -> float:
    """The beat's lag in fractions of a frame.

    A whole frame is 5 BPM at 120 BPM. The peak at 2, 4 and 8 beats, where there is one, divides that by as much.
    """
    finer = float(lag)
    for beats in (1, 2, 4, 8):
        about = round(finer * beats)
        if about + 2 >= len(correlation) // 2:  # further out too little of the window overlaps
            break
        peak = about - 1 + int(np.argmax(correlation[about - 1 : about + 2]))
        left, top, right = correlation[peak - 1 : peak + 2]
        if top < max(left, right) or top <= (left + right) / 2:
            break
        finer = float(peak + (left - right) / (2 * (left - 2 * top + right))) / beats
    return finer
