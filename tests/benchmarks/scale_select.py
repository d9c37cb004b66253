"""Predicting a catalogue: Time on one window of 215 frames of each stored track, made spectrograms.

In this process, by one and by two workers on Ray, after a kill in the middle, and when all is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tests.benchmarks.scale import Step
from tests.builders import track, write_part
from tonearm.audio.windows import ClipConfig
from tonearm.core import home, storage
from tonearm.datasets.manifest import Track
from tonearm.features import Mel
from tonearm.features.store import prepare_store, track_key
from tonearm.inference.blocks import plan_blocks
from tonearm.models import TimeConfig
from tonearm.tasks import SingleLabel
from tonearm.training.bundle import Bundle, build_network, save_bundle
from tonearm.training.config import DatasetRef, TrialConfig, WindowConfig
from tonearm.workflows.predict_blocks import predict_blocks
from tonearm.workflows.ray_session import start_ray, stop_ray

CLASSES = tuple(f"class {i}" for i in range(16))
CONFIG = TrialConfig(
    dataset=DatasetRef(name="made"), feature=Mel(n_mels=256, frames=None), model=TimeConfig(), task=SingleLabel(),
    clip=ClipConfig(seconds=30.0), window=WindowConfig(frames=215, per_track=1),
)  # fmt: skip
MADE_AT_ONCE = 16


def steps(tracks: int, folder: Path) -> Iterator[Step]:
    """Predict so many tracks by a network in several ways."""
    os.environ.setdefault("TONEARM_CACHE", str(folder / "cache"))
    made = [track(f"{i:06d}", CLASSES[i % 16]) for i in range(tracks)]
    store(made)
    bundle = str(folder / "bundle")
    torch.manual_seed(0)
    save_bundle(bundle, Bundle(CONFIG, CLASSES, {}, build_network(CONFIG, len(CLASSES))))
    yield "in this process", partial(predicted, bundle, made, float("inf"))
    for workers in (1, 2):
        forget()
        start_ray(num_cpus=workers)
        yield f"{workers} worker{'s' * (workers > 1)} on Ray", partial(predicted, bundle, made, -1.0)
        stop_ray()
    half = plan_blocks(bundle, made, root())
    for block in half[: len(half) // 2]:
        storage.remove(block.uri)
    yield "after a kill in the middle", partial(predicted, bundle, made, float("inf"))
    yield "all is there", partial(predicted, bundle, made, float("inf"))


def predicted(bundle: str, tracks: list[Track], seconds_for_ray: float) -> dict[str, float]:
    """Predict all; how many were predicted now, and how many of them a second, workers' start included."""
    before = sum(block.is_there() * len(block.tracks) for block in plan_blocks(bundle, tracks, root()))
    begun = time.perf_counter()
    (found,) = predict_blocks([bundle], tracks, seconds_for_ray=seconds_for_ray)
    now = len(found) - before
    return {"predicted": now, "tracks_per_s": now / (time.perf_counter() - begun)}


def store(tracks: list[Track]) -> None:
    """Noise of the size of real spectrograms."""
    uri = prepare_store(home.features_home(), CONFIG.representation, CONFIG.clip)
    values = np.random.default_rng(0).normal(-40, 10, (256, 646)).astype(np.float32)
    for first in range(0, len(tracks), MADE_AT_ONCE):
        keys = [track_key(t.content, CONFIG.clip) for t in tracks[first : first + MADE_AT_ONCE]]
        write_part(uri, keys, [values] * len(keys))


def root() -> str:
    """Where predictions are kept."""
    return home.predictions_home()


def forget() -> None:
    """Remove what was predicted."""
    for name in storage.list_folders(root()):
        folder = storage.join(root(), name)
        for file in storage.list_files(folder):
            storage.remove(storage.join(folder, file))
