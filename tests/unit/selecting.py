"""A home with trained trials of several representations and clips, from which is selected without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.builders import CLASSES, tiny_config, write_part, write_recordings
from tonearm.audio.windows import load_clip
from tonearm.core import home
from tonearm.datasets.manifest import Manifest
from tonearm.features import extract
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.sweeps.results import TrialResult, read_result
from tonearm.training.batches import Batches
from tonearm.training.config import TrialConfig
from tonearm.training.examples import bind_to_data
from tonearm.training.trial import TrialFolder, run_trial
from tonearm.workflows.sweep_result import Sweep

DIFFERENT: tuple[dict[str, Any], ...] = (
    {"optim.lr": 1e-2, "optim.epochs": 4},
    {"optim.lr": 1e-2, "optim.epochs": 3, "feature.n_fft": 1024, "window.per_track": 3},
    {"optim.lr": 5e-3, "optim.epochs": 4, "clip.seconds": 1.2, "seed": 1},
)
"""Of two representations and two clips."""


def make_manifest(folder: Path, name: str, per_class: int = 12) -> Manifest:
    """Recordings of three classes, a third of them held out."""
    return Manifest(name, "sound", tuple(write_recordings(folder, per_class)))


def store_features(config: TrialConfig, manifest: Manifest) -> FeatureStore:
    """What a trial hears, as extraction computes it, in the home."""
    uri = prepare_store(home.features_home(), config.representation, config.clip)
    wanted = {track_key(t.content, config.clip): t for t in manifest.tracks}
    missing = FeatureStore(uri).missing(wanted)
    if missing:
        arrays = []
        for key in missing:
            feature = config.representation
            waveform = load_clip(wanted[key].source, config.clip, feature.sample_rate, min_seconds=config.min_seconds)
            arrays.append(extract(waveform, [feature])[feature.store_name()])
        write_part(uri, missing, arrays)
    return FeatureStore(uri)


def train_trial(manifest: Manifest, changes: Mapping[str, Any], index: int = 0) -> TrialResult:
    """One trial in the home, to its end, or as it was found there."""
    config = bind_to_data(tiny_config({"dataset.name": manifest.name, **changes}), manifest)
    folder = TrialFolder(f"{home.trials_home()}/{manifest.name}/{index:02d}-{config.signature()}")
    batches = Batches(config, manifest.tracks, CLASSES, store_features(config, manifest))
    list(run_trial(config, batches, folder, test=True))
    return read_result(index, f"{index:02d} simple", config, folder)


def train_sweep(
    manifest: Manifest, all_changes: Sequence[Mapping[str, Any]] = DIFFERENT, signature: str = "a1"
) -> Sweep:
    """A finished sweep in the home."""
    results = tuple(train_trial(manifest, changes, i) for i, changes in enumerate(all_changes))
    sweep = Sweep("some", signature, manifest, {}, results)
    sweep.save()
    sweep.open().end()
    return sweep
