"""Trials that resume and replay, with all that they leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import CLASSES, tiny_config, toy_batches
from tonearm.core.errors import TrainingError
from tonearm.training import trial as trial_module
from tonearm.training.bundle import load_bundle
from tonearm.training.fit import predict_split
from tonearm.training.trial import TrialFolder, run_trial


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in h.items() if k not in ("epoch_seconds", "replayed")} for h in history]


# --- trials


def test_trial_leaves_all_that_was_promised(features: Path, tmp_path: Path) -> None:
    config, folder = tiny_config(), TrialFolder(str(tmp_path / "trial"))
    batches = toy_batches(features, config)
    got = list(run_trial(config, batches, folder))
    assert [m["epoch"] for m in got] == [1, 2, 3, 4] and not any(m["replayed"] for m in got)
    assert folder.ended() == {"how": "completed", "error": ""}
    assert folder.config() == config and folder.history() == got
    kept = load_bundle(folder.bundle_uri)
    best = max(m["validation_f1_micro"] for m in got)
    assert [m["best"] for m in got] == list(np.maximum.accumulate([m["validation_f1_micro"] for m in got]))
    assert kept.metrics["validation_f1_micro"] == best == got[-1]["best"]
    # The kept weights are those of the epoch whose predictions were kept.
    predicted = predict_split(kept.network, config.task, batches, "validation")
    validation = folder.validation()
    np.testing.assert_allclose(predicted, validation.probabilities, atol=1e-6)
    assert validation.track_ids == [t.track_id for t in batches.tracks("validation")]
    assert validation.classes == CLASSES and np.array_equal(validation.target, batches.targets("validation"))
    assert config.task.metrics(predicted, validation.target)["f1_micro"] == best


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a finished trial was trained again")

    monkeypatch.setattr(trial_module, "fit", fail)
    monkeypatch.setattr(trial_module, "build_network", fail)


@pytest.mark.parametrize("how", ["completed", "stopped"])
def test_ended_trial_is_replayed_without_training(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    config, folder = tiny_config(), TrialFolder(str(tmp_path))
    running = run_trial(config, toy_batches(features, config), folder)
    got = list(running) if how == "completed" else [next(running), next(running)]
    running.close()
    folder.end("stopped")  # the first mark stays
    assert folder.ended() == {"how": how, "error": ""}
    forbid_training(monkeypatch)
    again = list(run_trial(config, toy_batches(features, config), folder))
    assert again == [{**m, "replayed": True} for m in got]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_killed_trial_goes_on_as_if_undisturbed(features: Path, tmp_path: Path, after: int) -> None:
    config = tiny_config({"model.dropout": 0.2, "optim.schedule": "cosine"})
    batches = toy_batches(features, config)
    whole, killed = TrialFolder(str(tmp_path / "whole")), TrialFolder(str(tmp_path / "killed"))
    wanted = list(run_trial(config, batches, whole))
    running = run_trial(config, batches, killed)
    for _ in range(after):
        next(running)
    running.close()
    assert killed.ended() is None and len(killed.history()) == after
    got = list(run_trial(config, toy_batches(features, config), killed))
    assert [m["replayed"] for m in got] == [i < after for i in range(4)]
    assert without_seconds(got) == without_seconds(wanted)
    assert without_seconds(killed.history()) == without_seconds(whole.history())
    assert np.array_equal(killed.validation().probabilities, whole.validation().probabilities)
    ours, theirs = load_bundle(killed.bundle_uri), load_bundle(whole.bundle_uri)
    assert ours.metrics == theirs.metrics
    assert all(torch.equal(v, theirs.network.state_dict()[k]) for k, v in ours.network.state_dict().items())


@pytest.mark.parametrize("torn", ["history behind", "bundle ahead", "half a state beside"])
def test_trial_killed_between_two_files_goes_on_from_the_state(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: str
) -> None:
    config = tiny_config()
    batches = toy_batches(features, config)
    wanted = list(run_trial(config, batches, TrialFolder(str(tmp_path / "whole"))))
    folder = TrialFolder(str(tmp_path / "torn"))
    running = run_trial(config, batches, folder)
    history = [next(running), next(running)]
    if torn == "history behind":  # state.pt is written first
        (tmp_path / "torn" / "history.json").write_text(json.dumps(history[:1]))
    elif torn == "half a state beside":
        (tmp_path / "torn" / ".state.pt.0123.tmp").write_bytes((tmp_path / "torn" / "state.pt").read_bytes()[:100])
    else:  # killed after the bundle of an epoch, before its state
        monkeypatch.setattr(TrialFolder, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            next(running)
        monkeypatch.undo()
    running.close()
    got = list(run_trial(config, batches, folder))
    assert without_seconds(got) == without_seconds(wanted)
    assert [m["replayed"] for m in got] == [True, True, False, False]
    assert without_seconds(folder.history()) == without_seconds(wanted)


def test_state_that_is_no_state_is_named(tmp_path: Path) -> None:
    folder = TrialFolder(str(tmp_path))
    for damage in (b"", b"no state", b"PK\x03\x04 half a zip"):
        (tmp_path / "state.pt").write_bytes(damage)
        with pytest.raises(TrainingError, match=r"state\.pt is damaged"):
            folder.state()


def test_state_is_never_unpickled_freely(tmp_path: Path) -> None:
    torch.save({"epoch": Path("/any/object")}, tmp_path / "state.pt")
    with pytest.raises(TrainingError, match=r"state\.pt is damaged"):
        TrialFolder(str(tmp_path)).state()


def test_trials_differ_by_their_whole_config(features: Path, tmp_path: Path) -> None:
    losses = []
    for i, changes in enumerate([{}, {"seed": 1}, {"optim.lr": 1e-3}, {"feature.normalisation": "track"}]):
        config = tiny_config({"optim.epochs": 1, **changes})
        got = list(run_trial(config, toy_batches(features, config), TrialFolder(str(tmp_path / str(i)))))
        losses.append(got[0]["train_loss"])
    assert len(set(losses)) == 4
