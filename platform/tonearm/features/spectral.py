"""Short-time power spectra and decibels, as librosa defines them, at the machine's speed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.sparse

from tonearm.core.types import FloatArray

BLOCK = 32  # frames a block: 32 x 4096 float32 stay in the cache (PERFORMANCE.md)
TOP_DB = 80.0
AMIN_POWER = 1e-10


@lru_cache(maxsize=16)
def hann(n_fft: int) -> FloatArray:
    """Periodic Hann window, float32 of shape (n_fft,)."""
    window: FloatArray = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    return window


@lru_cache(maxsize=16)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float | None) -> scipy.sparse.csr_array:
    """librosa's Slaney-style mel filters, sparse, shape (n_mels, 1 + n_fft // 2)."""
    import librosa

    dense = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, dtype=np.float32)
    return scipy.sparse.csr_array(dense)


def banded_power(samples: FloatArray, n_fft: int, hop: int, filters: scipy.sparse.csr_array, frames: int) -> FloatArray:
    """Sum the power spectrum into bands, block by block, so that the whole spectrogram never exists.

    Parameters
    ----------
    samples
        float32 of shape (samples,).
    filters
        Shape (bands, 1 + n_fft // 2).
    frames
        Frames wanted, at most ``1 + samples // hop``; the analysis is centred and padded with zeros.

    Returns
    -------
    float32 of shape (bands, frames).
    """
    padded = np.pad(samples, (n_fft // 2, n_fft // 2))
    framed = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop][:frames]
    window = hann(n_fft)
    out = np.empty((filters.shape[0], frames), dtype=np.float32)
    for start in range(0, frames, BLOCK):
        spectrum = scipy.fft.rfft(framed[start : start + BLOCK] * window, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        out[:, start : start + BLOCK] = filters @ power.T
    return out


def power_to_db(power: FloatArray) -> FloatArray:
    """10 log10(power), reference 1, floored at 1e-10 and at 80 dB below the maximum of this very array."""
    db = np.float32(10.0) * np.log10(np.maximum(power, np.float32(AMIN_POWER)))
    floored: FloatArray = np.maximum(db, db.max() - np.float32(TOP_DB))
    return floored
