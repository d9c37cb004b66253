"""Estimated cost of a sweep: bytes of features by arithmetic, seconds of training by timing a few real steps."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tonearm.audio.windows import ClipConfig
from tonearm.core import storage
from tonearm.core.types import InputSpec
from tonearm.datasets.manifest import Manifest, Track
from tonearm.features.base import Representation
from tonearm.features.metadata import TokensFeature
from tonearm.features.store import FeatureStore, store_uri, track_key
from tonearm.models.base import Inputs
from tonearm.sweeps.rungs import LEAST
from tonearm.sweeps.strategies import Asha, Scheduler
from tonearm.training.batches import truth_of
from tonearm.training.bundle import build_network
from tonearm.training.config import TrialConfig

BYTES_PER_VALUE = 2  # stores keep float16
TIMED_EXAMPLES = 4
MAX_TIMED = 6


@dataclass(frozen=True)
class StoreEstimate:
    """Storage that a representation takes.

    Attributes
    ----------
    seconds
        Length of a clip.
    bytes_per_track
        Of one clip.
    missing
        Tracks that are not stored yet; None where the data set is not there.
    """

    representation: Representation
    seconds: float
    bytes_per_track: int
    missing: int | None

    @property
    def bytes(self) -> int:
        """That are still to be written."""
        return self.bytes_per_track * (self.missing or 0)


def estimate_stores(
    representations: Sequence[Representation], clip: ClipConfig, features: str, tracks: Sequence[Track] | None
) -> list[StoreEstimate]:
    """What extraction has to write, a representation at a time; tracks are counted as one clip each."""
    found = []
    for representation in representations:
        shape = representation.input_spec(clip.seconds)
        size = shape.channels * shape.freq_bins * shape.frames * BYTES_PER_VALUE
        missing = None
        if tracks is not None:
            keys, uri = {track_key(t.content, clip) for t in tracks}, store_uri(features, representation)
            there = storage.exists(storage.join(uri, "representation.json"))
            missing = len(FeatureStore(uri).missing(keys)) if there else len(keys)
        found.append(StoreEstimate(representation, clip.seconds, size, missing))
    return found


def expected_epoch_fraction(scheduler: Scheduler, configurations: int) -> float:
    """The part of all epochs that a scheduler lets a sweep train, as successive halving does when no trial is late."""
    if not isinstance(scheduler, Asha):
        return 1.0  # how much the median rule stops is unknown beforehand
    trained, reached, left = 0.0, 0.0, configurations
    for share in (*scheduler.rungs, 1.0):
        trained += left * (share - reached)
        reached, left = share, min(left, max(left // scheduler.reduction, LEAST))
    return trained / configurations


@dataclass(frozen=True)
class DatasetCounts:
    """How many tracks train, how many validate, and how many outputs a network has."""

    train: int
    validation: int
    outputs: int


def dataset_counts(
    config: TrialConfig, manifest: Manifest | None, tracks: Sequence[Track] | None
) -> DatasetCounts | None:
    """Of a data set that is prepared; of one that is only listed about; None where there is none."""
    if manifest is not None:
        names = config.task.names(truth_of(manifest.tracks, manifest.metadata), manifest.classes)
        return DatasetCounts(len(manifest.of("train")), len(manifest.of("validation")), len(names))
    if tracks is None:
        return None
    labels = len({t.label for t in tracks if t.label})
    return DatasetCounts(round(0.6 * len(tracks)), round(0.2 * len(tracks)), max(2, labels))


def training_seconds(configs: Sequence[TrialConfig], counts: DatasetCounts) -> float:
    """About how long one core trains all of these, every epoch of each.

    A training step and an evaluation of a few random examples are timed for some of the distinct networks and inputs;
    the others count as much as the mean of those.
    """
    distinct: dict[str, TrialConfig] = {}
    for config in configs:
        distinct.setdefault(f"{config.built_model.brief()} {config.inputs}", config)
    spread = np.linspace(0, len(distinct) - 1, min(MAX_TIMED, len(distinct))).round().astype(int)
    keys = list(distinct)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        timed = {keys[i]: _example_seconds(distinct[keys[i]], counts.outputs) for i in spread}
    finally:
        torch.set_num_threads(threads)
    mean = (float(np.mean([t for t, _ in timed.values()])), float(np.mean([e for _, e in timed.values()])))
    total = 0.0
    for config in configs:
        train, evaluate = timed.get(f"{config.built_model.brief()} {config.inputs}", mean)
        examples = counts.train * config.window.train_per_track * train
        examples += counts.validation * config.window.per_track * evaluate
        total += examples * config.optim.max_epochs
    return total


def _example_seconds(config: TrialConfig, outputs: int) -> tuple[float, float]:
    """Seconds that an example takes in training and in evaluation."""
    network = build_network(config, outputs)
    inputs = _random_inputs(config)

    def step() -> None:
        network.train()
        network(inputs).square().mean().backward()

    def look() -> None:
        network.eval()
        with torch.inference_mode():
            network(inputs)

    found = []
    for function in (step, look):
        function()  # the first call builds buffers
        started = time.perf_counter()
        function()
        found.append((time.perf_counter() - started) / TIMED_EXAMPLES)
    return found[0], found[1]


def _random_inputs(config: TrialConfig) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    specs = config.inputs
    if isinstance(config.feature, TokensFeature) and isinstance(specs, InputSpec):
        return torch.randint(0, specs.freq_bins, (TIMED_EXAMPLES, specs.frames), generator=generator)
    if isinstance(specs, InputSpec):
        return torch.randn(TIMED_EXAMPLES, *specs.shape, generator=generator)
    named: Mapping[str, InputSpec] = specs
    return {name: torch.randn(TIMED_EXAMPLES, *s.shape, generator=generator) for name, s in named.items()}
