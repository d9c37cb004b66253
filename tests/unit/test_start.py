"""A trial that goes on from another one: as if both were one, but with settings of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.builders import CLASSES, tiny_config, toy_batches, toy_tracks, track
from tonearm.core.errors import TrainingError
from tonearm.training.config import Member, TrialConfig
from tonearm.training.trial import TrialFolder, run_trial

EACH = {"optim.patience": 50}


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


def run(config: TrialConfig, features: Path, folder: Path, **how: Any) -> TrialFolder:
    made = TrialFolder(str(folder))
    for _ in run_trial(config, toy_batches(features, config), made, **how):
        pass
    return made


def figures(folder: TrialFolder) -> list[dict[str, Any]]:
    return [{k: v for k, v in h.items() if k not in ("epoch_seconds", "replayed")} for h in folder.history()]


def continued(first: TrialConfig, folder: TrialFolder, changes: dict[str, Any]) -> TrialConfig:
    start = Member(name="start", trial=first.signature(), bundle=folder.uri)
    return first.replace({"optim.epochs": 4, "start": start, **changes})


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_two_trials_are_one_training_if_nothing_changes(features: Path, tmp_path: Path, optimizer: str) -> None:
    whole = tiny_config({**EACH, "optim.epochs": 4, "optim.optimizer": optimizer})
    half = whole.replace({"optim.epochs": 2})
    one, first = run(whole, features, tmp_path / "one"), run(half, features, tmp_path / "first")
    config = continued(half, first, {})
    second = run(config, features, tmp_path / "second")
    assert figures(second) == figures(one)
    assert second.validation().probabilities.tolist() == one.validation().probabilities.tolist()
    assert len(first.history()) == 2, "the trial that it goes on from was changed"
    assert config.signature() not in (whole.signature(), half.signature())
    assert config.signature() == config.replace({"start.bundle": "elsewhere"}).signature()


@pytest.mark.parametrize("changes", [{"optim.lr": 1e-4}, {"optim.weight_decay": 0.1}, {"augment.time_masks": 2}])
def test_changed_settings_count_from_there_on(features: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    half = tiny_config({**EACH, "optim.epochs": 2})
    first = run(half, features, tmp_path / "first")
    same = run(continued(half, first, {}), features, tmp_path / "same")
    other = run(continued(half, first, changes), features, tmp_path / "other")
    assert figures(same)[:2] == figures(other)[:2]
    assert figures(same)[2]["train_loss"] != figures(other)[2]["train_loss"]
    if "optim.lr" in changes:
        assert [h["lr"] for h in other.history()] == [5e-3, 5e-3, 1e-4, 1e-4]


def test_killed_continuation_goes_on(features: Path, tmp_path: Path) -> None:
    half = tiny_config({**EACH, "optim.epochs": 2})
    first = run(half, features, tmp_path / "first")
    config = continued(half, first, {"optim.lr": 1e-3})
    undisturbed = run(config, features, tmp_path / "undisturbed")
    killed = TrialFolder(str(tmp_path / "killed"))
    running = run_trial(config, toy_batches(features, config), killed)
    for _ in range(3):  # two of the first trial, one of its own
        next(running)
    running.close()
    assert figures(run(config, features, tmp_path / "killed")) == figures(undisturbed)


def test_wrong_start_is_named(features: Path, tmp_path: Path) -> None:
    half = tiny_config({**EACH, "optim.epochs": 2})
    first = run(half, features, tmp_path / "first")
    for start, wanted in (
        (Member(name="start", trial="0123", bundle=first.uri), f"holds trial {half.signature()}, not 0123"),
        (Member(name="start", trial=half.signature(), bundle=str(tmp_path / "no")), "has no state in"),
    ):
        config = half.replace({"start": start, "optim.epochs": 4})
        with pytest.raises(TrainingError, match=wanted):
            run(config, features, tmp_path / "wrong")


def test_completed_trial_has_been_tested(features: Path, tmp_path: Path) -> None:
    tracks = [*toy_tracks(), *(track(f"test-{c}{i}", c, split="test") for c in CLASSES for i in range(2))]
    config = tiny_config({"optim.epochs": 2})
    folder = TrialFolder(str(tmp_path / "trial"))
    running = run_trial(config, toy_batches(tmp_path / "features", config, tracks), folder, test=True)
    seen = [(metrics["epoch"], folder.ended()) for metrics in running]
    assert seen == [(1, None), (2, None)] and folder.ended() == {"how": "completed"}
    assert folder.predictions("test").track_ids == sorted(f"test-{c}{i}" for c in CLASSES for i in range(2))
