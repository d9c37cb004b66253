"""Spectral contrast: how far the peaks of each octave stand above its valleys."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from tonearm.features.base import FourierRepresentation
from tonearm.features.definition import ContrastBands, Definition, Spectrum


class Contrast(FourierRepresentation, kind="contrast"):
    """Spectral contrast in dB (Jiang et al. 2002, as librosa's ``spectral_contrast`` defines it; 7 rows).

    A row is a band: up to ``fmin``, then an octave each. Its value is the level of its strongest bins less that of its
    weakest, a level being 10 log10 of the mean *amplitude*, as in librosa, and at least 80 dB below the greatest of the
    kept frames. Tones in silence have much contrast, noise has little; how loud a recording is makes no difference. The
    transform is made in float64, as librosa's: valleys far below their frame's peaks would else be its rounding.

    Attributes
    ----------
    fmin
        Upper end of the lowest band in Hz.
    n_bands
        Octaves above it; the last one reaches up to half the sample rate.
    quantile
        Share of a band's bins, within 0..1, that are its peaks and its valleys; at least one bin each.
    """

    definition_version: ClassVar[int] = 2

    fmin: float = 200.0
    n_bands: int = 6
    quantile: float = 0.02

    def problems(self) -> list[str]:
        found = super().problems()
        if found:
            return found
        spacing, half = self.sample_rate / self.n_fft, self.sample_rate / 2
        if self.n_bands < 1:
            found.append(f"n_bands is {self.n_bands}: there must be at least one octave")
        if not 0 < self.quantile < 1:
            found.append(f"quantile is {self.quantile}: it must be within 0 and 1")
        if not 0 < self.fmin < math.inf:
            found.append(f"fmin is {self.fmin} Hz: it must be positive")
        if found:
            return found
        if self.fmin * 2 ** min(self.n_bands - 1, 100) >= half:  # 100: beyond any rate
            found.append(
                f"{self.n_bands} octaves from {self.fmin:g} Hz begin above half the sample rate, {half:g} Hz: take "
                "fewer bands or a lower fmin"
            )
        elif not all(count for _, count in self.bands.slices()):
            found.append(
                f"fmin is {self.fmin:g} Hz: bins are {spacing:.5g} Hz apart, so a band would have none; raise fmin or "
                "n_fft"
            )
        return found

    @property
    def analysis(self) -> Spectrum:
        return dataclasses.replace(super().analysis, precise=True)

    @property
    def bands(self) -> ContrastBands:
        """In which bins are compared."""
        return ContrastBands(self.sample_rate, self.n_fft, self.fmin, self.n_bands, self.quantile)

    @property
    def freq_bins(self) -> int:
        return 1 + self.n_bands

    def frequencies(self) -> list[float]:
        return [self.fmin / 2, *(self.fmin * 2 ** (i + 0.5) for i in range(self.n_bands))]

    def definition(self) -> Definition:
        return Definition(self.analysis, scale="amplitude", contrast=self.bands)
