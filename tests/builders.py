"""Small things that tests are made of: generated audio, tiny configs, tracks, stored features."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from tonearm.audio.windows import ClipConfig
from tonearm.core.seeding import derive_seed, digest
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Split, Track
from tonearm.features import Mel
from tonearm.features.computed import ComputedClip
from tonearm.features.shards import ShardWriter
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.models.simple import SimpleConfig
from tonearm.tasks import SingleLabel
from tonearm.training.batches import Batches
from tonearm.training.config import DatasetRef, OptimConfig, TrialConfig, WindowConfig

RATE = 22050
CLASSES = ("bass", "flute", "noise")


def tone(frequency: float, seconds: float = 1.0, rate: int = RATE, amplitude: float = 0.5) -> FloatArray:
    """A sine, float32 (samples,)."""
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def music(seconds: float = 2.0, rate: int = RATE, seed: int = 0, low: float = 110.0) -> FloatArray:
    """Notes with harmonics, attacks and decays over a little noise, float32 (samples,)."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 1e-3, round(seconds * rate))
    for start in np.arange(0, seconds, 0.25):
        time = np.arange(round(min(0.5, seconds - start) * rate)) / rate
        pitch = low * 2 ** (rng.integers(0, 24) / 12)
        note = sum(np.sin(2 * np.pi * pitch * h * time) / h**1.5 for h in range(1, 9) if pitch * h < rate / 2)
        first = round(start * rate)
        samples[first : first + len(time)] += (0.15 * note * np.exp(-4 * time))[: len(samples) - first]
    return samples.astype(np.float32)


def encode(samples: npt.ArrayLike, rate: int = RATE, container: str = "WAV", subtype: str | None = None) -> bytes:
    """Samples (samples,) or (samples, channels) as the bytes of a file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(samples), rate, format=container, subtype=subtype)
    return buffer.getvalue()


def sounds_like(label: str, seed: int, seconds: float = 1.5) -> FloatArray:
    """A recording of one of :data:`CLASSES`, easy to tell from the others."""
    if label == "noise":
        return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    return music(seconds, seed=seed, low=70.0 if label == "bass" else 900.0)


def write_recordings(folder: Path, per_class: int = 6) -> list[Track]:
    """WAV files of all classes, split 4:1:1, as tracks."""
    tracks = []
    for label in CLASSES:
        for i in range(per_class):
            path = folder / label / f"{label}{i}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(sounds_like(label, derive_seed(label, i))))
            split: Split = ("train", "train", "train", "train", "validation", "test")[i % 6]  # type: ignore[assignment]
            content = digest(path.read_bytes(), size=16)
            tracks.append(Track(track_id=f"{label}/{i}", source=str(path), content=content, label=label,
                                group=f"artist:{label}{i}", split=split, title=f"{label} {i}"))  # fmt: skip
    return tracks


def track(track_id: str, label: str = "a", group: str | None = None, split: Split | None = None, **more: Any) -> Track:
    """A track without audio."""
    return Track(track_id=track_id, source=f"/nowhere/{track_id}", content=digest(track_id), label=label,
                 group=group or f"track:{track_id}", split=split, **more)  # fmt: skip


def tiny_config(changes: Mapping[str, Any] | None = None) -> TrialConfig:
    """A trial that takes a second: 32 mel bands, 2 s clips, windows of half a second, 1000 weights."""
    config = TrialConfig(
        dataset=DatasetRef(name="toy", label="sound"),
        feature=Mel(n_mels=32, n_fft=512, hop=256, frames=None),
        model=SimpleConfig(variant="chroma", width=1),
        task=SingleLabel(),
        clip=ClipConfig(seconds=2.0),
        window=WindowConfig(frames=40, train_per_track=2, per_track=2),
        optim=OptimConfig(lr=5e-3, batch_size=8, epochs=4, patience=20),
    )
    return config.replace(changes or {})


def toy_tracks(per_class: int = 9) -> list[Track]:
    """Tracks of all classes without audio, a third of them for validation."""
    return [
        track(f"{label}{i}", label, split="validation" if i % 3 == 2 else "train")
        for label in CLASSES
        for i in range(per_class)
    ]


def toy_spectrogram(label: str, seed: int, bands: int = 32, frames: int = 60) -> FloatArray:
    """Noise around -40 dB with a band that is 25 dB louder, elsewhere for each class."""
    values = np.random.default_rng(seed).normal(-40, 4, (bands, frames))
    first = 3 + 9 * CLASSES.index(label)
    values[first : first + 6] += 25
    return values.astype(np.float32)


def write_part(uri: str, keys: Sequence[str], arrays: Sequence[FloatArray]) -> int:
    """One part of a store, a clip a track; returns the bytes written."""
    writer = ShardWriter(uri)
    for key, values in zip(keys, arrays, strict=True):
        writer.add(key, ComputedClip(values, values))
    return writer.close()


def toy_batches(root: Path, config: TrialConfig, tracks: Sequence[Track] | None = None) -> Batches:
    """Batches of a store that is easy to learn; written once a root."""
    tracks = toy_tracks() if tracks is None else tracks
    uri = prepare_store(str(root), config.feature)
    keys = [track_key(t.content, config.clip) for t in tracks]
    if FeatureStore(uri).missing(keys):
        arrays = [toy_spectrogram(t.label, derive_seed(t.track_id), config.feature.freq_bins) for t in tracks]
        write_part(uri, keys, arrays)
    return Batches(config, tracks, sorted({t.label for t in tracks}), FeatureStore(uri))
