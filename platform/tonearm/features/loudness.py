"""Loudness as broadcasters measure it: ITU-R BS.1770-4 (integrated) and EBU Tech 3342 (range), at any sample rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tonearm.core.types import Waveform

Floats = npt.NDArray[np.float64]

STEPS_A_SECOND = 10  # 400 ms blocks with 75 % overlap begin every 100 ms; 3 s blocks are made of the same steps
BLOCK_STEPS = 4
SHORT_TERM_STEPS = 30
ABSOLUTE_GATE = -70.0  # LUFS
INTEGRATED_GATE = -10.0  # LU, relative to what passed the absolute gate
RANGE_GATE = -20.0
RANGE_PERCENTILES = (10, 95)
SHORTEST_RANGE_SECONDS = 6.0  # two blocks of 3 s that share no sample: with fewer there is nothing to compare
OFFSET = -0.691  # so that 997 Hz at full scale in one channel is -3.01 LUFS
STEPS_AT_ONCE = 20  # 2 s: the filters' samples stay in the cache, and an hour takes no more memory than that


#: By the number of channels, in the order of WAV and FLAC.
CHANNEL_WEIGHTS = {5: np.array([1, 1, 1, 1.41, 1.41]), 6: np.array([1, 1, 1, 0, 1.41, 1.41])}


@dataclass(frozen=True)
class Loudness:
    """Loudness of a recording.

    Attributes
    ----------
    integrated
        LUFS, above -70; None where no block of 400 ms is louder than that.
    range
        LU, >= 0; None for less than 6 s, or where no block of 3 s is above -70 LUFS.
    """

    integrated: float | None
    range: float | None


def measure_loudness(waveform: Waveform) -> Loudness:
    """Integrated loudness and loudness range.

    Parameters
    ----------
    waveform
        Mono is one channel, so the same signal in two is 3.01 LU louder. Of five and six channels (left, right, centre,
        perhaps low frequencies, two surrounds) those behind weigh 1.41 and the low frequencies nothing; others 1.

    Notes
    -----
    ITU-R BS.1770-4 (2015): K-weighting, mean squares of blocks of 400 ms that overlap by 75 %, an absolute gate at
    -70 LUFS and a relative one 10 LU below the mean of what passed. EBU Tech 3342 (2016): blocks of 3 s, here every
    100 ms, gates at -70 LUFS and -20 LU, the difference of the 95th and the 10th percentile.
    """
    powers = _step_powers(waveform)
    blocks = _gated(_moving_mean(powers, BLOCK_STEPS), INTEGRATED_GATE)
    integrated = _lufs(float(blocks.mean())) if len(blocks) else None
    short_term = _gated(_moving_mean(powers, SHORT_TERM_STEPS), RANGE_GATE)
    if waveform.duration < SHORTEST_RANGE_SECONDS or not len(short_term):
        return Loudness(integrated, None)
    low, high = np.percentile(short_term, RANGE_PERCENTILES, method="nearest")
    return Loudness(integrated, _lufs(float(high)) - _lufs(float(low)))


@lru_cache(maxsize=16)
def k_weighting(sample_rate: int) -> Floats:
    """The head's shelf and the high-pass of BS.1770 as second-order sections, float64 of shape (2, 6).

    The standard gives coefficients for 48 kHz only. The analogue filters behind them, brought to another rate by the
    bilinear transform with their corner frequencies kept, give the same coefficients at 48 kHz and the same loudness
    at others: within 0.03 LU from 22 050 Hz on, 0.21 LU at 8 kHz (measured at 100, 997 and 3000 Hz). The high-pass's
    gain, which the standard leaves 0.04 dB above 1, is kept too.
    """
    from scipy.signal import bilinear

    def section(corner: float, q: float, numerator: tuple[float, float, float]) -> Floats:
        warped = 2 * sample_rate * math.tan(math.pi * corner / sample_rate)  # the bilinear transform bends it back
        scale = np.array([1 / warped**2, 1 / warped, 1.0])
        b, a = bilinear(np.array(numerator) * scale, np.array([1.0, 1 / q, 1.0]) * scale, fs=sample_rate)
        return np.concatenate([b, a])

    gain = 10 ** (3.999843853973347 / 20)
    shelf_q = 0.7071752369554196
    shelf = section(1681.974450955533, shelf_q, (gain, gain**0.4996667741545416 / shelf_q, 1.0))
    corner, q = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * corner / 48_000)
    high_pass = section(corner, q, (1 + k / q + k * k, 0.0, 0.0))
    return np.stack([shelf, high_pass])


def _step_powers(waveform: Waveform) -> Floats:
    """Mean square of the K-weighted samples, summed over channels, of each whole 100 ms."""
    from scipy.signal import lfilter, sos2tf

    samples, rate = waveform.samples, waveform.sample_rate
    steps = samples.shape[1] * STEPS_A_SECOND // rate
    edges = np.arange(steps + 1) * rate // STEPS_A_SECOND  # at 11 025 Hz steps take turns at being a sample longer
    b, a = sos2tf(k_weighting(rate))  # one filter of order 4 takes two thirds of the time; the levels are the same
    state = np.zeros((len(samples), len(a) - 1))
    powers = np.empty(steps)
    weights = CHANNEL_WEIGHTS.get(len(samples))
    for first in range(0, steps, STEPS_AT_ONCE):
        cuts = edges[first : first + STEPS_AT_ONCE + 1]
        weighted, state = lfilter(b, a, samples[:, cuts[0] : cuts[-1]].astype(np.float64), axis=1, zi=state)
        squares: Floats = np.square(weighted, out=weighted).sum(axis=0) if weights is None else weights @ weighted**2
        powers[first : first + STEPS_AT_ONCE] = np.add.reduceat(squares, cuts[:-1] - cuts[0]) / np.diff(cuts)
    return powers


def _moving_mean(powers: Floats, steps: int) -> Floats:
    """Means of all runs of so many steps; empty where there are fewer."""
    if len(powers) < steps:
        return np.empty(0)
    means: Floats = np.lib.stride_tricks.sliding_window_view(powers, steps).mean(axis=1)
    return means


def _gated(blocks: Floats, relative_gate: float) -> Floats:
    """The mean squares of the blocks that pass the absolute and then the relative gate."""
    loud = blocks[blocks > _mean_square(ABSOLUTE_GATE)]
    if not len(loud):
        return loud
    kept: Floats = loud[loud > loud.mean() * 10 ** (relative_gate / 10)]
    return kept


def _lufs(mean_square: float) -> float:
    return OFFSET + 10 * math.log10(mean_square)


def _mean_square(lufs: float) -> float:
    return float(10 ** ((lufs - OFFSET) / 10))
