"""The one config of a trial: everything that can change its result."""

from __future__ import annotations

from typing import Literal

from tonearm.audio.windows import ClipConfig
from tonearm.core.config import Config
from tonearm.core.types import InputSpec
from tonearm.features.augment import AugmentConfig
from tonearm.features.base import Representation
from tonearm.models.base import ModelConfig
from tonearm.tasks.base import Task


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
    """

    name: str
    label: str = ""
    data_signature: str = ""


class WindowConfig(Config):
    """What part of a clip one example is.

    Attributes
    ----------
    frames
        Frames a window.
    train_per_track
        Windows at random places drawn of each track an epoch.
    per_track
        Windows, evenly spread, whose predictions are pooled in evaluation and serving.
    """

    frames: int = 215
    train_per_track: int = 2
    per_track: int = 3

    def problems(self) -> list[str]:
        return [
            f"window.{name} is {getattr(self, name)}: it must be at least 1"
            for name in ("frames", "train_per_track", "per_track")
            if getattr(self, name) < 1
        ]


class OptimConfig(Config):
    """Adam and its schedule.

    Attributes
    ----------
    lr
        Learning rate, > 0.
    batch_size
        Windows a step.
    epochs
        The most epochs.
    patience
        Epochs without a better primary metric before the trial stops itself; the best epoch's weights are kept.
    schedule
        ``"constant"``, or ``"cosine"`` from ``lr`` to zero over the epochs, a step at a time.
    weight_decay
        L2 penalty, >= 0.
    """

    lr: float = 1e-3
    batch_size: int = 8
    epochs: int = 18
    patience: int = 20
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: float = 0.0

    def problems(self) -> list[str]:
        found = []
        if not 0 < self.lr < 10:
            found.append(f"optim.lr is {self.lr}: it must be positive and below 10")
        if self.batch_size < 2:
            found.append(f"optim.batch_size is {self.batch_size}: batch normalisation needs at least 2")
        if self.epochs < 1 or self.patience < 1:
            found.append(f"optim.epochs {self.epochs} and optim.patience {self.patience} must be at least 1")
        if not 0 <= self.weight_decay < 10:
            found.append(f"optim.weight_decay is {self.weight_decay}: it must be at least 0 and below 10")
        return found


class TrialConfig(Config):
    """One trial. Its signature is its identity."""

    dataset: DatasetRef
    feature: Representation
    model: ModelConfig
    task: Task
    clip: ClipConfig = ClipConfig()
    window: WindowConfig = WindowConfig()
    optim: OptimConfig = OptimConfig()
    augment: AugmentConfig = AugmentConfig()
    seed: int = 0

    def problems(self) -> list[str]:
        clip = self.feature.input_spec(self.clip.seconds)
        if self.window.frames > clip.frames:
            return [
                f"window.frames {self.window.frames} is longer than the {clip.frames} frames of a clip of "
                f"{self.clip.seconds:g} s at hop {self.feature.hop}: shorten the window or lengthen the clip"
            ]
        shapes = self.model.for_representation(self.feature.kind).shape_problems(self.inputs, 2)
        return [*shapes, *self.augment.problems_with(self.inputs, self.feature.unit)]

    @property
    def inputs(self) -> InputSpec:
        """The shape of one window."""
        return InputSpec(self.feature.planes, self.feature.freq_bins, self.window.frames)

    @property
    def min_seconds(self) -> float:
        """The least audio that yields one window."""
        return self.feature.seconds_of(self.window.frames)
