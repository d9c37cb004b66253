"""Runs and registered models, in an SQLite database of the test's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.builders import CLASSES, encode, music, tiny_config
from tonearm.core import home
from tonearm.core.errors import TrackingError
from tonearm.ensembles.bundle import save_ensemble
from tonearm.inference import load
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, client, experiment_id
from tonearm.tracking.query import champion_uri, download_model, last_promoted, trials_of
from tonearm.tracking.register import example_audio, register_champion
from tonearm.training.bundle import Bundle, build_network, save_bundle


@pytest.fixture(scope="module")
def one_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture(autouse=True)
def database(one_home: Path, tonearm_home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One database for the module: making one takes seconds. Each test uses experiments of its own."""
    monkeypatch.setenv("TONEARM_HOME", str(one_home))
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    monkeypatch.chdir(one_home)
    return home.tracking_uri()


def saved_ensemble(folder: Path, seed: int = 0) -> str:
    torch.manual_seed(seed)
    config = tiny_config()
    save_bundle(str(folder / "member"), Bundle(config, CLASSES, {}, build_network(config, 3)))
    save_ensemble(str(folder / "ensemble"), [str(folder / "member")], [1.0], {"dataset": "toy"})
    return str(folder / "ensemble")


# --- runs


def test_database_lies_in_the_home(one_home: Path) -> None:
    assert experiment_id("where") == experiment_id("where")
    assert (one_home / "mlflow.db").exists()
    assert not (one_home / "mlruns").exists()


def test_run_is_found_again_and_not_doubled() -> None:
    first = RunWriter.open("again", "00-abc", params={"optim.lr": 0.1}, tags={names.SEED: "3"})
    first.metrics({"train_loss": 1.5}, step=1)
    first.end()
    second = RunWriter.open("again", "00-abc", params={"optim.lr": 0.2}, tags={names.SEED: "4"})
    assert second.run_id == first.run_id
    assert RunWriter.open("again", "01-abc").run_id != first.run_id
    assert RunWriter.open("other", "00-abc").run_id != first.run_id
    run = client().get_run(first.run_id)
    assert run.info.status == "RUNNING" and run.data.params == {"optim.lr": "0.1"}
    assert second.tags()[names.SEED] == "3" and second.tags()[names.COMMIT]


def test_metrics_are_kept_by_epoch() -> None:
    run = RunWriter.open("metrics", "a")
    for epoch, loss in enumerate([3.0, 2.0, 1.0], start=1):
        run.metrics({"train_loss": loss, "lr": 0.1, "replayed": False, "note": "text"}, step=epoch)  # type: ignore[dict-item]
    history = client().get_metric_history(run.run_id, "train_loss")
    assert [(m.step, m.value) for m in history] == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert run.steps("train_loss") == {1, 2, 3} and run.steps("absent") == set()
    assert set(client().get_run(run.run_id).data.metrics) == {"train_loss", "lr"}


def test_trials_are_nested_below_their_sweep() -> None:
    parent = RunWriter.open("nested", "sweep")
    other = RunWriter.open("nested", "sweep of another seed")
    for i in (2, 0, 1):
        run = RunWriter.open("nested", f"0{i}-abc", parent=parent.run_id, params={"i": i})
        run.metrics({"best_f1_micro": i / 10})
        run.end("FAILED" if i == 2 else "FINISHED")
    mine = RunWriter.open("nested", "00-abc", parent=other.run_id)
    found = trials_of("nested", parent.run_id)
    assert [(r.name, r.status, r.metrics["best_f1_micro"]) for r in found] == [
        ("00-abc", "FINISHED", 0.0), ("01-abc", "FINISHED", 0.1), ("02-abc", "FAILED", 0.2),
    ]  # fmt: skip
    assert [r.run_id for r in trials_of("nested", other.run_id)] == [mine.run_id]
    assert found[0].tags[names.PARENT_RUN] == parent.run_id and found[1].params == {"i": "1"}


def test_nothing_found_is_an_error() -> None:
    with pytest.raises(TrackingError, match="no experiment 'absent': run the sweep first"):
        trials_of("absent", "0")
    experiment_id("empty")
    with pytest.raises(TrackingError, match="no run of experiment 'empty' has the parent '0'"):
        trials_of("empty", "0")


def test_files_texts_and_plots_are_kept_in_the_home(tmp_path: Path, one_home: Path) -> None:
    from matplotlib.figure import Figure

    run = RunWriter.open("files", "a")
    (tmp_path / "x.bin").write_bytes(b"\x00\x01")
    run.file(str(tmp_path / "x.bin"), "folder")
    run.text("notes.txt", "é")
    run.figure("plot.png", Figure())
    kept = {p.name: p for p in (one_home / "artifacts" / "files").rglob("*") if p.is_file()}
    assert kept["x.bin"].read_bytes() == b"\x00\x01" and kept["x.bin"].parent.name == "folder"
    assert kept["notes.txt"].read_text("utf-8") == "é" and kept["plot.png"].stat().st_size > 100


def test_every_field_of_a_trial_is_a_parameter() -> None:
    config = tiny_config()
    run = RunWriter.open("params", "a", params={**config.flatten(), "long": "x" * 2000})
    params = client().get_run(run.run_id).data.params
    assert {k: params[k] for k in config.flatten()} == {k: str(v) for k, v in config.flatten().items()}
    assert params["long"] == "x" * 500


def test_unusable_database_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/broken.db")
    with pytest.raises(TrackingError, match="cannot be reached"):
        experiment_id("any")


# --- registered models


def test_absent_models_are_errors() -> None:
    with pytest.raises(TrackingError, match=r"no usable models:/tonearm-absent@champion"):
        load(champion_uri("absent"))
    with pytest.raises(TrackingError, match="no usable"):
        download_model("models:/tonearm-absent/3")


def test_champion_answers_through_mlflow_and_through_us(tmp_path: Path) -> None:
    import mlflow
    import pandas as pd

    with pytest.raises(TrackingError, match="no model has been promoted yet"):
        last_promoted()
    audio = encode(music(2.5))
    bundles = [saved_ensemble(tmp_path / str(i), i) for i in range(2)]
    run = RunWriter.open("models", "sweep")
    version = register_champion(bundles[0], run.run_id, "toy", CLASSES)
    assert version == "1" and last_promoted() == "tonearm-toy"

    wanted = load(bundles[0]).predict(audio)
    ours = load(champion_uri("toy")).predict(audio)
    np.testing.assert_allclose(ours.probabilities, wanted.probabilities, atol=1e-6)
    frame = pd.DataFrame({"audio": [audio, example_audio()]})
    answer = mlflow.pyfunc.load_model(champion_uri("toy")).predict(frame)
    assert list(answer.columns) == ["label", *CLASSES] and len(answer) == 2
    assert answer["label"][0] == wanted.top(1)[0][0]
    np.testing.assert_allclose(answer.loc[0, list(CLASSES)].astype(float), wanted.probabilities, atol=1e-6)

    assert register_champion(bundles[1], run.run_id, "toy", CLASSES) == "2"
    now = load(champion_uri("toy")).predict(audio).probabilities
    np.testing.assert_allclose(now, load(bundles[1]).predict(audio).probabilities, atol=1e-6)
    old = load("models:/tonearm-toy/1").predict(audio).probabilities
    np.testing.assert_allclose(old, wanted.probabilities, atol=1e-6)


def test_names_are_of_what_was_run() -> None:
    assert names.model_name("scores") == "tonearm-scores"
    assert champion_uri("scores") == "models:/tonearm-scores@champion"
    assert names.trial_name(3, "0123456789abcdef") == "03-0123456789abcdef"
    index = [names.trial_name(i, "x") for i in range(20)]
    assert index == sorted(index)
