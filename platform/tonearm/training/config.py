"""The one config of a trial: everything that can change its result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

from tonearm.audio.windows import ClipConfig
from tonearm.core.config import OMIT_DEFAULT, RUN_ONLY, Config
from tonearm.core.errors import ConfigError
from tonearm.core.types import InputSpec
from tonearm.features.augment import AugmentConfig
from tonearm.features.base import Feature, Representation, samples_in
from tonearm.models.base import InputSpecs, ModelConfig
from tonearm.tasks.base import Task
from tonearm.training.optim import OptimConfig

MIN_FILLED_SECONDS = 1.0

__all__ = ["DatasetRef", "EnsembleConfig", "MeanConfig", "Member", "OptimConfig", "TrialConfig", "WindowConfig"]


class DatasetRef(Config):
    """Which data a trial learns from.

    Attributes
    ----------
    name
        ``scores``, ``folder``, ...
    label
        What the label means: ``repertoire``, ``soundtrack``, ``genre``, ...
    data_signature
        :meth:`Manifest.signature`, filled in when the data set is there.
    fold
        Of a cross-validation, e.g. ``"2/5"``; ``data_signature`` covers which tracks are in it.
    """

    name: str
    label: str = ""
    data_signature: str = ""
    fold: str = ""


class WindowConfig(Config):
    """What part of a clip one example is. Of what sums a clip up it is all there is.

    Attributes
    ----------
    frames
        Frames a window.
    seconds
        Its length in their place, ``frames`` being without meaning: then it is the same time at any hop, which may be
        varied alone. Who sets ``frames`` takes it away again.
    train_per_track
        Windows at random places drawn of each track an epoch.
    per_track
        Windows, evenly spread, whose predictions are pooled in evaluation and serving.
    """

    frames: int = 215
    train_per_track: int = 2
    per_track: int = 3
    seconds: float | None = dataclasses.field(default=None, metadata=OMIT_DEFAULT)

    def problems(self) -> list[str]:
        found = [
            f"window.{name} is {getattr(self, name)}: it must be at least 1"
            for name in ("frames", "train_per_track", "per_track")
            if getattr(self, name) < 1
        ]
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            found.append(f"window.seconds is {self.seconds}: it must be above 0 and finite")
        return found

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seconds is not None:  # what means nothing is no part of the identity
            object.__setattr__(self, "frames", type(self).frames)

    def replace(self, changes: Mapping[str, Any]) -> Self:
        return super().replace({"seconds": None, **changes} if "frames" in changes else changes)

    def frames_of(self, feature: Representation) -> int:
        """Frames that a window of a representation has."""
        if feature.is_whole:
            return feature.frames_from(0)
        if self.seconds is None:
            return self.frames
        return max(1, samples_in(self.seconds, feature.sample_rate) // feature.hop)

    def brief_length(self) -> str:
        """Its length, as it was set."""
        return f"window.frames {self.frames}" if self.seconds is None else f"window.seconds {self.seconds:g}"


class Member(Config):
    """What was trained before: a part of the network, which is frozen, or where its training begins.

    Attributes
    ----------
    name
        As the network knows it: ``time``, ``freq_mel``, ...; ``start`` for where the training begins.
    trial
        Signature of the trial that trained it; with it the member is determined.
    bundle
        URI of its bundle: where it lies changes no result.
    """

    name: str
    trial: str
    bundle: str = dataclasses.field(default="", metadata=RUN_ONLY)


class TrialConfig(Config):
    """One trial. Its signature is its identity.

    Attributes
    ----------
    members
        Trained parts of the network.
    start
        Another trial of the same network, whose training this one goes on with: its weights, its optimiser's state and
        its epochs, which count. ``bundle`` is the URI of that trial's folder.
    """

    dataset: DatasetRef
    feature: Feature
    model: ModelConfig
    task: Task
    clip: ClipConfig = ClipConfig()
    window: WindowConfig = WindowConfig()
    optim: OptimConfig = OptimConfig()
    augment: AugmentConfig = AugmentConfig()
    members: tuple[Member, ...] = ()
    start: Member | None = None
    seed: int = 0

    def problems(self) -> list[str]:
        found = []
        for name, feature in self.representations.items():
            clip = feature.input_spec(self.clip.seconds)
            if self.window.frames_of(feature) > clip.frames:
                found.append(
                    f"{self.window.brief_length()} is longer than the {clip.frames} frames of a clip of "
                    f"{self.clip.seconds:g} s at hop {feature.hop}{f' of {name}' if name else ''}: shorten the window "
                    "or lengthen the clip"
                )
        audio_inputs = self.representations
        lengths = {
            (f.hop, f.sample_rate, f.input_spec(self.clip.seconds).frames)
            for f in audio_inputs.values()
            if not f.is_whole
        }
        if len(lengths) > 1:
            found.append("the representations differ in hop, sample rate or frames: windows would not be of one time")
        if audio_inputs and len(audio_inputs) < len(self.feature.named_inputs()):
            found.append("audio and other inputs at once: a track has several windows of the one and one of the other")
        if found:
            return found
        found = self.built_model.problems_with(self.inputs, 2)
        if isinstance(self.feature, Representation):
            found += self.augment.problems_with(_example_spec(self.feature, self.window), self.feature.unit)
        elif self.augment.enabled:
            found.append(f"augment is set, but {self.feature.kind} is no single representation of audio: leave it out")
        return found

    @property
    def built_model(self) -> ModelConfig:
        """The model's config with the variant for its input."""
        return self.model.for_representation(self.feature.variant)

    @property
    def representations(self) -> dict[str, Representation]:
        """The inputs that are computed of audio, by name."""
        return {name: f for name, f in self.feature.named_inputs().items() if isinstance(f, Representation)}

    def audio_inputs(self) -> dict[str, Representation]:
        """The inputs by name, of a model that needs nothing but audio.

        Raises
        ------
        ConfigError
            If it needs something else.
        """
        others = [f.kind for f in self.feature.named_inputs().values() if not isinstance(f, Representation)]
        if others:
            raise ConfigError(f"the model takes {', '.join(sorted(set(others)))}: it cannot predict from audio alone")
        return self.representations

    @property
    def representation(self) -> Representation:
        """The one input, where it is computed of audio.

        Raises
        ------
        ConfigError
            If the trial takes other inputs.
        """
        if not isinstance(self.feature, Representation):
            raise ConfigError(f"the trial's input is {self.feature.kind!r}, here one representation of audio is needed")
        return self.feature

    @property
    def inputs(self) -> InputSpecs:
        """The shape of one example, or of each of its inputs by name."""
        specs: dict[str, InputSpec] = {n: _example_spec(f, self.window) for n, f in self.feature.named_inputs().items()}
        return specs.get("", specs)

    @property
    def min_seconds(self) -> float:
        """The least audio that yields one window; 0 where no input is audio.

        Where clips are filled up (padded, wrapped) a second does.
        """
        whole = self.window.seconds  # whatever the hop, so that trials that differ in it take the same tracks
        least = max(
            (
                whole if whole is not None and not f.is_whole else f.seconds_of(self.window.frames_of(f))
                for f in self.representations.values()
            ),
            default=0.0,
        )
        return least if self.clip.tail == "drop" else min(least, MIN_FILLED_SECONDS)


def _example_spec(feature: Feature, window: WindowConfig) -> InputSpec:
    return feature.example_spec(window.frames_of(feature) if isinstance(feature, Representation) else window.frames)


class MeanConfig(Config):
    """The mean of several trainings' predictions: not trained, but compared. Its signature is its identity.

    Attributes
    ----------
    members
        Trials, ``bundle`` being the URI of their folders.
    weighted
        Whether each was calibrated, and weighted by their mixture's loss, on validation; else all count alike.
    """

    dataset: DatasetRef
    members: tuple[Member, ...]
    task: Task
    seed: int = 0
    weighted: bool = dataclasses.field(default=False, metadata=OMIT_DEFAULT)


class EnsembleConfig(MeanConfig):
    """Trainings together whose members and weights were chosen on validation.

    Attributes
    ----------
    weights
        One a member, positive.
    combination
        How they answer together, a kind of :class:`tonearm.ensembles.combination.Combination`.
    """

    weights: tuple[float, ...]
    combination: str = dataclasses.field(default="mean", metadata=OMIT_DEFAULT)

    def problems(self) -> list[str]:
        """Members without a weight, and weights that are not positive."""
        if len(self.weights) != len(self.members) or not self.members or min(self.weights) <= 0:
            return [f"{len(self.members)} members have the weights {self.weights}: give each one above 0"]
        return []
