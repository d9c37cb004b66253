"""The filters of the representations, as librosa defines them; built here so that a machine without it can, too.

Tests compare them with librosa's: mel bands, pitch classes and frequencies are equal, wavelets within rounding. The
halving filter is fitted to soxr's.
"""

from __future__ import annotations

import math
import warnings
from functools import cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from tonearm.core.types import FloatArray

Doubles = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex64]

LINEAR_STEP = 200.0 / 3  # Hz a mel below KNEE, above which the scale is logarithmic (Slaney 1998)
KNEE = 1000.0
LOG_STEP = np.log(6.4) / 27.0
HALVING_CUTOFF, HALVING_BETA, HALVING_REACH = 0.4784359, 13.0468, 194.55
A4, A4_NOTE = 440.0, 69  # Hz, and its number where an octave is 12 and C is a multiple of it


def to_mels(hertz: float) -> float:
    """Frequency on Slaney's mel scale."""
    return hertz / LINEAR_STEP if hertz < KNEE else float(KNEE / LINEAR_STEP + np.log(hertz / KNEE) / LOG_STEP)


def to_hertz(mels: Doubles) -> Doubles:
    """The inverse of :func:`to_mels`."""
    knee = KNEE / LINEAR_STEP
    found: Doubles = np.where(
        mels < knee, LINEAR_STEP * mels, KNEE * np.exp(LOG_STEP * (np.maximum(mels, knee) - knee))
    )
    return found


def mel_edges(n_mels: int, fmin: float, fmax: float) -> Doubles:
    """Hz, of shape (n_mels + 2,): band i rises from edge i to edge i + 1, its centre, and falls to edge i + 2."""
    return to_hertz(np.linspace(to_mels(fmin), to_mels(fmax), n_mels + 2))


def mel_filters(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> FloatArray:
    """Triangles on the mel scale, each of area 2 over its width: float32 of shape (n_mels, 1 + n_fft // 2).

    Warns of bands that lie between two bins of the transform: they stay empty.
    """
    edges, bins = mel_edges(n_mels, fmin, fmax), np.fft.rfftfreq(n_fft, 1.0 / sample_rate)
    distance, widths = edges[:, None] - bins, np.diff(edges)[:, None]
    rising, falling = -distance[:-2] / widths[:-1], distance[2:] / widths[1:]
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    filters: FloatArray = (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    if note := empty_bands_note(sample_rate, n_fft, n_mels, fmin, fmax):
        warnings.warn(f"Empty filters: {note}", stacklevel=2)
    return filters


def empty_bands(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> int:
    """How many bands of :func:`mel_filters` lie between two bins of the transform."""
    edges, bins = mel_edges(n_mels, fmin, fmax), np.fft.rfftfreq(n_fft, 1.0 / sample_rate)
    inside = np.searchsorted(bins, edges[2:], "left") - np.searchsorted(bins, edges[:-2], "right")
    return int(np.sum(inside <= 0))


@cache
def empty_bands_note(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> str:
    """What a person should know about bands that stay empty, and how many bands there may be; "" if none does."""
    empty = empty_bands(sample_rate, n_fft, n_mels, fmin, fmax)
    if not empty:
        return ""
    most = next((n for n in range(n_mels - 1, 0, -1) if not empty_bands(sample_rate, n_fft, n, fmin, fmax)), 0)
    fewer = f"at most {most} bands have none" if most else "no number of bands has none"
    return (
        f"{empty} of {n_mels} mel bands lie between two bins of n_fft {n_fft} and stay empty: {fewer}, "
        f"a longer n_fft has room for more"
    )


def pitch_class_filters(n_bins: int, bins_per_octave: int, n_chroma: int, fmin: float) -> FloatArray:
    """Which constant-Q bins count for which pitch class, from C on: float32 of shape (n_chroma, n_bins)."""
    each = bins_per_octave // n_chroma
    lowest = round((12 * (math.log2(fmin) - math.log2(A4)) + A4_NOTE) % 12 * (n_chroma / 12))
    classes = ((np.arange(n_bins) + each // 2) // each + lowest) % n_chroma
    filters: FloatArray = (classes == np.arange(n_chroma)[:, None]).astype(np.float32)
    return filters


def equal_temperament(n_bins: int, bins_per_octave: int, fmin: float) -> Doubles:
    """Frequencies of constant-Q bins in Hz."""
    steps = 2.0 ** (np.arange(bins_per_octave) / bins_per_octave)
    every = np.multiply.outer(2.0 ** np.arange(-(-n_bins // bins_per_octave)), steps).ravel()
    frequencies: Doubles = every[:n_bins] * fmin
    return frequencies


def sparse_wavelets(frequencies: Doubles, bandwidths: Doubles, rate: float, dropped: float) -> Complexes:
    """Spectra of Hann wavelets, without the weakest bins.

    Parameters
    ----------
    frequencies
        Hz, of shape (bins,).
    bandwidths
        Of each, over its frequency.
    rate
        Hz of the signal.
    dropped
        Share of each spectrum's magnitude that is set to zero.

    Returns
    -------
    complex64 of shape (bins, 1 + n_fft // 2), n_fft the power of two that holds the longest.
    """
    from scipy.signal import get_window  # its import takes a second

    lengths = 1.0 / bandwidths * rate / frequencies
    n_fft = int(2.0 ** np.ceil(np.log2(lengths.max())))
    basis = np.zeros((len(frequencies), n_fft), np.complex64)
    for row, length, frequency in zip(basis, lengths, frequencies, strict=True):
        angle = np.arange(-length // 2, length // 2) * 2 * np.pi * frequency / rate
        wavelet = (np.cos(angle) + 1j * np.sin(angle)) * get_window("hann", len(angle))
        first = (n_fft - len(angle)) // 2
        row[first : first + len(angle)] = wavelet / np.abs(wavelet).sum()
    basis *= lengths[:, None] / n_fft
    spectra = scipy.fft.fft(basis, axis=1)[:, : n_fft // 2 + 1]
    magnitudes = np.abs(spectra)
    ordered = np.sort(magnitudes, axis=1)
    summed = np.cumsum(ordered / magnitudes.sum(axis=1, keepdims=True), axis=1)
    weakest = np.take_along_axis(ordered, np.argmin(summed < dropped, axis=1)[:, None], axis=1)
    sparse: Complexes = np.where(magnitudes >= weakest, spectra, 0).astype(np.complex64)
    return sparse


def halving_filter() -> FloatArray:
    """The low pass by which soxr's HQ halves a rate: a sinc under a Kaiser window, fitted to its impulse response.

    float32 of shape (389,); each tap is within 1e-7 of soxr's.
    """
    n = np.arange(-int(HALVING_REACH), int(HALVING_REACH) + 1)
    window = np.i0(HALVING_BETA * np.sqrt(1 - (n / HALVING_REACH) ** 2)) / np.i0(HALVING_BETA)
    taps: FloatArray = (HALVING_CUTOFF * np.sinc(HALVING_CUTOFF * n) * window).astype(np.float32)
    return taps
