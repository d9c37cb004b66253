"""A trial of a network that is solved: one epoch, kept, continued and loaded like any other."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.builders import CLASSES, tiny_config, toy_spectrogram, toy_tracks, write_part
from tonearm.core.seeding import derive_seed
from tonearm.datasets.manifest import Track
from tonearm.datasets.metadata import Metadata
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.features.summaries import Moments, Summarised
from tonearm.models.mean_kernel import MeanKernelConfig, MeanKernelNetwork
from tonearm.tasks import Regression, SingleLabel
from tonearm.training.batches import Batches
from tonearm.training.bundle import load_bundle
from tonearm.training.config import OptimConfig, TrialConfig, WindowConfig
from tonearm.training.fit import fit
from tonearm.training.trial import TrialFolder, run_trial


def trial(changes: dict[str, Any] | None = None) -> TrialConfig:
    base = tiny_config()
    return TrialConfig(
        dataset=base.dataset, feature=Summarised(of=base.feature, summary=Moments()), model=MeanKernelConfig(),
        task=SingleLabel(), clip=base.clip, window=WindowConfig(train_per_track=1, per_track=1),
        optim=OptimConfig(epochs=1),
    ).replace(changes or {})  # fmt: skip


def batches(root: Path, config: TrialConfig, tracks: list[Track] | None = None) -> Batches:
    """Of summaries of spectrograms that are easy to tell apart."""
    tracks = toy_tracks() if tracks is None else tracks
    uri = prepare_store(str(root), config.representation)
    keys = [track_key(t.content, config.clip) for t in tracks]
    spectrograms = [toy_spectrogram(t.label, derive_seed(t.track_id)) for t in tracks]
    write_part(uri, keys, [config.representation.derive(x) for x in spectrograms])  # type: ignore[attr-defined]
    return Batches(config, tracks, sorted({t.label for t in tracks}), FeatureStore(uri))


def test_a_trial_is_solved_in_one_epoch_and_served_from_its_bundle(tmp_path: Path) -> None:
    config = trial()
    examples = batches(tmp_path, config)
    folder = TrialFolder(str(tmp_path / "trial"))
    (epoch,) = run_trial(config, examples, folder)
    assert epoch["epoch"] == 1 and epoch["validation_f1_micro"] == 1.0 and epoch["validation_log_loss"] < 0.5
    assert folder.is_completed() and list(run_trial(config, examples, folder)) == [{**epoch, "replayed": True}]
    bundle = load_bundle(folder.bundle_uri)
    network = bundle.network
    assert isinstance(network, MeanKernelNetwork) and network.embedding_dim == 18
    (inputs, _), *_ = examples.evaluation("validation")
    kept = folder.validation().probabilities
    np.testing.assert_allclose(torch.softmax(network(inputs), dim=1).detach().numpy()[: len(kept)], kept, atol=1e-6)


def test_a_trial_that_was_killed_before_its_bundle_gets_it_from_its_state(tmp_path: Path) -> None:
    config = trial()
    examples = batches(tmp_path, config)
    folder = TrialFolder(str(tmp_path / "trial"))
    list(run_trial(config, examples, folder))
    weights = Path(folder.bundle_uri, "weights.safetensors").read_bytes()
    for file in ("bundle/weights.safetensors", "bundle/bundle.json", "ended.json"):
        Path(folder.uri, file).unlink()
    (epoch,) = run_trial(config, examples, folder)
    assert epoch["replayed"] and Path(folder.bundle_uri, "weights.safetensors").read_bytes() == weights


def test_the_seed_chooses_landmarks_and_nothing_else(tmp_path: Path) -> None:
    few = trial({"model.landmarks": 5})
    examples = {seed: batches(tmp_path, few.replace({"seed": seed})) for seed in (0, 1)}

    def dual(config: TrialConfig, seed: int) -> torch.Tensor:
        network = config.built_model.build(config.inputs, 3)
        list(fit(network, config.task, examples[seed], config.optim, seed))
        return network.get_buffer("dual")

    assert dual(few, 0).shape == (5, 3)
    assert torch.equal(dual(few, 0), dual(few, 0)) and not torch.equal(dual(few, 0), dual(few, 1))
    assert torch.equal(dual(trial(), 0), dual(trial(), 1))


def test_several_labels_and_numbers(tmp_path: Path) -> None:
    both = [dataclasses.replace(t, labels=(t.label, "loud")) if i % 2 else t for i, t in enumerate(toy_tracks())]
    config = trial({"task.kind": "multi_label"})
    store = batches(tmp_path, trial(), both).readers[""].store  # type: ignore[attr-defined]
    examples = Batches(config, both, (*CLASSES, "loud"), store)
    network = config.built_model.build(config.inputs, 4)
    (report,) = fit(network, config.task, examples, config.optim)
    found = report.predictions[:, :3].argmax(axis=1)
    assert (found == examples.targets("validation")[:, :3].argmax(axis=1)).all()

    numbers = Metadata([t.track_id for t in both], {"y": np.array([20.0 + 5 * CLASSES.index(t.label) for t in both])})
    for squash in ("none", "sigmoid"):
        regression = trial({"task": Regression(target="y", squash=squash, low=20.0, high=30.0)})
        examples = Batches(regression, both, ("y",), store, numbers)
        network = regression.built_model.build(regression.inputs, 1)
        (report,) = fit(network, regression.task, examples, regression.optim)
        assert np.abs(report.predictions[:, 0] - examples.targets("validation")[:, 0]).max() < 4, squash
