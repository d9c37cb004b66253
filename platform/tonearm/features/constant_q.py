"""The constant-Q transform as matrix products, an octave at a time (Schörkhuber & Klapuri 2010, as librosa has it).

Each octave's wavelets act on a signal that was halved in rate as often as there are octaves above it, so they are all
equally short: at 24 bins an octave from C1 to B7 and 22 050 Hz, seven products of (frames, 512) by (512, 48).
The wavelets are as librosa's, made sparse in frequency as librosa does, then taken back into time, so that a frame of
samples is multiplied once instead of being transformed and then multiplied.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray
from tonearm.features.definition import ConstantQ
from tonearm.features.filters import equal_temperament, halving_filter, sparse_wavelets

HANN_BANDWIDTH = 1.50018310546875  # bins, librosa's equivalent noise bandwidth of the Hann window
SPARSITY = 0.01  # share of each wavelet's magnitude that librosa drops
FRAMES_A_BLOCK = 128
FRAMED_SAMPLES = 2**20  # at most so many samples are laid out in frames at once


@dataclass(frozen=True)
class Octave:
    """One octave of wavelets.

    Attributes
    ----------
    decimation
        By what power of two the signal's rate is lowered, since the octave above.
    hop
        Samples between frames at that rate.
    kernel
        float32 of shape (n_fft, 2 x bins): real parts, then imaginary parts.
    bins
        Which rows of the whole transform these are.
    """

    decimation: int
    hop: int
    kernel: FloatArray
    bins: slice


def relative_bandwidth(bins_per_octave: int) -> float:
    """Bandwidth of a wavelet over its centre frequency, in equal temperament."""
    squared = 2.0 ** (2 / bins_per_octave)
    return float((squared - 1) / (squared + 1))


@lru_cache(maxsize=16)
def octaves(analysis: ConstantQ) -> tuple[Octave, ...]:
    """The wavelets of a transform, the highest octave first."""
    per_octave, n_bins = analysis.bins_per_octave, analysis.n_bins
    frequencies = equal_temperament(n_bins, per_octave, analysis.fmin)
    alpha = _bandwidths(frequencies, per_octave)
    count = math.ceil(n_bins / per_octave)
    cutoff = float((frequencies * (1 + 0.5 * HANN_BANDWIDTH * alpha)).max())
    decimation = _early_decimation(analysis.sample_rate / 2, cutoff, analysis.hop, count)
    rate, hop = analysis.sample_rate / decimation, analysis.hop // decimation
    found, top_rate = [], rate
    for i in range(count):
        bins = slice(max(0, n_bins - per_octave * (i + 1)), n_bins - per_octave * i)
        # librosa gives the lowest, incomplete octave whole and trims it; the wavelets kept are the same.
        sparse = sparse_wavelets(frequencies[bins], alpha[bins], rate, SPARSITY)
        n_fft = 2 * (sparse.shape[1] - 1)
        # Halving the rate halves the energy of a frame, and the longer wavelets of low bins sum more of it.
        at_top = top_rate / (alpha[bins] * frequencies[bins])
        scale = np.sqrt(top_rate / rate) * np.sqrt(analysis.sample_rate / rate) / np.sqrt(at_top)
        kernel = np.fft.fft(sparse.astype(np.complex128), n=n_fft, axis=1).T * scale
        found.append(
            Octave(decimation, hop, np.concatenate([kernel.real, kernel.imag], axis=1).astype(np.float32), bins)
        )
        decimation = 1
        if hop % 2 == 0 and i + 1 < count:
            decimation, hop, rate = 2, hop // 2, rate / 2
    return tuple(found)


def constant_q_power(samples: FloatArray, analysis: ConstantQ, frames: int) -> FloatArray:
    """The power of each bin in each frame.

    Parameters
    ----------
    samples
        float32 of shape (samples,), at the analysis' rate.
    frames
        Frames to compute, at most ``1 + samples // hop``; centred, zeros outside.

    Returns
    -------
    float32 of shape (n_bins, frames).
    """
    out = np.empty((analysis.n_bins, frames), dtype=np.float32)
    for octave in octaves(analysis):
        samples = lower_rate(samples, octave.decimation)
        n_fft, width = octave.kernel.shape[0], octave.kernel.shape[1] // 2
        # Whole blocks only: a product of other shape rounds otherwise, and a value must not depend on what else is
        # computed.
        block = max(8, min(FRAMES_A_BLOCK, FRAMED_SAMPLES // n_fft))
        laid_out = -(-frames // block) * block
        needed = (laid_out - 1) * octave.hop + n_fft
        padded = np.pad(samples, (n_fft // 2, max(n_fft // 2, needed - len(samples) - n_fft // 2)))
        framed = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[:: octave.hop]
        for start in range(0, frames, block):
            parts = np.ascontiguousarray(framed[start : start + block]) @ octave.kernel
            np.square(parts, out=parts)
            kept = out[octave.bins, start : start + block]
            np.add(parts[: kept.shape[1], :width].T, parts[: kept.shape[1], width:].T, out=kept)
    return out


def lower_rate(samples: FloatArray, decimation: int) -> FloatArray:
    """One sample of ``decimation`` after soxr's HQ low pass, as librosa does; ceil(n / decimation). Not scaled.

    Without soxr a rate can only be halved, by the same filter within 1e-5; a process that does so
    says it once in its log.

    Raises
    ------
    ConfigError
        If soxr is needed and not installed.
    """
    if decimation == 1:
        return samples
    length = -(-len(samples) // decimation)
    try:
        import soxr
    except ModuleNotFoundError:
        if decimation != 2:
            raise ConfigError(
                f"a rate is lowered to 1/{decimation} by soxr, which is not installed: install it, or raise fmin "
                "or n_bins so that the transform reaches higher"
            ) from None
        from scipy.signal import upfirdn

        _warn_without_soxr()
        taps = halving_filter()
        filtered: FloatArray = upfirdn(taps, samples, down=1)[len(taps) // 2 :: 2][:length]
        return np.ascontiguousarray(filtered, dtype=np.float32)
    fewer: FloatArray = soxr.resample(samples, decimation, 1, quality="HQ")
    return fewer[:length] if len(fewer) >= length else np.pad(fewer, (0, length - len(fewer)))


@lru_cache(maxsize=1)
def _warn_without_soxr() -> None:
    logging.getLogger("tonearm").warning(
        "constant-Q features are computed without soxr, which is not installed: they differ a little from those with "
        "it, and are stored under the same name. Install soxr on every machine that extracts"
    )


def _bandwidths(frequencies: npt.NDArray[np.float64], bins_per_octave: int) -> npt.NDArray[np.float64]:
    """Relative bandwidth of each wavelet, from its neighbours as librosa does it.

    It is :func:`relative_bandwidth` but for the last digit, which can decide whether a wavelet has a sample more.
    """
    if len(frequencies) == 1:
        return np.array([relative_bandwidth(bins_per_octave)])
    logarithms = np.log2(frequencies)
    density = np.empty(len(frequencies))
    density[0] = 1 / (logarithms[1] - logarithms[0])
    density[-1] = 1 / (logarithms[-1] - logarithms[-2])
    density[1:-1] = 2 / (logarithms[2:] - logarithms[:-2])
    squared = 2.0 ** (2 / density)
    bandwidths: npt.NDArray[np.float64] = (squared - 1) / (squared + 1)
    return bandwidths


def _early_decimation(nyquist: float, cutoff: float, hop: int, count: int) -> int:
    """Octaves above the highest wavelet that are never looked at; the rate can be lowered before the first octave."""
    unused = max(0, math.ceil(math.log2(nyquist / cutoff)) - 2)
    twos = (hop & -hop).bit_length() - 1
    return int(2 ** min(unused, max(0, twos - count + 1)))
