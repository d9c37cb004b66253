"""The waveform itself as a representation."""

from __future__ import annotations

from typing import ClassVar

from tonearm.features.base import Normalisation, Representation, Unit
from tonearm.features.definition import Definition


class RawWaveform(Representation, kind="waveform"):
    """One row a channel, a frame a sample; what networks on waveforms take."""

    unit: ClassVar[Unit] = "amplitude"

    hop: int = 1
    frames: int | None = None
    normalisation: Normalisation = "track"

    def problems(self) -> list[str]:
        found = super().problems()
        if self.hop != 1:
            found.append(f"hop is {self.hop}: a waveform has a frame a sample; lower the sample_rate instead")
        return found

    @property
    def freq_bins(self) -> int:
        return 1

    def frames_from(self, samples: int) -> int:
        return samples

    def seconds_of(self, frames: int) -> float:
        return frames / self.sample_rate

    def definition(self) -> Definition:
        return Definition(None)
