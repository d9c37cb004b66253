"""A trial of a network that is solved: one epoch, kept, continued and loaded like any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import CLASSES, tiny_config, toy_spectrogram, toy_tracks, write_part
from tonearm.core.seeding import derive_seed
from tonearm.core.types import InputSpec
from tonearm.datasets.manifest import Track
from tonearm.datasets.metadata import Metadata
from tonearm.features.store import FeatureStore, StoredClip, prepare_store, track_key
from tonearm.features.summaries import Moments, Summarised
from tonearm.inference.member import predict_member
from tonearm.models.mean_kernel import MeanKernelConfig, MeanKernelNetwork
from tonearm.tasks import Regression, SingleLabel
from tonearm.training.batches import Batches
from tonearm.training.bundle import load_bundle
from tonearm.training.closed_form import ridge
from tonearm.training.config import OptimConfig, TrialConfig, WindowConfig
from tonearm.training.fit import fit
from tonearm.training.trial import TrialFolder, run_trial

Solve = Callable[[Callable[[Track], str]], dict[str, float]]


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


def test_tracks_that_a_few_numbers_hardly_tell_apart_are_solved_all_the_same() -> None:
    """Of one smooth kernel in single precision most eigenvalues are rounding, some of it below 0."""
    rng = np.random.default_rng(0)
    train = [torch.from_numpy(rng.normal(size=(300, 1)).astype(np.float32))]
    target = (train[0][:, 0] > 0).long()
    model = MeanKernelConfig().build(InputSpec(1, 1, 1), 2)
    assert isinstance(model, MeanKernelNetwork)
    model.scale(train)
    every = torch.arange(300)
    model.choose_landmarks(train, every)
    one_hot, even = torch.nn.functional.one_hot(target, 2).double(), torch.ones(300, dtype=torch.float64)
    found = ridge(model, train, every, one_hot, even, [str(i) for i in range(300)])
    assert np.isfinite(found.left_out).all() and np.mean(found.left_out.argmax(axis=1) == target.numpy()) > 0.95


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


def test_several_windows_of_a_track_are_asked_as_they_were_solved(tmp_path: Path) -> None:
    """Single windows are noise here, of which five together say much."""
    base = tiny_config({"feature.normalisation": "none", "model": MeanKernelConfig()})
    config = base.replace({"window": WindowConfig(frames=4, train_per_track=1, per_track=5)})
    tracks, rng = toy_tracks(per_class=60), np.random.default_rng(0)
    sounds = {label: rng.normal(0, 0.5, (32, 1)) for label in CLASSES}
    values = [sounds[t.label] + rng.normal(0, 0.8, (32, 1)) + rng.normal(0, 4, (32, 60)) for t in tracks]
    uri = prepare_store(str(tmp_path), config.representation)
    write_part(uri, [track_key(t.content, config.clip) for t in tracks], [v.astype(np.float32) for v in values])
    store = FeatureStore(uri)
    examples = Batches(config, tracks, CLASSES, store)
    folder = TrialFolder(str(tmp_path / "trial"))
    (epoch,) = run_trial(config, examples, folder)
    assert epoch["validation_f1_micro"] > 0.7
    assert epoch["train_loss"] == pytest.approx(epoch["validation_log_loss"], abs=0.15)  # of single windows 0.4 apart
    bundle, kept = load_bundle(folder.bundle_uri), folder.validation().probabilities
    for track, probabilities in list(zip(examples.tracks("validation"), kept, strict=True))[::20]:
        stored = [StoredClip(store.read(track_key(track.content, config.clip)).values, None, 0, 0.0)]
        served = predict_member(bundle, {config.representation.store_name(): stored})
        np.testing.assert_allclose(served.probabilities, probabilities, atol=1e-5)
        assert served.logits is not None and len(served.logits) == 1


@pytest.fixture
def solve_groups(tmp_path: Path) -> Solve:
    """What is told of a solution whose tracks are of these groups."""
    config = trial()
    store = batches(tmp_path, config).readers[""].store  # type: ignore[attr-defined]

    def solve(group: Callable[[Track], str]) -> dict[str, float]:
        tracks = [dataclasses.replace(t, group=group(t)) for t in toy_tracks()]
        network = config.built_model.build(config.inputs, 3)
        (report,) = fit(network, config.task, Batches(config, tracks, CLASSES, store), config.optim)
        return report.metrics

    return solve


def test_groups_that_are_classes_leave_single_tracks_out(solve_groups: Solve, caplog: pytest.LogCaptureFixture) -> None:
    alone = solve_groups(lambda t: t.track_id)
    assert alone["factor"] > 1 and alone["train_loss"] < 0.5 and not caplog.text
    for group in (lambda t: t.label, lambda t: "all"):
        caplog.clear()
        found = solve_groups(group)
        assert (found["factor"], found["train_loss"]) == (alone["factor"], alone["train_loss"])
        assert "18 of 18 training tracks are of classes that no other group has" in caplog.text


def test_a_class_of_one_group_does_not_calibrate_the_others(
    solve_groups: Solve, caplog: pytest.LogCaptureFixture
) -> None:
    alone = solve_groups(lambda t: t.track_id)
    found = solve_groups(lambda t: "one" if t.label == "bass" else t.track_id)
    assert found["factor"] == pytest.approx(alone["factor"], rel=0.5) and found["train_loss"] < 0.5
    assert not caplog.text
