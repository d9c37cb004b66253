"""Trials that resume and replay, with all that they leave behind."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import CLASSES, tiny_config, toy_batches, track
from tests.unit.toy_problems import AnyInput, table_batches, table_config
from tonearm.core import lock
from tonearm.core.errors import TrainingError
from tonearm.datasets.manifest import SPLITS
from tonearm.datasets.metadata import Metadata
from tonearm.features.metadata import TableFeature
from tonearm.tasks import Embedding, MultiLabel, Regression, SingleLabel, Task
from tonearm.training import trial as trial_module
from tonearm.training.batches import Batches, truth_of
from tonearm.training.bundle import load_bundle
from tonearm.training.logits import predict_split
from tonearm.training.predictions import TrackPredictions, read_predictions, write_predictions
from tonearm.training.trial import TrialFolder, run_trial, score_test, track_predictions


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
    assert folder.ended() == {"how": "completed"}
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


def test_completed_trial_is_replayed_without_training(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = tiny_config(), TrialFolder(str(tmp_path))
    got = list(run_trial(config, toy_batches(features, config), folder))
    assert sorted(folder.times()) == [1, 2, 3, 4] and list(folder.times().values()) == sorted(folder.times().values())
    forbid_training(monkeypatch)
    again = list(run_trial(config, toy_batches(features, config), folder))
    assert again == [{**m, "replayed": True} for m in got]


def test_trial_that_a_sweep_stopped_goes_on_for_another(features: Path, tmp_path: Path) -> None:
    """Also one that an earlier version marked as stopped: that was its sweep's wish alone."""
    config, folder = tiny_config(), TrialFolder(str(tmp_path / "stopped"))
    running = run_trial(config, toy_batches(features, config), folder)
    next(running)
    running.close()
    (tmp_path / "stopped" / "ended.json").write_text('{"how": "stopped"}')
    got = list(run_trial(config, toy_batches(features, config), folder))
    assert [m["replayed"] for m in got] == [True, False, False, False] and folder.is_completed()
    whole = list(run_trial(config, toy_batches(features, config), TrialFolder(str(tmp_path / "whole"))))
    assert without_seconds(got) == without_seconds(whole)


def test_who_wants_a_trial_that_another_trains_waits_and_takes_it(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SECONDS_BETWEEN_LOOKS", 0.01)
    config, folder = tiny_config(), TrialFolder(str(tmp_path))
    first, second = list[bool](), list[bool]()

    def want(into: list[bool]) -> None:
        into += [m["replayed"] for m in run_trial(config, toy_batches(features, config), folder)]

    running = run_trial(config, toy_batches(features, config), folder)
    first.append(next(running)["replayed"])
    assert (folder.trainer() or {})["pid"] == os.getpid()
    other = threading.Thread(target=want, args=(second,))
    other.start()
    other.join(0.2)
    assert other.is_alive() and not second, "two trained one trial at a time"
    first += [m["replayed"] for m in running]
    other.join(60)
    assert first == [False] * 4 and second == [True] * 4 and folder.trainer() is None


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


# --- predictions

LABELS = (("a",), ("b", "a"), ("c",), ("a", "c"), ("b",), ("c",))
KNOWN = {
    "energy": np.linspace(0.1, 0.9, 6),
    "tempo": np.linspace(60, 160, 6),
    "place": np.arange(18.0).reshape(6, 3) + 1,
}


def small_batches(task: Task) -> Batches:
    """Two tracks of each split, of two artists, with labels and metadata for every task."""
    tracks = [track(f"t{i}", own[0], group=f"artist:{i // 2}", split=SPLITS[i % 3], labels=own)
              for i, own in enumerate(LABELS)]  # fmt: skip
    config = table_config({"feature": TableFeature(columns=("energy", "tempo")), "model": AnyInput(), "task": task})
    metadata = Metadata([t.track_id for t in tracks], KNOWN)
    names = task.names(truth_of(tracks, metadata), ("a", "b", "c"))
    return Batches(config, tracks, names, metadata=metadata)


@pytest.mark.parametrize(
    ("task", "shape", "kind", "readable"),
    [
        (SingleLabel(), (2,), np.int64, {"label": ["b", "b"], "predicted": ["c", "a"]}),
        (MultiLabel(), (2, 3), np.float32, {"labels": ["a; b", "b"]}),
        (Regression(target="energy,tempo", squash="none"), (2, 2), np.float32, {"true_tempo": [80.0, 140.0]}),
        (Embedding(target="place"), (2, 3), np.float32, {}),
    ],
    ids=["integer", "multi-hot", "values", "vector"],
)
def test_predictions_come_back_as_they_were_written(
    tmp_path: Path, task: Task, shape: tuple[int, ...], kind: type, readable: dict[str, Any]
) -> None:
    import pyarrow.parquet as pq

    batches = small_batches(task)
    outputs = len(batches.classes)
    predictions = np.array([[0.1, 0.2, 0.7], [1 / 3, 1e-9, 0.3]], dtype=np.float32)[:, :outputs]
    written = track_predictions(task, batches, "validation", predictions)
    uri = str(tmp_path / "deep" / "validation.parquet")
    write_predictions(uri, task, written)
    found = read_predictions(uri)
    assert (found.track_ids, found.groups) == (["t1", "t4"], ["artist:0", "artist:2"])
    assert found.classes == batches.classes and found.target.shape == shape and found.target.dtype == kind
    assert np.array_equal(found.target, batches.targets("validation"))
    assert np.array_equal(found.probabilities, predictions) and found.probabilities.dtype == np.float32
    table = pq.read_table(uri)
    assert {k: table[k].to_pylist() for k in readable} == {k: pytest.approx(v) if k.startswith("true") else v
                                                          for k, v in readable.items()}  # fmt: skip
    assert {f"p:{c}" for c in batches.classes} <= set(table.column_names)


def test_classes_keep_their_order_and_odd_names(tmp_path: Path) -> None:
    names = ("z", "p:a", "label", "target", "é, ü", "")
    predictions = np.arange(12, dtype=np.float32).reshape(2, 6)
    written = TrackPredictions(["a", "b"], ["x", "y"], np.array([1, 3]), predictions, names)
    write_predictions(str(tmp_path / "p.parquet"), SingleLabel(), written)
    found = read_predictions(str(tmp_path / "p.parquet"))
    assert found.classes == names and np.array_equal(found.probabilities, predictions)
    assert found.target.tolist() == [1, 3]


def test_completed_trial_without_test_predictions_gets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for a trial with them finds one of an earlier version's training that was killed before its test."""
    config, folder = table_config({"optim.lr": 0.02}), TrialFolder(str(tmp_path))
    tracks = [t for split in SPLITS for t in table_batches(config).tracks(split)]
    tracks = [dataclasses.replace(t, split="test") if t.track_id.endswith("3") else t for t in tracks]
    batches = Batches(config, tracks, "xyz", metadata=table_batches(config).metadata)
    got = list(run_trial(config, batches, folder))
    assert folder.is_completed() and not folder.is_completed(tested=True)
    monkeypatch.setattr(trial_module, "fit", lambda *_, **__: pytest.fail("it was trained again"))
    again = list(run_trial(config, batches, folder, test=True))
    assert again == [{**m, "replayed": True} for m in got] and folder.is_completed(tested=True)
    assert folder.trainer() is None and len(folder.code()) == 1


def test_test_split_is_scored_once_by_the_kept_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, folder = table_config({"optim.lr": 0.02}), TrialFolder(str(tmp_path))
    tracks = [t for split in SPLITS for t in table_batches(config).tracks(split)]
    tracks = [dataclasses.replace(t, split="test") if t.track_id.endswith("3") else t for t in tracks]
    batches = Batches(config, tracks, "xyz", metadata=table_batches(config).metadata)
    list(run_trial(config, batches, folder))
    assert not (tmp_path / "test.parquet").exists()
    found = score_test(config, batches, folder)
    assert found.track_ids == batches.ids("test") == ["x03", "y03", "z03"] and found.classes == ("x", "y", "z")
    kept = load_bundle(folder.bundle_uri).network
    np.testing.assert_allclose(found.probabilities, predict_split(kept, config.task, batches, "test"), atol=1e-6)
    before = (tmp_path / "test.parquet").read_bytes()
    for name in ("load_bundle", "window_logits", "write_predictions"):
        monkeypatch.setattr(trial_module, name, lambda *_, **__: pytest.fail("the test split was scored again"))
    again = score_test(config, batches, folder)
    assert (tmp_path / "test.parquet").read_bytes() == before
    assert np.array_equal(again.probabilities, found.probabilities) and again.track_ids == found.track_ids
    assert np.array_equal(folder.predictions("test").target, batches.targets("test"))
    assert folder.window_metrics() == {}  # a class of windows is that of their track


def test_single_windows_of_the_test_split_are_judged_where_the_task_does_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, folder = Regression(target="tempo", squash="none"), TrialFolder(str(tmp_path))
    batches = small_batches(task)
    assert batches.targets("test").tolist() == [[100.0], [160.0]]
    # The first track has two windows, the second three: 90 and 110, 150, 160 and 164.
    logits = [np.array([[[90], [110]]], dtype=np.float32), np.array([[[150], [160], [164]]], dtype=np.float32)]
    monkeypatch.setattr(trial_module, "load_bundle", lambda _: SimpleNamespace(network=torch.nn.Identity()))
    monkeypatch.setattr(trial_module, "window_logits", lambda *_: iter(logits))
    found = score_test(batches.config, batches, folder)
    assert found.probabilities[:, 0].tolist() == [100.0, 158.0]
    windows = folder.window_metrics()
    assert windows["window_mae"] == pytest.approx((10 + 10 + 10 + 0 + 4) / 5)
    assert windows["window_mse"] == pytest.approx((100 + 100 + 100 + 0 + 16) / 5)
