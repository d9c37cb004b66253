"""From stored features to batches: windows are read memory-mapped, converted and normalised one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tonearm.audio.windows import window_starts
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Split, Track
from tonearm.features.scaling import normalise
from tonearm.features.store import FeatureStore, Stored, track_key
from tonearm.training.config import TrialConfig


@dataclass(frozen=True)
class Batch:
    """Windows float32 (batch, 1, freq_bins, frames), targets (batch,), and which tracks they are of."""

    inputs: torch.Tensor
    targets: torch.Tensor
    track_ids: list[str]


def read_window(stored: Stored, start: int, config: TrialConfig) -> FloatArray:
    """One normalised window, float32 of shape (freq_bins, frames)."""
    values = stored.values[:, start : start + config.window.frames].astype(np.float32)
    return normalise(values, stored.stats, config.feature.normalisation, start)


def clip_windows(stored: Stored, config: TrialConfig) -> FloatArray:
    """The windows that stand for a track in evaluation: float32 (windows, 1, freq_bins, frames)."""
    starts = window_starts(stored.frames, config.window.frames, config.window.per_track)
    return np.stack([read_window(stored, s, config)[None] for s in starts])


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

    def stored(self, track: Track) -> Stored:
        """A track's stored representation."""
        return self.store.read(track_key(track.content, self.config.clip))

    def targets(self, split: Split) -> np.ndarray:
        """The targets of a split's tracks, in their order."""
        return self.config.task.encode([t.label for t in self.tracks(split)], self.classes)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps an epoch."""
        return len(self._starts_of_batches())

    def train(self, epoch: int) -> Iterator[Batch]:
        """The training batches of an epoch, shuffled."""
        rng = np.random.default_rng(derive_seed("batches", self.config.seed, epoch))
        tracks, targets = self.tracks("train"), self.targets("train")
        order = rng.permutation(np.repeat(np.arange(len(tracks)), self.config.window.train_per_track))
        for start in self._starts_of_batches():
            chosen = order[start : start + self.config.optim.batch_size]
            windows = []
            for i in chosen:
                stored = self.stored(tracks[i])
                first = int(rng.integers(0, stored.frames - self.config.window.frames + 1))
                windows.append(read_window(stored, first, self.config)[None])
            yield Batch(
                torch.from_numpy(np.stack(windows)),
                torch.from_numpy(targets[chosen]),
                [tracks[i].track_id for i in chosen],
            )

    def windows(self, split: Split) -> Iterator[torch.Tensor]:
        """For each track of a split its evaluation windows, float32 (windows, 1, freq_bins, frames)."""
        for t in self.tracks(split):
            yield torch.from_numpy(clip_windows(self.stored(t), self.config))

    def _starts_of_batches(self) -> list[int]:
        examples = len(self.tracks("train")) * self.config.window.train_per_track
        starts = range(0, examples, self.config.optim.batch_size)
        return [s for s in starts if examples - s >= 2]  # batch normalisation cannot learn from a single example
