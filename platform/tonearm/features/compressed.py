"""Mel bands as encoders take them that were trained elsewhere: compressed power instead of decibels."""

from __future__ import annotations

import math

import numpy as np

from tonearm.core.types import FloatArray
from tonearm.features.derived import Derived


class Compressed(Derived, kind="compressed"):
    """log10(1 + factor x power) of a representation in decibels, >= 0.

    musicnn, MAEST and discogs-effnet (Music Technology Group, Universitat Pompeu Fabra) hear
    ``compressed(of=mel(sample_rate=16000, n_fft=512, hop=256, n_mels=96))``. What is more than 80 dB below a clip's
    loudest value counts as that.

    Attributes
    ----------
    of
        Decibels, 10 log10(power).
    factor
        Of the power, > 0.
    """

    factor: float = 10_000.0

    def problems(self) -> list[str]:
        found = super().problems()
        if not 0 < self.factor < math.inf:
            found.append(f"factor is {self.factor}: it must be above 0 and finite")
        if self.of.unit != "dB":
            found.append(f"{self.of.kind} is not in dB: compress one that is, such as mel")
        return found

    @property
    def freq_bins(self) -> int:
        return self.of.freq_bins

    def frames_from(self, samples: int) -> int:
        return self.of.cut(self.of.frames_from(samples))

    def frames_in(self, seconds: float) -> int:
        return self.of.frames_kept(seconds)

    def seconds_of(self, frames: int) -> float:
        return self.of.seconds_of(frames)

    def derive(self, values: FloatArray) -> FloatArray:
        compressed: FloatArray = np.log10(1 + self.factor * np.power(10, values / 10)).astype(np.float32)
        return compressed
