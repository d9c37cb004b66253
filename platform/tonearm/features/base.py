"""What every representation's config has in common."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from tonearm.core.config import Config
from tonearm.core.registry import Registry
from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray, InputSpec, Waveform

Normalisation = Literal["frame", "track", "none"]


class Representation(Config):
    """Base of all representations; its shape is known without audio.

    Attributes
    ----------
    sample_rate
        Hz that the waveform must have.
    n_fft, hop
        Window length and step in samples. A longer window resolves harmony, a shorter one attacks.
    frames
        Frames kept, from the first; None keeps all. The thesis kept 643 of 30 s.
    normalisation
        Applied on reading, never stored: ``"frame"`` (zero mean and unit deviation per frame across frequency, the
        original), ``"track"`` (over the whole track) or ``"none"``.
    """

    registry: ClassVar[Registry[type[Representation]]] = Registry("representation")

    sample_rate: int = 22050
    n_fft: int = 4096
    hop: int = 1024
    frames: int | None = 643
    normalisation: Normalisation = "frame"

    def problems(self) -> list[str]:
        low = [f"{name} is {getattr(self, name)}: it must be positive" for name in ("sample_rate", "n_fft", "hop")
               if getattr(self, name) < 1]  # fmt: skip
        if self.frames is not None and self.frames < 1:
            low.append(f"frames is {self.frames}: keep at least one frame, or None for all")
        if self.n_fft % 2:
            low.append(f"n_fft is {self.n_fft}: it must be even, so that the analysis can be centred")
        if not low and self.hop > self.n_fft:
            low.append(f"hop {self.hop} is longer than n_fft {self.n_fft}: samples between windows would be lost")
        return low

    @property
    def freq_bins(self) -> int:
        """Rows of the representation."""
        raise TypeError(f"{type(self).__name__} must say how many rows it has")

    def frames_in(self, seconds: float) -> int:
        """Frames of a centred analysis of so many seconds, before any cut."""
        return 1 + math.floor(seconds * self.sample_rate / self.hop + 1e-9)

    def seconds_of(self, frames: int) -> float:
        """The least audio, in seconds, that has so many frames."""
        return (frames - 1) * self.hop / self.sample_rate

    def input_spec(self, seconds: float) -> InputSpec:
        """The shape that a clip of so many seconds has."""
        frames = self.frames_in(seconds)
        return InputSpec(1, self.freq_bins, min(frames, self.frames) if self.frames else frames)

    def compute(self, waveform: Waveform) -> FloatArray:
        """The representation of a mono waveform at :attr:`sample_rate`: float32 of shape (freq_bins, frames)."""
        raise TypeError(f"{type(self).__name__} must say how it is computed")

    def store_name(self) -> str:
        """Name of its store: kind and a hash of all that changes a stored value (normalisation does not)."""
        values = {k: v for k, v in self.to_dict(run_only=False).items() if k != "normalisation"}
        return f"{self.kind}-{digest(values)}"
