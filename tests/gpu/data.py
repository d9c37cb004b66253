"""Sounds, and a small data set in memory that the real readers read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from tests.gpu.device import Sizes
from tonearm.core.node_copies import CopyInUse
from tonearm.core.seeding import derive_seed, digest
from tonearm.core.types import FloatArray, Waveform
from tonearm.datasets.manifest import Split, Track
from tonearm.features import Mel
from tonearm.features.base import Representation
from tonearm.features.normalisation import half_precision, statistics
from tonearm.features.store import FeatureStore, track_key
from tonearm.features.store_rows import StoreRows
from tonearm.models import ModelConfig
from tonearm.tasks import SingleLabel
from tonearm.training.batches import Batches
from tonearm.training.config import DatasetRef, TrialConfig

CLASSES = ("a", "b", "c", "d")


def sound(seconds: float, rate: int, planes: int, seed: int = 0) -> Waveform:
    """Decaying notes with harmonics over a little noise, a new note each quarter of a second."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 3e-3, (planes, round(seconds * rate)))
    time = np.arange(round(0.25 * rate)) / rate
    for start in range(0, samples.shape[1] - len(time) + 1, len(time)):
        pitch = 110 * 2 ** (rng.integers(0, 24) / 12)
        note = sum(np.sin(2 * np.pi * pitch * h * time) / h for h in range(1, 9))
        samples[:, start : start + len(time)] += 0.2 * note * np.exp(-5 * time) * rng.uniform(0.3, 1, (planes, 1))
    return Waveform(samples.astype(np.float32), rate)


class MemoryStore(FeatureStore):
    """A store that was never on a disk; what reads it is the code of any store.

    Parameters
    ----------
    clips
        By track key float32 of shape (freq_bins, frames), of a representation of one plane.
    """

    def __init__(self, representation: Representation, clips: Mapping[str, FloatArray]) -> None:
        self.uri, self.representation = "memory", representation
        self._shape, self._in_use = (1, representation.freq_bins), CopyInUse(self.uri)
        stats = [statistics(values) for values in clips.values()]
        frames = np.array([values.shape[1] for values in clips.values()])
        before, each, zeros = np.concatenate([[0], np.cumsum(frames)[:-1]]), np.arange(len(clips)), np.zeros(len(clips))
        column = {"clip": zeros, "start": zeros, "frames": frames, "offset": before * representation.freq_bins,
                  "frame_offset": before, "mean": np.array([s.mean for s in stats]),
                  "deviation": np.array([s.deviation for s in stats])}  # fmt: skip
        values = half_precision(np.concatenate([values.ravel() for values in clips.values()]))
        per_frame = np.concatenate([np.stack([s.frame_mean, s.frame_deviation]) for s in stats], axis=1)
        self._parts = OrderedDict({0: (values, per_frame)})
        self._rows = StoreRows((list(clips), each), (["memory"], np.zeros(len(clips), int)), column, representation)


def tracks(count: int) -> list[Track]:
    """For training so many tracks of :data:`CLASSES`, and a quarter as many that validate."""
    splits: list[Split] = ["train"] * count + ["validation"] * max(len(CLASSES), count // 4)
    return [
        Track(track_id=f"{i:04}", source="", content=digest("gpu", i), label=CLASSES[i % len(CLASSES)],
              group=f"track:{i}", split=split)
        for i, split in enumerate(splits)
    ]  # fmt: skip


def data_set(model: ModelConfig, sizes: Sizes, **changes: object) -> Batches:
    """Spectrograms in which a band is louder, elsewhere for each class: a trial that anything learns in a few steps."""
    config = TrialConfig(
        dataset=DatasetRef(name="gpu", label="class"), feature=Mel(n_mels=sizes.bands), model=model, task=SingleLabel()
    ).replace({"window.frames": sizes.frames, "window.train_per_track": 4, **changes})
    width, clips, of = sizes.bands // len(CLASSES), {}, tracks(sizes.tracks)
    for track in of:
        values = np.random.default_rng(derive_seed(track.track_id)).normal(-40, 4, (sizes.bands, 643))
        first = width * CLASSES.index(track.label)
        values[first : first + width // 2] += 25
        clips[track_key(track.content, config.clip)] = values.astype(np.float32)
    return Batches(config, of, CLASSES, MemoryStore(config.representation, clips))
