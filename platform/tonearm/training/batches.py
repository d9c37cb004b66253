"""From stored features to batches: windows are read memory-mapped, converted and normalised one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from tonearm.audio.windows import window_starts
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Split, Track
from tonearm.features.augment import apply_gain, augment, draw_gains, step_seed
from tonearm.features.scaling import Scaling, Statistics, normalise
from tonearm.features.store import FeatureStore, Stored, track_key
from tonearm.training.config import TrialConfig


@dataclass(frozen=True)
class Batch:
    """Windows float32 (batch, planes, freq_bins, frames), targets (batch,), and which tracks they are of.

    Where mixup is on, example i is ``mix`` of track i and ``1 - mix`` of one whose target is ``mixed_targets[i]``.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    track_ids: list[str]
    mixed_targets: torch.Tensor | None = None
    mix: float = 1.0


def read_window(stored: Stored, start: int, config: TrialConfig, scaling: Scaling | None) -> FloatArray:
    """One normalised window of a clip, float32 of shape (planes, freq_bins, frames)."""
    values = stored.values[..., start : start + config.window.frames].astype(np.float32)
    return scale_window(values.reshape(config.inputs.shape), stored.stats, start, config, scaling)


def scale_window(
    values: FloatArray, stats: Statistics, start: int, config: TrialConfig, scaling: Scaling | None, gain: float = 0.0
) -> FloatArray:
    """Normalise a window, float32 of shape (planes, freq_bins, frames), the frames of its clip from ``start`` on.

    ``scaling`` is the training split's; ``gain`` in dB is applied before normalisation.
    """
    if gain:
        values = apply_gain(values, gain, config.feature.unit)
    return normalise(values, stats, config.feature.normalisation, start, scaling)


def clip_windows(clips: Sequence[Stored], config: TrialConfig, scaling: Scaling | None) -> FloatArray:
    """The windows that stand for a track in evaluation: float32 (windows, planes, freq_bins, frames).

    Each of its clips gives ``window.per_track``, evenly spread.
    """
    return np.stack(
        [
            read_window(stored, start, config, scaling)
            for stored in clips
            for start in window_starts(stored.frames, config.window.frames, config.window.per_track)
        ]
    )


class Batches:
    """The batches of one data set for one trial.

    Order and places of training windows are a function of seed, epoch and track id alone, so that a resumed trial
    sees what an undisturbed one would.

    Parameters
    ----------
    config
        Of the trial.
    tracks
        All tracks, with splits.
    classes
        Sorted class names.
    store
        Holds the config's representation of every track.
    """

    def __init__(self, config: TrialConfig, tracks: Sequence[Track], classes: Sequence[str], store: FeatureStore):
        self.config, self.classes, self.store = config, tuple(classes), store
        self._tracks: dict[str, list[Track]] = {}
        for t in sorted(tracks, key=lambda t: t.track_id):
            self._tracks.setdefault(t.split or "", []).append(t)

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split, sorted by id."""
        return self._tracks.get(split, [])

    def stored(self, track: Track) -> list[Stored]:
        """A track's stored representation: one clip, or all of them if the config takes whole tracks."""
        return self.store.read_clips(track_key(track.content, self.config.clip))

    @cached_property
    def scaling(self) -> Scaling:
        """Mean and deviation of the training split, which the bundle keeps."""
        return self.store.scaling(track_key(t.content, self.config.clip) for t in self.tracks("train"))

    def targets(self, split: Split) -> np.ndarray:
        """The targets of a split's tracks, in their order."""
        return self.config.task.encode([t.label for t in self.tracks(split)], self.classes)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps an epoch."""
        return len(self._starts_of_batches())

    def train(self, epoch: int) -> Iterator[Batch]:
        """The training batches of an epoch, shuffled and augmented as the config says."""
        rng = np.random.default_rng(derive_seed("batches", self.config.seed, epoch))
        tracks, targets = self.tracks("train"), self.targets("train")
        order = rng.permutation(np.repeat(np.arange(len(tracks)), self.config.window.train_per_track))
        for step, start in enumerate(self._starts_of_batches()):
            chosen = order[start : start + self.config.optim.batch_size]
            seed = step_seed(self.config.seed, epoch, step)
            gains = draw_gains(self.config.augment, len(chosen), seed)
            places = [self._place(tracks[i], rng) for i in chosen]
            # torch converts to float32 several times faster than numpy.
            read = torch.from_numpy(self.store.read_windows(places, self.config.window.frames)).float().numpy()
            windows = [
                scale_window(values, self.store.read(key, clip).stats, first, self.config, self.scaling, gain)
                for values, (key, clip, first), gain in zip(read, places, gains, strict=True)
            ]
            inputs, mix = augment(torch.from_numpy(np.stack(windows)), self.config.augment, seed)
            truth, ids = torch.from_numpy(targets[chosen]), [tracks[i].track_id for i in chosen]
            yield Batch(inputs, truth, ids, truth[mix.partners], mix.weight) if mix else Batch(inputs, truth, ids)

    def _place(self, track: Track, rng: np.random.Generator) -> tuple[str, int, int]:
        """Key, clip and first frame of a random window of a track."""
        key = track_key(track.content, self.config.clip)
        clips = self.store.clips(key)
        clip = int(rng.integers(clips)) if clips > 1 else 0
        return key, clip, int(rng.integers(0, self.store.frames(key, clip) - self.config.window.frames + 1))

    def windows(self, split: Split) -> Iterator[torch.Tensor]:
        """For each track of a split its evaluation windows, float32 (windows, planes, freq_bins, frames)."""
        for t in self.tracks(split):
            yield torch.from_numpy(clip_windows(self.stored(t), self.config, self.scaling))

    def _starts_of_batches(self) -> list[int]:
        examples = len(self.tracks("train")) * self.config.window.train_per_track
        starts = range(0, examples, self.config.optim.batch_size)
        return [s for s in starts if examples - s >= 2]  # batch normalisation cannot learn from a single example
