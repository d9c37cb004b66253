"""The definition of a representation as data, executed by ``engine`` (numpy) and ``batched`` (torch).

The steps, in order: an analysis gives the power of each bin in each frame; ``bands`` sum it; then decibels or
amplitudes; ``contrast`` compares the strongest with the weakest of them, or ``projection`` is a matrix product over
rows; frames are cut; ``peak_normalised`` divides each frame by its maximum; the statistics for normalisation are taken;
``rows`` are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

from tonearm.core.types import FloatArray
from tonearm.features.filters import mel_filters, pitch_class_filters

AMIN_POWER = 1e-10  # librosa's: smaller powers count as silence
TOP_DB = 80.0


@dataclass(frozen=True)
class Spectrum:
    """A short-time Fourier transform: periodic Hann window of ``win_length``, centred in ``n_fft``, zeros outside.

    ``precise``: in float64, as librosa's, for what looks at bins far below the loudest of their frame.
    """

    n_fft: int
    win_length: int
    hop: int
    precise: bool = False


@dataclass(frozen=True)
class ConstantQ:
    """A constant-Q transform as librosa defines it: Hann wavelets, ``bins_per_octave`` from ``fmin`` (Hz) on."""

    sample_rate: int
    hop: int
    fmin: float
    n_bins: int
    bins_per_octave: int


@dataclass(frozen=True)
class MelBands:
    """Triangular bands on Slaney's mel scale, of equal area (librosa's defaults)."""

    sample_rate: int
    n_fft: int
    n_mels: int
    fmin: float
    fmax: float | None

    def matrix(self) -> FloatArray:
        """float32 of shape (n_mels, 1 + n_fft // 2)."""
        return _mel_matrix(self)


@dataclass(frozen=True)
class Cosines:
    """Orthonormal cosine transform (type 2) of ``inputs`` bands: coefficients ``first`` up to ``last``, excluded."""

    inputs: int
    first: int
    last: int

    def matrix(self) -> FloatArray:
        """float32 of shape (last - first, inputs)."""
        k = np.arange(self.first, self.last)[:, None]
        n = np.arange(self.inputs)[None]
        scale = np.where(k == 0, np.sqrt(1 / self.inputs), np.sqrt(2 / self.inputs))
        matrix: FloatArray = np.asarray(scale * np.cos(np.pi * k * (2 * n + 1) / (2 * self.inputs)), dtype=np.float32)
        return matrix


@dataclass(frozen=True)
class PitchClasses:
    """Constant-Q bins summed into pitch classes, librosa's ``cq_to_chroma``."""

    n_bins: int
    bins_per_octave: int
    n_chroma: int
    fmin: float

    def matrix(self) -> FloatArray:
        """float32 of shape (n_chroma, n_bins)."""
        return _pitch_class_matrix(self)


@dataclass(frozen=True)
class ContrastBands:
    """Octaves from ``fmin`` (Hz) on and what is below it, as librosa's ``spectral_contrast`` bounds them."""

    sample_rate: int
    n_fft: int
    fmin: float
    n_bands: int
    quantile: float

    def slices(self) -> list[tuple[slice, int]]:
        """Of each of the 1 + n_bands bands its bins, and how many of them are its peaks, and its valleys.

        A band begins with the last bin below it, which the one before does not have, and the highest has all the rest.
        """
        bins = np.fft.rfftfreq(self.n_fft, 1.0 / self.sample_rate)
        edges = [0.0, *(self.fmin * 2.0**i for i in range(self.n_bands + 1))]
        found = []
        for i, (low, high) in enumerate(pairwise(edges)):
            first = int(np.searchsorted(bins, low, "left")) - (i > 0)
            end = len(bins) if i == self.n_bands else int(np.searchsorted(bins, high, "right"))
            last = end if i == self.n_bands else end - 1
            found.append((slice(first, last), min(last - first, max(1, round(self.quantile * (end - first))))))
        return found


@dataclass(frozen=True)
class Definition:
    """The steps from a waveform to values.

    Attributes
    ----------
    analysis
        None: the samples themselves.
    bands
        Into which the power is summed.
    scale
        ``"power_db"``: 10 log10(power), at least 80 dB below the maximum of the frames that are kept.
        ``"power_db_all"``: the same, of all frames, kept or not. ``"amplitude"``: the square root.
    contrast
        Bands, in each of which strong and weak amplitudes are compared; the outcome is in decibels.
    projection
        A matrix over the rows.
    peak_normalised
        Each frame is divided by its maximum.
    rows
        Lowest rows kept, after the statistics were taken; None keeps all.
    """

    analysis: Spectrum | ConstantQ | None
    bands: MelBands | None = None
    scale: Literal["power_db", "power_db_all", "amplitude", "none"] = "none"
    contrast: ContrastBands | None = None
    projection: Cosines | PitchClasses | None = None
    peak_normalised: bool = False
    rows: int | None = None


@lru_cache(maxsize=32)
def _mel_matrix(bands: MelBands) -> FloatArray:
    top = bands.sample_rate / 2 if bands.fmax is None else bands.fmax
    return mel_filters(bands.sample_rate, bands.n_fft, bands.n_mels, bands.fmin, top)


@lru_cache(maxsize=32)
def _pitch_class_matrix(classes: PitchClasses) -> FloatArray:
    return pitch_class_filters(classes.n_bins, classes.bins_per_octave, classes.n_chroma, classes.fmin)
