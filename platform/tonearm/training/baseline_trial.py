"""A baseline in a trial's folder: trained at once, evaluated and recorded like any network, without a bundle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tonearm.core import storage
from tonearm.datasets.manifest import Manifest, Split
from tonearm.features.store import FeatureStore, store_uri, track_key
from tonearm.features.store_copy import copy_to_node
from tonearm.training.baselines import BaselineConfig, design_matrix, fit_baseline
from tonearm.training.batches import truth_of
from tonearm.training.predictions import TrackPredictions, write_predictions
from tonearm.training.trained_code import code_of
from tonearm.training.trial import Begin, TrialFolder


def run_baseline(
    config: BaselineConfig, manifest: Manifest, folder: TrialFolder, features: str, cache: str,
    begin: Begin | None = None,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Fit a baseline, or give back what is recorded of it; while another process fits it, this one waits.

    Parameters
    ----------
    features, cache
        The feature stores, and a local folder for copies of remote ones.
    begin
        As of :func:`tonearm.training.trial.run_trial`.

    Yields
    ------
    Metrics as :func:`tonearm.training.trial.run_trial` yields them, of a single epoch.
    """
    if not folder.is_completed():
        with folder.lock():
            if not folder.is_completed():  # by whom it waited for
                if begin:
                    begin(())
                yield _fit(config, manifest, folder, features, cache)
                return
    yield from ({**past, "replayed": True} for past in folder.history())


def _fit(config: BaselineConfig, manifest: Manifest, folder: TrialFolder, features: str, cache: str) -> dict[str, Any]:
    started = time.monotonic()
    storage.write_json(storage.join(folder.uri, "config.json"), config.to_dict())
    folder.note_code(code_of(config), begun=False)
    keys = [track_key(t.content, config.clip) for t in manifest.tracks] if config.features else []
    stores = {r.store_name(): FeatureStore(copy_to_node(store_uri(features, r), cache, keys)) for r in config.features}
    names = config.task.names(truth_of(manifest.tracks, manifest.metadata), manifest.classes)
    tracks = {split: manifest.of(split) for split in ("train", "validation", "test")}
    inputs = {split: design_matrix(config, own, stores, manifest.metadata) for split, own in tracks.items()}
    targets = {split: config.task.encode(truth_of(own, manifest.metadata), names) for split, own in tracks.items()}
    groups = [t.group for t in tracks["train"]]
    fitted = fit_baseline(config, inputs["train"], targets["train"], groups, len(names))
    metrics: dict[str, Any] = {}
    splits: tuple[Split, ...] = ("train", "validation", "test")
    for split in splits:
        predictions = fitted.predict(inputs[split])
        own = [t.group for t in tracks[split]]
        scores = config.task.metrics(predictions, targets[split], own)
        if split == "train":
            metrics["train_loss"] = scores[config.task.tie_breaker]
            continue
        if split == "validation":
            metrics |= {f"validation_{k}": v for k, v in scores.items()}
        found = TrackPredictions([t.track_id for t in tracks[split]], own, targets[split], predictions, names)
        write_predictions(folder.predictions_uri(split), config.task, found)
    row = {
        "epoch": 1, **metrics, "best": metrics[f"validation_{config.task.primary}"], "improved": True,
        "replayed": False, "epoch_seconds": time.monotonic() - started,
        **{f"chosen_{k}": v for k, v in fitted.chosen.items()},
    }  # fmt: skip
    storage.write_json(storage.join(folder.uri, "history.json"), [row])
    folder.complete()
    return row
