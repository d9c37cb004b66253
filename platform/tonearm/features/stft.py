"""The magnitude spectrogram in decibels, and its lower half."""

from __future__ import annotations

from tonearm.features.base import FourierRepresentation
from tonearm.features.definition import Definition


class Stft(FourierRepresentation, kind="stft"):
    """Magnitude spectrogram in dB (Whitell 2019: n_fft 4096, hop 1024, 22 050 Hz; 2049 rows)."""

    @property
    def freq_bins(self) -> int:
        return 1 + self.n_fft // 2

    def frequencies(self) -> list[float]:
        return [i * self.sample_rate / self.n_fft for i in range(self.freq_bins)]

    def definition(self) -> Definition:
        return Definition(self.analysis, scale="power_db")


class StftHalved(Stft, kind="stft_halved"):
    """The lower half of the spectrogram, n_fft / 4 rows; cut after scaling, so normalised by the whole's statistics."""

    @property
    def freq_bins(self) -> int:
        return self.n_fft // 4

    def problems(self) -> list[str]:
        found = super().problems()
        return found or ([f"n_fft is {self.n_fft}: halved, no row is left; take at least 4"] if self.n_fft < 4 else [])

    def definition(self) -> Definition:
        return Definition(self.analysis, scale="power_db", rows=self.freq_bins)
