"""What became of trials: read from their folders, and completed in MLflow as often as it takes, without Ray."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.builders import tiny_config, toy_batches
from tests.unit.proposals import finish as finished_ledger
from tests.unit.proposals import hill, space
from tonearm.sweeps.plots import sweep_plot
from tonearm.sweeps.results import (
    ENDING,
    ERROR,
    TrialResult,
    describe,
    finish_run,
    metrics_to_log,
    read_result,
    result_in_sweep,
)  # fmt: skip
from tonearm.sweeps.trial_runs import Retraining, TrialRun, code_tag
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, client
from tonearm.tracking.query import child_runs, metric_history
from tonearm.training.trained_code import note_machine
from tonearm.training.trial import TrialFolder, run_trial

pytestmark = pytest.mark.usefixtures("database")


def trial(tmp_path: Path, epochs: int = 2) -> TrialFolder:
    config, folder = tiny_config({"optim.epochs": 2}), TrialFolder(str(tmp_path / "trial"))
    running = run_trial(config, toy_batches(tmp_path / "features", config), folder)
    for _ in range(epochs):
        next(running)
    if epochs == 2:
        assert list(running) == []  # it then marks itself as ended
    return folder


def result_of(folder: TrialFolder, error: str = "") -> TrialResult:
    return read_result(0, "00-abc", tiny_config({"optim.epochs": 2}), folder, error)


def test_result_is_read_from_the_folder(tmp_path: Path) -> None:
    result = result_of(trial(tmp_path))
    assert result.ending == "completed" and result.best == result.history[-1]["best"] and len(result.history) == 2
    nothing = result_of(TrialFolder(str(tmp_path / "absent")), "the reason")
    assert (nothing.ending, nothing.best, nothing.history, nothing.error) == ("failed", None, [], "the reason")


def test_run_is_completed_once_with_what_was_not_logged(tmp_path: Path) -> None:
    parent = RunWriter.open("results", "sweep").run_id
    result = result_of(trial(tmp_path))
    begun = RunWriter.open("results", result.name, parent)  # the trial logged its first epoch, then its worker died
    begun.metrics({"epoch/validation_f1_micro": result.history[0]["validation_f1_micro"]}, 1)
    for _ in range(2):
        tags, splits = {names.TRIAL: "0"}, {"train": 6, "test": 2}
        assert finish_run(result, "results", parent, tags, splits, {"tuned.lr": 0.01}) == ""
    (found,) = child_runs(parent)
    assert (found.run_id, found.status, found.tags[ENDING]) == (begun.run_id, "FINISHED", "completed")
    curve = metric_history(found.run_id, "validation_f1_micro")
    assert curve == [(h["epoch"], h["validation_f1_micro"]) for h in result.history]
    assert found.metrics["tuned.lr"] == 0.01 and len(client().get_metric_history(found.run_id, "tuned.lr")) == 1
    assert found.tags[names.NOTE].startswith("Trial 00-abc. Completed after 2 of 2 epochs: best f1_micro ")
    (dataset,) = client().get_run(found.run_id).inputs.dataset_inputs
    assert dataset.dataset.name == result.config.dataset.name and "round" not in found.metrics
    assert [(t.key, t.value) for t in dataset.tags] == [("mlflow.data.context", "train 6, test 2")]
    assert json.loads(dataset.dataset.profile) == splits
    assert found.metrics["best_f1_micro"] == result.best and found.metrics["epochs"] == 2.0
    assert found.metrics["kept_epoch"] in (1.0, 2.0) and not {"best", "lr", "round", "epoch_lr"} & set(found.metrics)
    assert [m.step for m in client().get_metric_history(found.run_id, "best_f1_micro")] == [2]
    kept = {f.path for folder in ("", "bundle", "predictions") for f in client().list_artifacts(found.run_id, folder)}
    assert kept >= {"learning_curves.png", "confusion_validation.png", "predictions/validation.parquet",
                    "bundle/bundle.json", "bundle/weights.safetensors"}  # fmt: skip


def test_a_run_shows_the_figures_of_the_epoch_that_was_kept(tmp_path: Path) -> None:
    """MLflow's table shows a metric's last value; the last epoch's is not that of the model that is there."""
    parent, result = RunWriter.open("kept", "sweep").run_id, result_of(trial(tmp_path))
    first, last = ({**h, "improved": h["epoch"] == 1, "best": 0.7} for h in result.history)
    history = [{**first, "validation_f1_micro": 0.7, "train_loss": 0.4},
               {**last, "validation_f1_micro": 0.5, "train_loss": 0.3}]  # fmt: skip
    result.folder.publish(history)
    finish_run(dataclasses.replace(result, history=history, best=0.7), "kept", parent, {})
    (found,) = child_runs(parent)
    assert found.metrics["validation_f1_micro"] == found.metrics["best_f1_micro"] == 0.7
    assert found.metrics["train_loss"] == 0.4 and found.metrics["kept_epoch"] == 1.0
    assert metric_history(found.run_id, "validation_f1_micro") == [(1, 0.7), (2, 0.5)]
    per_epoch = {h.removeprefix("epoch/") for h in found.metrics if h.startswith("epoch/")}
    assert {"validation_f1_micro", "validation_f1_macro", "train_loss", "seconds"} <= per_epoch


def test_what_the_driver_must_write_for_a_trial_is_told(tmp_path: Path) -> None:
    parent, result = RunWriter.open("lost", "sweep").run_id, result_of(trial(tmp_path))
    assert "trial 00-abc: its epochs were not in MLflow" in finish_run(result, "lost", parent, {})
    assert finish_run(result, "lost", parent, {}) == "", "told once"


def test_trial_of_another_sweep_is_shown_with_its_own_times(tmp_path: Path) -> None:
    parent, result = RunWriter.open("shared", "sweep").run_id, result_of(trial(tmp_path))
    times = {"1": 1_700_000_000.0, "2": 1_700_000_060.0}
    (tmp_path / "trial" / "times.json").write_text(json.dumps(times))
    for _ in range(2):
        assert finish_run(result, "shared", parent, {}, trained=False) == ""
    (found,) = child_runs(parent)
    logged = client().get_metric_history(found.run_id, "epoch/train_loss")
    assert [m.timestamp for m in logged] == [1_700_000_000_000, 1_700_000_060_000]
    assert found.ended == 1_700_000_060_000
    assert found.started == 1_700_000_000_000 - int(1000 * result.history[0]["epoch_seconds"])


def test_failed_trial_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    parent = RunWriter.open("failures", "sweep").run_id
    finish_run(result_of(trial(tmp_path, epochs=1), "TrainingError: the loss is nan"), "failures", parent, {})
    (found,) = child_runs(parent)
    assert found.status == "FAILED" and found.tags[ERROR] == "TrainingError: the loss is nan"
    assert found.metrics["epochs"] == 1.0


def test_sweep_plot_shows_trials_with_an_epoch(tmp_path: Path) -> None:
    results = [result_of(trial(tmp_path)), result_of(TrialFolder(str(tmp_path / "absent")))]
    figure = sweep_plot(results, "a sweep")
    assert len(figure.axes[0].lines) == 1 and figure.axes[0].get_xticks().tolist() == [1, 2], "no epoch was a third"
    for members, word in (([0], "chosen"), ([0, 1], "in the ensemble")):
        assert word in [t.get_text() for t in sweep_plot(results, "", members).legends[0].get_texts()]
    figure.savefig(tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").stat().st_size > 1000


def test_the_rate_of_an_epoch_is_logged_where_it_differs_from_the_parameter() -> None:
    config = tiny_config()
    metrics = {"epoch": 2, "replayed": False, "best": 0.5, "lr": 1e-3, "round": 1.0, "train_loss": 0.1}
    wanted = {"best_f1_micro": 0.5, "epoch/train_loss": 0.1}
    assert metrics_to_log(config, metrics) == {**wanted, "epoch/lr": 1e-3, "epoch/round": 1.0}
    assert metrics_to_log(config, {**metrics, "lr": config.optim.lr, "round": 0.0}) == wanted


def test_a_run_made_for_another_sweep_says_what_machine_trained_the_trial(tmp_path: Path) -> None:
    folder = trial(tmp_path)
    note_machine(folder, {names.COMMIT: "abc", names.CPU: "a fast one", names.ENVIRONMENT: "e1"})
    parent = RunWriter.open("machines", "sweep").run_id
    finish_run(result_of(folder), "machines", parent, {names.TRIAL: "0", names.CONFIG: "c"}, trained=False)
    (run,) = child_runs(parent)
    assert (run.tags[names.COMMIT], run.tags[names.CPU], run.tags[names.ENVIRONMENT]) == ("abc", "a fast one", "e1")


def test_a_run_of_what_a_trial_was_before_it_began_anew_is_replaced(tmp_path: Path) -> None:
    """For this sweep or for another one, which has the same folder."""
    folder = trial(tmp_path)
    folder_uri, parents = folder.uri, [RunWriter.open("anew", name).run_id for name in ("own", "other")]
    code, now = tmp_path / "trial" / "code.json", folder.code()

    def finish(parent: str) -> str:
        result = result_of(folder)
        tags = {names.TRIAL: "0", names.CONFIG: "c", names.FOLDER: folder_uri, **code_tag(folder, result.config)}
        finish_run(result, "anew", parent, tags)
        (run,) = child_runs(parent)
        return run.run_id

    code.write_text(json.dumps(["0ld"]))
    before = [finish(parent) for parent in parents]
    assert [finish(parent) for parent in parents] == before
    said: list[str] = []
    again = Retraining(parents[0], False, said.append)
    assert again("trial 00", folder, result_of(folder).config)
    assert said == [f"  trial 00 is trained anew: it was trained by code 0ld, now {now[0]}"]
    assert [len(child_runs(parent)) for parent in parents] == [0, 1]
    trial(tmp_path)
    assert folder.code() == now and not again("trial 00", folder, result_of(folder).config)
    after = [finish(parent) for parent in parents]
    assert not set(before) & set(after) and [finish(parent) for parent in parents] == after
    assert all(client().get_run(run).data.tags[names.CODE] == now[0] for run in after)


def history_of(folder: TrialFolder, scores: list[float]) -> list[dict[str, Any]]:
    """Written down as another training's, which is two epochs long at most."""
    history = [
        {"epoch": i + 1, "validation_f1_micro": score, "best": score, "train_loss": 0.1, "epoch_seconds": 1.0}
        for i, score in enumerate(scores)
    ]
    folder.publish(history)
    return history


@pytest.mark.parametrize(("now", "is_all", "same"), [
    ([0.5, 0.6], True, True), ([0.5, 0.6, 0.7], True, True), ([0.5, 0.7], True, False), ([0.5], True, False),
    ([], True, False), ([0.5], False, True), ([0.5, 0.7], False, False), ([float("nan")], False, False),
])  # fmt: skip
def test_a_run_of_a_former_training_by_the_same_code_is_replaced(
    tmp_path: Path, now: list[float], is_all: bool, same: bool
) -> None:
    """The folder was deleted, or another sweep has trained it anew while this one had paused it."""
    parent, folder = RunWriter.open("former", str(tmp_path)).run_id, TrialFolder(str(tmp_path / "trial"))
    config, tags = tiny_config(), {names.TRIAL: "0", names.CONFIG: "c"}
    opening = ("former", "00", parent, {}, tags)
    first = TrialRun(folder, config, history_of(folder, [0.5, 0.6])).open(*opening)
    first.metrics({"epoch/validation_f1_micro": 0.5}, 1)
    first.metrics({"epoch/validation_f1_micro": 0.6}, 2)
    then = TrialRun(folder, config, history_of(folder, now), is_all).open(*opening)
    (run,) = child_runs(parent)
    assert (then.run_id == first.run_id) is same and run.run_id == then.run_id
    assert same or not then.curve("epoch/validation_f1_micro")


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf"), 0.1 + 0.2, 1e-320])
def test_what_was_logged_is_known_again_whatever_it_is(tmp_path: Path, score: float) -> None:
    parent, folder = RunWriter.open("numbers", str(tmp_path)).run_id, TrialFolder(str(tmp_path / "trial"))
    history = history_of(folder, [score])
    opening = ("numbers", "00", parent, {}, {names.TRIAL: "0", names.CONFIG: "c"})
    first = TrialRun(folder, tiny_config(), history).open(*opening)
    first.metrics({"epoch/validation_f1_micro": score}, 1)
    assert TrialRun(folder, tiny_config(), history, is_all=True).open(*opening).run_id == first.run_id


def test_a_trial_that_is_trained_further_begins_only_when_nobody_else_trains_it(tmp_path: Path) -> None:
    """So that the run that is opened then is asked for what is really there."""
    folder = trial(tmp_path, epochs=1)
    config, seen = tiny_config({"optim.epochs": 2}), list[tuple[bool, list[int]]]()

    def begin(history: Sequence[Mapping[str, Any]]) -> None:
        seen.append((folder.trainer() is not None, [h["epoch"] for h in history]))

    batches = toy_batches(tmp_path / "features", config)
    list(run_trial(config, batches, folder, begin=begin))
    list(run_trial(config, batches, folder, begin=begin))
    assert seen == [(True, [1])], "of what is finished nothing is trained"


def test_the_run_of_a_stopped_trial_shows_what_another_sweep_trained_further(tmp_path: Path) -> None:
    parent, folder = RunWriter.open("further", "sweep").run_id, trial(tmp_path, epochs=1)

    def finish() -> dict[str, float]:
        config = tiny_config({"optim.epochs": 2})
        finish_run(read_result(0, "00-abc", config, folder, ending="stopped"), "further", parent, {names.TRIAL: "0"})
        (run,) = child_runs(parent)
        assert run.tags[ENDING] == "stopped" and run.status == "FINISHED"
        assert run.metrics["kept_epoch"] == float(folder.kept_epoch() or 0)
        return run.metrics

    assert finish()["epochs"] == 1.0
    trial(tmp_path)
    assert finish()["epochs"] == 2.0


def test_a_stopped_trial_that_another_job_has_emptied_is_told(tmp_path: Path) -> None:
    ledger = finished_ledger(space(trials=2), tmp_path / "trials" / "a", hill)
    ledger.stop(ledger.proposals[0])
    found = result_in_sweep(ledger, ledger.proposals[0])
    assert describe(found).endswith(
        "failed: its folder was deleted, or another job trains it anew: give the command again"
    )
