"""jobs.compare as people run it: the answer on the terminal, the page in the reports and in MLflow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.architecture.files import ROOT
from tests.unit.comparison_runs import log_grid, log_sweep, log_trial, tracks, with_changes
from tests.unit.test_comparison_document import Page
from tests.unit.test_comparison_outputs import outputs
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import TimeConfig
from tonearm.tracking.log import client
from tonearm.tracking.query import artifact_bytes, find_runs
from tonearm.workflows.compare import compare, compare_outputs

pytestmark = pytest.mark.integration
OF = tracks(40, 3)


@pytest.fixture(scope="module")
def one_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a sweep of four trials: Time is better than Simple."""
    home = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        parent = log_sweep("demo-0123456789abcdef")
        configs = [with_changes({"model": m, "optim.lr": r}) for m in (TimeConfig(), SimpleConfig())
                   for r in (0.001, 0.002)]  # fmt: skip
        share = {"time": 0.9, "simple": 0.5}
        log_grid(parent, OF, configs, lambda c: OF.right(share[c.model.kind], int(c.optim.lr * 1000)))
        parent.end()
        log_trial(None, "single-run", with_changes({"optim.lr": 0.1}), OF.predictions(OF.right(0.7)), OF)
    return home


@pytest.fixture(autouse=True)
def place(one_home: Path, tonearm_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(one_home))
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TONEARM_HOME": str(home), "COLUMNS": "120"}
    environment.pop("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR")
    return subprocess.run([sys.executable, "-m", "jobs.compare", *arguments], cwd=ROOT, env=environment,
                          capture_output=True, text=True)  # fmt: skip


def test_a_sweep_is_compared_by_its_beginning(one_home: Path) -> None:
    done = command(one_home, "demo-0123", "--by", "model", "--top", "3")
    assert done.returncode == 0, done.stderr
    for words in ("A  time lr=0.00", "chance", "A is better than C: f1_micro +0.", "120 tracks of 40 artists",
                  "=> time is better than simple: f1_micro +0.", "artifacts comparison/"):  # fmt: skip
        assert words in done.stdout
    assert "Downloading" not in done.stderr and "Traceback" not in done.stderr
    (page,) = (one_home / "reports" / "toy").glob("comparison-*/comparison.html")
    assert f"report: {page}" in done.stdout and Page(page.read_text("utf-8")).open == []
    parent = find_runs("demo-0123456789abcdef")[0].run_id
    folder = f"comparison/{page.parent.name.removeprefix('comparison-')}"
    assert artifact_bytes(parent, f"{folder}/comparison.html") == page.read_bytes()
    for file in ("comparison.md", "scores.png", "factor.png", "parallel.png"):
        assert artifact_bytes(parent, f"{folder}/{file}") == (page.parent / file).read_bytes()


def test_trials_of_one_sweep_are_logged_with_it_and_others_with_the_first(one_home: Path, tmp_path: Path) -> None:
    found = find_runs("demo-0123456789abcdef")[0]
    from tonearm.tracking.query import child_runs

    first, second, *_ = [r.name for r in child_runs(found.run_id)]
    compare([first, second]).publish(str(tmp_path / "a"))
    compare(found.name).publish(str(tmp_path / "all"))
    logged = reports_of(found.run_id)
    for name in ("a", "all"):  # neither replaces the other
        assert (tmp_path / name / "comparison.md").read_bytes() in logged
    compare(["single-run", second]).publish(str(tmp_path / "b"))
    assert reports_of(find_runs("single-run")[0].run_id) == [(tmp_path / "b" / "comparison.md").read_bytes()]


def test_test_scores_are_in_mlflow_where_a_comparison_asked_for_them(one_home: Path, tmp_path: Path) -> None:
    name = "heldout/test_f1_micro"
    alone = log_trial(None, "asked for", with_changes({"optim.lr": 0.2}), OF.predictions(OF.right(0.7)), OF)
    assert name not in find_runs("asked for")[0].metrics
    compare(["asked for", "single-run"], split="validation").publish(str(tmp_path / "a"))
    assert name not in find_runs("asked for")[0].metrics
    compare(["asked for", "single-run"]).publish(str(tmp_path / "b"))
    (run,) = find_runs("asked for")
    right = OF.predictions(OF.right(0.7)).argmax(axis=1) == OF.target
    assert run.run_id == alone.run_id and run.metrics[name] == pytest.approx(right.mean())


def reports_of(run_id: str) -> list[bytes | None]:
    folders = [f.path for f in client().list_artifacts(run_id, "comparison")]
    return [artifact_bytes(run_id, f"{folder}/comparison.md") for folder in folders]


def test_stored_outputs_are_compared(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", **outputs())  # type: ignore[arg-type]
    found = compare_outputs(str(tmp_path / "p.npz"), pairs=["Time.*,Freq.*;Time.*,Simple.*"])
    assert "differ more than Time.* and Simple.*: 0.250 against 0.175" in str(found)
    page = found.publish().removeprefix("  report: ")
    assert Page(Path(page).read_text("utf-8")).open == [] and "/reports/p/comparison-" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name runs or sweeps"),
        (["absent-run"], "no run whose id or name is or begins with 'absent-run'"),
        (["single-run"], "one configuration only"),
        (["demo-0123456789abcdef", "--split", "train"], "--split is 'train': give test or validation"),
        (["demo-0123456789abcdef", "--top", "1"], "--top is 1: compare at least 2"),
        (["demo-0123456789abcdef", "--by", "modle"], "Did you mean 'model'?"),
        (["demo-0123456789abcdef", "--pair", "a,b;c,d"], "--pair and --against are for stored outputs"),
        (["--outputs", "a.npz", "--by", "model"], "--by, --within, --metric, --split and --top are for runs"),
        (["--outputs", "a.npz", "--top", "9"], "--by, --within, --metric, --split and --top are for runs"),
        (["--outputs", "a.npz", "--against", "b"], "--against b needs --pair"),
        (["--outputs", "absent.npz"], "there is no file absent.npz"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    import typer
    from typer.testing import CliRunner

    from jobs.compare import main

    app = typer.Typer()
    app.command()(main)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("\nerror: ") and message in done.stderr


def test_help_teaches_by_examples(one_home: Path) -> None:
    done = command(one_home, "--help")
    assert done.returncode == 0
    for words in ("--by model --within", "--pair", "--outputs FILE.npz", "RUN OTHER_RUN"):
        assert words in done.stdout
