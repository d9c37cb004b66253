"""Base classes of a network's inputs and of representations of audio."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from tonearm.audio.channels import Channels
from tonearm.audio.decode import Layout
from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.core.registry import Registry
from tonearm.core.seeding import digest
from tonearm.core.types import InputSpec
from tonearm.features.definition import Definition, Spectrum

Normalisation = Literal["frame", "track", "training", "none"]
Unit = Literal["dB", "amplitude", "ratio", "cepstrum"]

STORE_VERSION = 2  # raise it when stored values of the same config change: other stores are then made


def samples_in(seconds: float, sample_rate: int) -> int:
    """Whole samples in so many seconds; a count that was divided by the rate comes back as it was."""
    return math.floor(seconds * sample_rate * (1 + 1e-15) + 1e-6)


class Feature(Config):
    """Base of all inputs of a network: representations of audio, and metadata of a track."""

    registry: ClassVar[Registry[type[Feature]]] = Registry("input")

    @property
    def variant(self) -> str:
        """The name by which a model picks the values that its source used on this input."""
        return self.kind

    def named_inputs(self) -> dict[str, Feature]:
        """The inputs that it consists of, by name; a single one has the name ""."""
        return {"": self}

    def example_spec(self, frames: int) -> InputSpec:
        """The shape of one example; ``frames`` is the length of a window, where there are windows."""
        raise TypeError(f"{type(self).__name__} must say what shape its examples have")


class Representation(Feature):
    """Base of all representations of audio; its shape is known without audio.

    Attributes
    ----------
    sample_rate
        Hz that the waveform must have.
    channels
        1 (the mean of all channels), 2 (left and right) or ``"mid_side"``; two channels make two planes.
    hop
        Samples from one frame to the next.
    frames
        Frames kept, from the first; None keeps all. The thesis kept 643 of 30 s, and so do its names in ``presets``.
    normalisation
        Applied on reading, never stored: ``"frame"`` (zero mean and unit deviation per frame across frequency, the
        original), ``"track"`` (over the whole clip), ``"training"`` (by mean and deviation of the training split,
        which the bundle keeps: levels between tracks stay) or ``"none"``.
    """

    unit: ClassVar[Unit] = "dB"
    definition_version: ClassVar[int] = 1  # raise it when values of one kind change: its stores get another name

    sample_rate: int = 22050
    channels: Channels = 1
    hop: int = 1024
    frames: int | None = None
    normalisation: Normalisation = "frame"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.normalisation == "frame" and self.freq_bins == 1:
            raise ConfigError(
                f"{self.kind} has a single row, which normalisation 'frame' would make zero: use 'track', 'training' "
                "or 'none'"
            )

    def problems(self) -> list[str]:
        found = [
            f"{name} is {getattr(self, name)}: it must be positive"
            for name in ("sample_rate", "hop")
            if getattr(self, name) < 1
        ]
        if self.frames is not None and self.frames < 1:
            found.append(f"frames is {self.frames}: keep at least one frame, or None for all")
        return found

    @property
    def layout(self) -> Layout:
        """The form of the samples that it is computed of: sample rate and channels."""
        return (self.sample_rate, self.channels)

    @property
    def planes(self) -> int:
        """Channels of the representation: 1 or 2."""
        return 1 if self.channels == 1 else 2

    @property
    def freq_bins(self) -> int:
        """Rows of the representation."""
        raise TypeError(f"{type(self).__name__} must say how many rows it has")

    def frames_from(self, samples: int) -> int:
        """Frames of a centred analysis of so many samples, before any cut."""
        return 1 + samples // self.hop

    def frames_in(self, seconds: float) -> int:
        """Frames of so many seconds, before any cut."""
        return self.frames_from(samples_in(seconds, self.sample_rate))

    def seconds_of(self, frames: int) -> float:
        """The least audio, in seconds, that has so many frames."""
        return (frames - 1) * self.hop / self.sample_rate

    def frames_kept(self, seconds: float) -> int:
        """Frames of so many seconds, after the cut."""
        return self.cut(self.frames_in(seconds))

    @property
    def is_whole(self) -> bool:
        """Whether it sums a clip up: its frames are no times, and every window has all of them."""
        return False

    def cut(self, frames: int) -> int:
        """Frames kept of so many."""
        return min(frames, self.frames) if self.frames else frames

    def input_spec(self, seconds: float) -> InputSpec:
        """The shape that a clip of so many seconds has."""
        return InputSpec(self.planes, self.freq_bins, self.frames_kept(seconds))

    def example_spec(self, frames: int) -> InputSpec:
        return InputSpec(self.planes, self.freq_bins, frames)

    def frequencies(self) -> list[float]:
        """The centre of each row in Hz, for axes; empty where rows are no frequencies."""
        return []

    def notes(self) -> tuple[str, ...]:
        """What a person should know about these settings, which are valid all the same."""
        return ()

    def definition(self) -> Definition:
        """How it is computed."""
        raise TypeError(f"{type(self).__name__} must say how it is computed")

    def store_name(self) -> str:
        """Name of its store: kind and a hash of all that changes a stored value (normalisation does not)."""
        return f"{self.kind}-{digest(STORE_VERSION, self.stored_fields(), *self.versions())}"

    def stored_fields(self) -> dict[str, Any]:
        """Fields, as JSON types, that change a stored value."""
        return {k: v for k, v in self.to_dict(run_only=False).items() if k != "normalisation"}

    def versions(self) -> tuple[int | str, ...]:
        """What its store's name says of the definitions that its values hang on; nothing of first versions."""
        return (self.definition_version,) if self.definition_version > 1 else ()


class FourierRepresentation(Representation):
    """Base of what is made of a short-time Fourier transform.

    Attributes
    ----------
    n_fft
        Samples a transform, even. A longer window resolves harmony, a shorter one attacks.
    win_length
        Length of the Hann window, centred in ``n_fft``; None is ``n_fft``.
    """

    n_fft: int = 4096
    win_length: int | None = None

    def problems(self) -> list[str]:
        found = super().problems()
        window = self.n_fft if self.win_length is None else self.win_length
        if self.n_fft < 2 or self.n_fft % 2:
            found.append(f"n_fft is {self.n_fft}: it must be even and positive, so that the analysis can be centred")
        elif not 2 <= window <= self.n_fft:
            found.append(f"win_length is {window}: it must be within 2 and n_fft, {self.n_fft}")
        elif self.hop > window:
            found.append(f"hop {self.hop} is longer than the window {window}: samples between windows would be lost")
        return found

    @property
    def analysis(self) -> Spectrum:
        """The transform that it shares with others."""
        return Spectrum(self.n_fft, self.win_length or self.n_fft, self.hop)
