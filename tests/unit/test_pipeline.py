"""Pipelines: what is wrong is told before anything runs; one that broke off goes on, one that ended begins anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from jobs import pipeline as job
from jobs.cli import build
from tests.job_server import fake_cluster
from tonearm.core import home
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.lock import DriverLock
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import child_runs, get_run
from tonearm.workflows import pipeline as described
from tonearm.workflows.pipeline_ledger import PipelineLedger, folder
from tonearm.workflows.run_pipeline import plan_lines, run_pipeline
from tonearm.workflows.sent_files import variable

FILE = """
steps:
  - extract --dataset scores --space demo
  - sweep demo --dataset scores
  - select --no-promote
  - index --dataset scores
  - deploy scores
"""
JOBS = ["extract", "sweep", "select", "index", "deploy"]


class Runner:
    """Takes the place of the steps' processes: notes what it is asked, fails as told; a sweep leaves its run."""

    def __init__(self, fails: str = "", code: int = 3) -> None:
        self.fails, self.code = fails, code
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, words: Sequence[str], variables: Mapping[str, str]) -> int:
        self.asked.append(tuple(words))
        if words[0] == "sweep":
            with pytest.MonkeyPatch.context() as patch:
                for name, value in variables.items():
                    patch.setenv(name, value)
                tags = {names.SWEEP: "0a1b2c3d", names.SPACE: "demo"}
                RunWriter.open("scores", "of any name", None, {}, tags).end()
        return self.code if words[0] == self.fails else 0

    @property
    def jobs(self) -> list[str]:
        return [words[0] for words in self.asked]


def read(text: str = FILE, name: str = "night") -> described.Pipeline:
    return job.read(f"{name}.yaml", text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps: [sweeep demo]", "step 1: unknown step 'sweeep'. Did you mean 'sweep'?"),
        ("step: [sweep demo]", "unknown key 'step'. Did you mean 'steps'?"),
        ("steps:\n  - sweep demo --datset x", "No such option: --datset: did you mean --dataset?"),
        ("steps:\n  - sweep demo --trials many", "Invalid value for '--trials'"),
        ("steps:\n  - extract --space demo", "Missing option '--dataset'"),
        ("steps:\n  - extract --dataset scors", "Did you mean 'scores'?"),
        ("steps:\n  - extract --dataset folder --audio /no/such/folder", "/no/such/folder is no folder"),
        ("steps:\n  - extract --dataset scores --features mell", "Did you mean 'mel'?"),
        ("steps:\n  - sweep dmeo", "Did you mean 'demo'?"),
        ("steps:\n  - sweep demo --set optim.lrr=1", "Did you mean 'lr'?"),
        ("steps:\n  - train --recipe time_mell", "Did you mean 'time_mel'?"),
        ("steps:\n  - deploy x --server localhost:8000", "no address of a server"),
        ("steps:\n  - select", "no sweep or train comes before it"),
        ("steps:\n  - {sweep: demo}", "write steps as they are typed"),
        ("steps:\n  - sweep 'demo", "No closing quotation"),
        ("steps: [\n", "YAML: line 2"),
        ("steps: []", "give a list"),
        ("[]", "has keys: name and steps"),
        ("name: '?'\nsteps: [sweep demo]", "give letters, digits and hyphens"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_run", lambda *_: pytest.fail("a step began"))
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(SystemExit) as end:
        build(["pipeline"])(["pipeline", str(tmp_path / "p.yaml")])
    said = capsys.readouterr().err.strip()
    assert end.value.code == 1 and told in said and len(said.splitlines()) == 1


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        read("nam: x\nsteps:\n  - extrct\n  - sweep demo --datset x\n  - select")
    assert len(error.value.problems) == 3


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build(["pipeline"])(["pipeline", "no-such.yaml"])
    assert capsys.readouterr().err.strip() == "error: no-such.yaml cannot be read: No such file or directory"


def test_the_example_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).parents[2] / "search_spaces" / "pipeline.yaml"
    with pytest.raises(SystemExit) as end:
        build(["pipeline"])(["pipeline", str(example), "--dry-run"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and said.count("  tonearm ") == 5 and "select <what step 2 makes>" in said
    assert not Path(home.home()).exists(), "a dry run has made something"


@pytest.mark.usefixtures("database")
def test_steps_run_in_order_below_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner()
    said = run_pipeline(read(), runner)
    assert runner.asked[2] == ("select", "demo-0a1b2c3d", "--no-promote"), "select takes what the sweep has made"
    assert runner.asked[3] == ("index", "--model", "models:/tonearm-scores@champion", "--dataset", "scores")
    assert runner.jobs == JOBS and "pipeline night has ended" in said
    parent = get_run(PipelineLedger.load("night").run)
    children = child_runs(parent.run_id)
    assert [(r.name, r.status) for r in (parent, *children)][1:] == [
        (f"{i} {name}", "FINISHED") for i, name in enumerate(JOBS, 1)
    ]
    assert parent.status == "FINISHED" and children[1].tags["tonearm.pipeline.made"] == "demo-0a1b2c3d"
    assert children[1].params["command"] == "tonearm sweep demo --dataset scores"
    again = Runner()
    run_pipeline(read(), again)
    assert again.jobs == JOBS and PipelineLedger.load("night").run != parent.run_id, "one that ended begins anew"


@pytest.mark.usefixtures("database")
def test_a_library_is_indexed_for_the_champion_of_the_pipelines_own_data_set() -> None:
    """Another model was promoted last: that of another pipeline, say."""
    asked = {}
    for name, text in {
        "made": "steps: [sweep demo --dataset scores, select, index --dataset library]",
        "named": "steps: [select demo-0a1b2c3d, index --dataset library]",
        "unselected": "steps: [sweep demo --dataset scores, index --dataset library]",
        "given": "steps: [sweep demo --dataset scores, select, index --dataset library --model /a/model]",
        "alone": "steps: [index --dataset library]",
    }.items():
        runner = Runner()
        planned = plan_lines(read(text, f"own-{name}"))
        run_pipeline(read(text, f"own-{name}"), runner)
        asked[name] = runner.asked[-1][1:]
        assert ("--model <champion" in planned) == (name in ("made", "named", "unselected"))
    own = ("--model", "models:/tonearm-scores@champion", "--dataset", "library")
    assert asked == {
        "made": own, "named": own, "unselected": own, "alone": ("--dataset", "library"),
        "given": ("--dataset", "library", "--model", "/a/model"),
    }  # fmt: skip


@pytest.mark.usefixtures("database")
def test_one_that_broke_off_goes_on(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobError, match=r"step 3 .* failed with exit code 3: .* go on with: tonearm pipeline night$"):
        run_pipeline(read(name="broken"), Runner("select"), again="tonearm pipeline night")
    kept = PipelineLedger.load("broken")
    assert get_run(kept.run).status == "FAILED"
    assert [r.status for r in child_runs(kept.run)] == ["FINISHED", "FINISHED", "FAILED"]
    with pytest.raises(ConfigError, match=r"step 3, .*, failed on .* with exit code 3, and step 5, deploy, needs it"):
        plan_lines(read(name="broken"), "deploy")
    assert plan_lines(read(name="broken")).count("skipped") == 2
    runner = Runner()
    with caplog.at_level("INFO", "tonearm"):
        run_pipeline(read(name="broken"), runner)
    assert "step 3, tonearm select --no-promote, failed on" in caplog.text
    assert runner.jobs == JOBS[2:] and runner.asked[0][1] == "demo-0a1b2c3d", "the sweep is known still"
    assert PipelineLedger.load("broken").run == kept.run and get_run(kept.run).status == "FINISHED"


@pytest.mark.usefixtures("database")
def test_no_run_stays_running_where_a_sweep_has_left_none() -> None:
    with pytest.raises(JobError, match="left no run in MLflow"):
        run_pipeline(read("steps: [sweep demo, select]", "empty"), lambda words, variables: 0)
    parent = get_run(PipelineLedger.load("empty").run)
    assert [r.status for r in (parent, *child_runs(parent.run_id))] == ["FAILED", "FAILED"]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("changed", ["command", "code"])
def test_what_has_changed_is_run_again_with_all_behind_it(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobError):
        run_pipeline(read(name=changed), Runner("index"))
    runner = Runner()
    if changed == "code":
        monkeypatch.setattr(described, "state", lambda: "another commit")
    run_pipeline(read(FILE.replace("demo --dataset scores\n", "demo --dataset scores --trials 2\n")
                      if changed == "command" else FILE, changed), runner)  # fmt: skip
    assert runner.jobs == (JOBS if changed == "code" else JOBS[1:])


@pytest.mark.usefixtures("database")
def test_a_step_to_begin_with() -> None:
    run_pipeline(read(name="from"), Runner())
    runner = Runner()
    run_pipeline(read(name="from"), runner, "select")
    assert runner.jobs == JOBS[2:] and runner.asked[0][1] == "demo-0a1b2c3d"
    with pytest.raises(ConfigError, match=r"unknown step 'selct'\. Did you mean 'select'"):
        run_pipeline(read(name="from"), runner, "selct")
    with pytest.raises(ConfigError, match=r"step 1, .*, has not ended, and step 2, sweep, needs it"):
        run_pipeline(read(name="other"), runner, "2")


def test_a_second_one_says_so(tonearm_home: Path) -> None:
    with DriverLock(folder("night"), "pipeline night"), pytest.raises(JobError, match="pipeline night is being run"):
        run_pipeline(read(), Runner())


def test_the_file_travels_with_a_submitted_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    (tmp_path / "p.yaml").write_text(FILE)
    monkeypatch.setattr("tonearm.workflows.follow_job.SECONDS_BETWEEN_LOOKS", 0.01)
    with fake_cluster() as cluster, pytest.raises(SystemExit) as end:
        cluster.ray_version = ray.__version__
        words = ["submit", "--address", cluster.url, "--home", "/shared", "--", "pipeline"]
        for text in (FILE, FILE.replace("sweep demo", "sweep demo --trials 2")):
            (tmp_path / "p.yaml").write_text(text)
            with pytest.raises(SystemExit):
                build(["submit"])([*words, str(tmp_path / "p.yaml")])
        (tmp_path / "p.yaml").write_text("steps: [swep demo]")
        build(["submit"])([*words, str(tmp_path / "p.yaml")])
    first, second = cluster.sent
    assert end.value.code == 1, "a typo is told here"
    sent = first["runtime_env"]["env_vars"][variable(str(tmp_path / "p.yaml"))]
    assert sent == FILE and first["submission_id"] != second["submission_id"]
