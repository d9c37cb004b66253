"""The mel spectrogram in decibels, and the mel-frequency cepstral coefficients."""

from __future__ import annotations

from typing import ClassVar

from tonearm.features.base import FourierRepresentation, Unit
from tonearm.features.definition import Cosines, Definition, MelBands
from tonearm.features.filters import empty_bands_note, mel_edges


class MelRepresentation(FourierRepresentation):
    """Base of what is made of mel bands (Slaney's scale and norm).

    Attributes
    ----------
    n_mels
        Bands.
    fmin, fmax
        Frequency range in Hz; None is half the sample rate.
    """

    n_mels: int = 256
    fmin: float = 0.0
    fmax: float | None = None

    def problems(self) -> list[str]:
        found = super().problems()
        top = self.fmax if self.fmax is not None else self.sample_rate / 2
        if not 0 <= self.fmin < top <= self.sample_rate / 2:
            found.append(f"fmin {self.fmin} and fmax {top} Hz must satisfy 0 <= fmin < fmax <= {self.sample_rate / 2}")
        if not 1 <= self.n_mels <= 1 + self.n_fft // 2:
            found.append(
                f"n_mels {self.n_mels} must be within 1 and the {1 + self.n_fft // 2} bins of n_fft {self.n_fft}"
            )
        return found

    def notes(self) -> tuple[str, ...]:
        top = self.sample_rate / 2 if self.fmax is None else self.fmax
        note = empty_bands_note(self.sample_rate, self.n_fft, self.n_mels, self.fmin, top)
        return (f"{self.brief()}: {note}",) if note else ()

    @property
    def bands(self) -> MelBands:
        """The bands that it shares with others."""
        return MelBands(self.sample_rate, self.n_fft, self.n_mels, self.fmin, self.fmax)


class Mel(MelRepresentation, kind="mel"):
    """Mel spectrogram in dB (Whitell 2019: 256 bands, n_fft 4096, hop 1024, 22 050 Hz)."""

    @property
    def freq_bins(self) -> int:
        return self.n_mels

    def frequencies(self) -> list[float]:
        top = self.fmax if self.fmax is not None else self.sample_rate / 2
        return [float(f) for f in mel_edges(self.n_mels, self.fmin, top)[1:-1]]

    def definition(self) -> Definition:
        return Definition(self.analysis, self.bands, "power_db")


class Mfcc(MelRepresentation, kind="mfcc"):
    """Mel-frequency cepstral coefficients without the first, which is the level (Whitell 2019: 13, so 12 rows).

    Decibels count from the maximum of all frames and the cut comes last, as in the original.

    Attributes
    ----------
    n_mfcc
        Coefficients, the dropped one included.
    """

    unit: ClassVar[Unit] = "cepstrum"

    n_mfcc: int = 13

    def problems(self) -> list[str]:
        found = super().problems()
        if not 2 <= self.n_mfcc <= self.n_mels:
            found.append(f"n_mfcc {self.n_mfcc} must be within 2 and n_mels, {self.n_mels}")
        return found

    @property
    def freq_bins(self) -> int:
        return self.n_mfcc - 1

    def definition(self) -> Definition:
        return Definition(self.analysis, self.bands, "power_db_all", projection=Cosines(self.n_mels, 1, self.n_mfcc))
