"""The constant-Q transform in decibels, and the chroma that is folded from it."""

from __future__ import annotations

import math
from typing import ClassVar

from tonearm.features.base import Representation, Unit
from tonearm.features.constant_q import HANN_BANDWIDTH, relative_bandwidth
from tonearm.features.definition import ConstantQ, Definition, PitchClasses

C1 = 32.70319566257483  # Hz, in equal temperament from A4 = 440 Hz


class ConstantQRepresentation(Representation):
    """Base of what is made of a constant-Q transform.

    Attributes
    ----------
    fmin
        Hz of the lowest bin.
    n_bins, bins_per_octave
        Bins in all, and to the octave.
    """

    fmin: float = C1
    n_bins: int = 168
    bins_per_octave: int = 24

    def problems(self) -> list[str]:
        found = super().problems()
        if found:
            return found
        if min(self.n_bins, self.bins_per_octave) < 1 or not 0 < self.fmin < math.inf:
            return [
                f"fmin {self.fmin} Hz, n_bins {self.n_bins} and bins_per_octave {self.bins_per_octave} must be positive"
            ]
        highest = self.fmin * 2 ** min(100.0, (self.n_bins - 1) / self.bins_per_octave)  # beyond any rate
        cutoff = highest * (1 + 0.5 * HANN_BANDWIDTH * relative_bandwidth(self.bins_per_octave))
        if cutoff > self.sample_rate / 2:
            found.append(
                f"{self.n_bins} bins, {self.bins_per_octave} an octave, from {self.fmin:.5g} Hz reach {cutoff:.0f} Hz, "
                f"above half the sample rate, {self.sample_rate / 2:g} Hz: take fewer bins or a higher rate"
            )
        return found

    @property
    def analysis(self) -> ConstantQ:
        """The transform that it shares with others."""
        return ConstantQ(self.sample_rate, self.hop, self.fmin, self.n_bins, self.bins_per_octave)


class Cqt(ConstantQRepresentation, kind="cqt"):
    """Constant-Q spectrogram in dB (Whitell 2019: 168 bins, 24 an octave, from C1; Hann wavelets, hop 1024)."""

    @property
    def freq_bins(self) -> int:
        return self.n_bins

    def frequencies(self) -> list[float]:
        return [self.fmin * 2 ** (i / self.bins_per_octave) for i in range(self.n_bins)]

    def definition(self) -> Definition:
        return Definition(self.analysis, scale="power_db")


class Chroma(ConstantQRepresentation, kind="chroma"):
    """Energy of the pitch classes from C on, each frame divided by its maximum: 0..1 (librosa's ``chroma_cqt``).

    Attributes
    ----------
    n_chroma
        Classes; bins_per_octave must be a multiple of it.
    """

    unit: ClassVar[Unit] = "ratio"

    n_chroma: int = 12

    def problems(self) -> list[str]:
        found = super().problems()
        if self.n_chroma < 1 or self.bins_per_octave % self.n_chroma:
            found.append(f"bins_per_octave {self.bins_per_octave} must be a multiple of n_chroma {self.n_chroma}")
        return found

    @property
    def freq_bins(self) -> int:
        return self.n_chroma

    def definition(self) -> Definition:
        projection = PitchClasses(self.n_bins, self.bins_per_octave, self.n_chroma, self.fmin)
        return Definition(self.analysis, scale="amplitude", projection=projection, peak_normalised=True)
