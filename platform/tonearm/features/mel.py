"""The mel spectrogram in decibels."""

from __future__ import annotations

from tonearm.core.types import FloatArray, Waveform
from tonearm.features.base import Representation
from tonearm.features.spectral import banded_power, mel_filters, power_to_db


class Mel(Representation, kind="mel"):
    """Mel spectrogram in dB (Whitell 2019: 256 bands, n_fft 4096, hop 1024, 22 050 Hz; Slaney scale and norm).

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

    @property
    def freq_bins(self) -> int:
        return self.n_mels

    def compute(self, waveform: Waveform) -> FloatArray:
        samples = waveform.samples[0]
        frames = 1 + samples.shape[0] // self.hop
        kept = min(frames, self.frames) if self.frames else frames
        filters = mel_filters(self.sample_rate, self.n_fft, self.n_mels, self.fmin, self.fmax)
        # Cut first, then decibels: top_db counts from the maximum of the kept frames, as in the thesis.
        return power_to_db(banded_power(samples, self.n_fft, self.hop, filters, kept))
