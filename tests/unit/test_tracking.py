"""Runs and registered models, in an SQLite database of the test's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.builders import tiny_config
from tonearm.core.errors import TrackingError
from tonearm.core.seeding import digest
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.domains import Choice, LogUniform
from tonearm.sweeps.strategies import Asha, Grid, strategy_text
from tonearm.tracking import names
from tonearm.tracking.environment import changes, clean, commit, environment, hardware, state
from tonearm.tracking.known_runs import require_run
from tonearm.tracking.log import RunWriter, client, experiment_id
from tonearm.tracking.param_text import param_text
from tonearm.tracking.query import (
    RunSummary,
    artifact_bytes,
    champion_uri,
    child_runs,
    find_runs,
    get_run,
    leaf_runs,
    metric_history,
)

pytestmark = pytest.mark.usefixtures("database")


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
    assert run.info.status == "FINISHED" and run.data.params == {"optim.lr": "0.1"}
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
    found = child_runs(parent.run_id)
    assert [(r.name, r.status, r.metrics["best_f1_micro"]) for r in found] == [
        ("00-abc", "FINISHED", 0.0), ("01-abc", "FINISHED", 0.1), ("02-abc", "FAILED", 0.2),
    ]  # fmt: skip
    assert [r.run_id for r in child_runs(other.run_id)] == [mine.run_id]
    assert found[0].tags[names.PARENT_RUN] == parent.run_id and found[1].params == {"i": "1"}


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
    assert {k: params[k] for k in config.flatten()} == {k: param_text(v) for k, v in config.flatten().items()}
    assert params["long"] == "x" * 499 + "…"


def test_parameters_are_text_and_cut_between_items() -> None:
    assert [param_text(v) for v in (0.1, True, None, "text", [], ["said"])] == [
        "0.1", "True", "None", "text", "none", "said",
    ]  # fmt: skip
    members = [{"name": f"stage{i}", "trial": "0123456789abcdef", "bundle": ""} for i in range(20)]
    text = param_text(members)
    assert text.startswith("name=stage0 trial=0123456789abcdef, name=stage1 ") and len(text) <= 500
    kept = text.count("stage")
    assert text.endswith(f"trial=0123456789abcdef ... and {20 - kept} more") and 10 < kept < 20
    over = SearchSpace(tiny_config(), {"model": Choice(tiny_config().model), "optim.lr": LogUniform(1e-4, 1e-2)}).over
    assert param_text(over["model"].describe()) == "simple(variant=chroma, width=1)"
    assert param_text(over["optim.lr"].describe()) == "0.0001 to 0.01, evenly by the logarithm"
    assert strategy_text(Asha()) == "asha grace=0.111111 reduction=3" and strategy_text(Grid()) == "grid"


def test_unusable_database_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/broken.db")
    with pytest.raises(TrackingError, match="cannot be reached"):
        experiment_id("any")


# --- by what a run was made


def test_a_run_says_by_what_it_was_made() -> None:
    parent = RunWriter.open("made", "sweep")
    child = RunWriter.open("made", "00-abc", parent.run_id)
    text = (artifact_bytes(parent.run_id, "environment.txt") or b"").decode()
    assert text == environment() and f"numpy=={np.__version__}\n" in text and "mlflow==3." in text
    head, lines = text.splitlines()[:2], text.splitlines()[2:]
    assert head[0].startswith("# python 3.") and lines == sorted(set(lines), key=str.lower)
    assert artifact_bytes(child.run_id, "environment.txt") is None, "thousands of trials hold the digest only"
    for run in (parent, child):
        tags = run.tags()
        assert tags[names.ENVIRONMENT] == digest(text)
        assert tags[names.COMMIT] == commit() and tags[names.CLEAN] == clean() in ("true", "false", "unknown")
        assert int(tags[names.CORES]) >= 1 and float(tags[names.MEMORY]) > 0.1
        assert tags[names.CPU] and tags[names.GPU] and tags[names.THREADS] == str(torch.get_num_threads())


def test_hardware_does_not_say_whose_machine_it_is() -> None:
    import socket

    assert socket.gethostname() not in " ".join(hardware().values())


@pytest.mark.parametrize(
    ("given", "state"), [("0123456789ab", "true"), ("0123456789ab+changes", "false"), ("unknown", "unknown")]
)
def test_a_cluster_is_told_the_commit(given: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_COMMIT", given)
    assert (commit(), clean()) == (given, state)


def test_the_state_is_that_of_all_code_also_of_new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=me", "-c", "user.email=me@example")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    assert changes(tmp_path) == "", "it is no checkout"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "kept.py").write_bytes(b"a = 1\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--no-gpg-sign", "-m", "one")
    seen = [changes(tmp_path / "own")]
    for name, content in (("kept.py", b"a = '\xe9'\n"), ("new.py", b"b = 1\n"), ("new.py", b"b = 2\n")):
        (tmp_path / "own" / name).write_bytes(content)
        seen.append(changes(tmp_path / "own"))
    assert len(set(seen)) == 4 and "" not in seen and changes(tmp_path) == seen[-1]
    monkeypatch.setenv("TONEARM_STATE", "as who submitted has it")
    assert state() == "as who submitted has it"


# --- finding runs


def names_of(runs: list[RunSummary]) -> list[str]:
    return [r.name for r in runs]


def test_runs_are_found_by_what_people_type() -> None:
    sweeps = [RunWriter.open("found", f"demo-{s}") for s in ("3f2a77", "3f2b88", "3f2b8899")]
    trials = [RunWriter.open("found", "07-c0ffee", parent=s.run_id) for s in sweeps[:2]]
    elsewhere = RunWriter.open("found elsewhere", "time_freq-feed01")
    assert names_of(find_runs("demo-3f2a77")) == ["demo-3f2a77"]
    assert names_of(find_runs("demo-3f2a")) == ["demo-3f2a77"]
    assert names_of(find_runs("demo-3f2b88")) == ["demo-3f2b88"], "a whole name goes before beginnings"
    assert {r.run_id for r in find_runs("07-c0ffee")} == {t.run_id for t in trials}
    assert {r.run_id for r in find_runs("07-c0")} == {t.run_id for t in trials}
    for text in (elsewhere.run_id, elsewhere.run_id[:12], "time_fr"):
        (run,) = find_runs(text)
        assert (run.run_id, run.name, run.experiment, run.parent) == (
            elsewhere.run_id, "time_freq-feed01", "found elsewhere", None,
        )  # fmt: skip
    assert find_runs(trials[0].run_id)[0].parent == sweeps[0].run_id
    with pytest.raises(TrackingError, match=r"'demo-3f2' fits 3 names .*demo-3f2b8899 \(\w{8}, found\), demo"):
        find_runs("demo-3f2")
    with pytest.raises(TrackingError, match=r"no run whose id or name .* 'timexfreq'; the last runs are .*time_freq"):
        find_runs("timexfreq")
    with pytest.raises(TrackingError, match="no run whose id"):
        find_runs("it's a name")
    with pytest.raises(TrackingError, match="needs 4 characters"):
        find_runs("dem")


def test_missing_run_is_told_alike_before_the_client_is_there() -> None:
    runs = [RunWriter.open("found", name) for name in ("demo-3f2a77", "time_freq-feed01")]
    for text in ("demo-3f2a77", "demo", runs[1].run_id, runs[1].run_id[:6]):
        require_run(text)
    for text in ("nobody", "it's a name", "dem", "DEMO-3f2a77", "time%"):
        with pytest.raises(TrackingError) as asked:
            find_runs(text)
        with pytest.raises(TrackingError) as read:
            require_run(text)
        assert str(read.value) == str(asked.value)


def test_looking_for_a_run_makes_no_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'absent.db'}")
    with pytest.raises(TrackingError, match="there are no runs yet"):
        require_run("nobody")
    assert list(tmp_path.iterdir()) == []


def test_run_on_another_server_is_left_to_the_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    require_run("nobody")
    (tmp_path / "runs.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'runs.db'}")
    require_run("nobody")


def test_leaves_lie_below_two_levels_and_in_two_experiments() -> None:
    recipe = RunWriter.open("levels", "recipe")
    folds = [RunWriter.open("levels", f"fold-{i}", recipe.run_id) for i in range(2)]
    stages = [RunWriter.open("levels", f"stage-{i}", f.run_id) for i, f in enumerate(folds)]
    other = RunWriter.open("levels of its own data", "artists", folds[1].run_id)
    assert names_of(child_runs(recipe.run_id)) == ["fold-0", "fold-1"]
    assert names_of(child_runs(folds[1].run_id)) == ["artists", "stage-1"]
    assert child_runs(other.run_id) == []
    assert names_of(leaf_runs(recipe.run_id)) == ["stage-0", "artists", "stage-1"]
    assert [r.run_id for r in leaf_runs(stages[0].run_id)] == [stages[0].run_id]
    with pytest.raises(TrackingError, match="has no run 'absent'"):
        leaf_runs("absent")


def test_more_children_than_a_page_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    from tonearm.tracking import query

    monkeypatch.setattr(query, "PAGE", 3)
    parent = RunWriter.open("pages", "sweep")
    for i in range(8):
        RunWriter.open("pages", f"0{i}-abc", parent.run_id)
    assert names_of(child_runs(parent.run_id)) == [f"0{i}-abc" for i in range(8)]


def test_history_and_times_of_a_run() -> None:
    run = RunWriter.open("history", "a")
    assert get_run(run.run_id).ended is None
    for step, value in ((2, 0.2), (1, 0.1), (3, 0.3)):
        run.metrics({"loss": value}, step)
    run.end()
    assert (
        metric_history(run.run_id, "loss") == [(1, 0.1), (2, 0.2), (3, 0.3)] and metric_history(run.run_id, "no") == []
    )
    summary = get_run(run.run_id)
    assert summary.status == "FINISHED" and summary.ended is not None and summary.ended >= summary.started
    assert summary.experiment_id == experiment_id("history")


def test_names_are_of_what_was_run() -> None:
    assert names.model_name("scores") == "tonearm-scores"
    assert champion_uri("scores") == "models:/tonearm-scores@champion"
    assert names.trial_folder(3, "0123456789abcdef") == "03-0123456789abcdef"
    index = [names.trial_folder(i, "x") for i in range(20)]
    assert index == sorted(index)
