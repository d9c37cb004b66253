"""Eight processes at once on SQLite and on PostgreSQL, and servers that go away while a run is written."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from tests.servers import (
    PATIENCE,
    Postgres,
    TrackingServer,
    installed,
    needs,
    running_postgres,
    running_server,
    wait_until,
)
from tonearm.tracking import names, query
from tonearm.tracking.buffer import BufferedRun
from tonearm.tracking.log import RunWriter, client
from tonearm.tracking.retry import NO_CLIENT_RETRIES, retry

pytestmark = pytest.mark.integration

PROCESSES, EPOCHS, DIRECT = 8, 50, 5
METRICS = ("train_loss", "validation_loss", "validation_f1_micro", "validation_f1_macro", "lr", "epoch_seconds")


def value_of(trial: int, metric: str, epoch: int) -> float:
    """A value that no other metric of no other trial has."""
    return trial + METRICS.index(metric) / 10 + epoch / 1000


@pytest.fixture(autouse=True)
def nobody_asked_quickly(tonearm_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the code sets in the environment is undone after the test."""
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    for name in NO_CLIENT_RETRIES:
        monkeypatch.setenv(name, "")
        os.environ.pop(name)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    yield from running_postgres()


@pytest.fixture
def tracking_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingServer]:
    for server in running_server(tmp_path):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        yield server


# --- eight processes at once


def one_trial(index: int, databases: list[str], start: Barrier, results: Queue[tuple[str, int, str, str, int]]) -> None:
    """What a trial and its driver do, in a process of its own: on one database after the other."""
    import mlflow  # noqa: F401 (takes seconds: all shall begin at once)
    from matplotlib.figure import Figure

    for uri in databases:
        os.environ["MLFLOW_TRACKING_URI"] = uri
        start.wait()
        parent = RunWriter.open("many", "sweep", params={"trials": PROCESSES}, tags={names.SWEEP: "abc"})
        name, params, tags = f"{index:02d}-abc", {"optim.lr": index / 10}, {names.TRIAL: str(index)}
        run = BufferedRun("many", name, parent.run_id, params, tags, system_seconds=2.0)
        for epoch in range(1, EPOCHS + 1):
            run.metrics({m: value_of(index, m, epoch) for m in METRICS}, epoch)
            time.sleep(0.02)  # so that there are many requests and not one
        run.tag("tonearm.last", str(index))
        left = run.close(PATIENCE)
        writer = RunWriter.open("many", name, parent.run_id)
        for step in range(DIRECT):
            writer.metrics({"direct": value_of(index, "lr", step)}, step)
        writer.figure("plot.png", Figure())
        writer.end()
        results.put((uri, index, parent.run_id, writer.run_id, left))


@dataclass(frozen=True)
class Eight:
    """What eight processes at once answered.

    Attributes
    ----------
    databases
        URI by kind.
    answers
        URI, index of the trial, run ids of the parent and of the trial, and how many calls were not sent.
    """

    home: Path
    databases: dict[str, str]
    answers: list[tuple[str, int, str, str, int]]


@pytest.fixture(scope="module")
def eight(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Eight:
    """Eight processes, started once for all databases, from one that has imported MLflow: that takes seconds."""
    home = tmp_path_factory.mktemp("eight")
    databases = {"sqlite": f"sqlite:///{home}/mlflow.db"}
    if installed("initdb"):
        databases["postgresql"] = request.getfixturevalue("postgres").uri
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "mlflow", "matplotlib.figure", "tonearm.tracking.buffer"])
    start, results = context.Barrier(PROCESSES), context.Queue()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(home))
        processes = [
            context.Process(target=one_trial, args=(i, list(databases.values()), start, results), daemon=True)
            for i in range(PROCESSES)
        ]
        for process in processes:
            process.start()
    answers = [results.get(timeout=2 * PATIENCE) for _ in processes for _ in databases]
    for process in processes:
        process.join(PATIENCE)
    assert [p.exitcode for p in processes] == [0] * PROCESSES
    return Eight(home, databases, sorted(answers))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_eight_processes_at_once_lose_nothing(kind: str, eight: Eight, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a fresh database: nothing is lost, doubled or mixed up."""
    if kind == "postgresql":
        needs("initdb")
    uri = eight.databases[kind]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    answers = [answer[1:] for answer in eight.answers if answer[0] == uri]
    assert [left for *_, left in answers] == [0] * PROCESSES
    parents = {parent for _, parent, _, _ in answers}
    assert len(parents) == 1, "processes that open one run at once must get one run"
    trials = query.child_runs(parents.pop())
    assert [t.name for t in trials] == [f"{i:02d}-abc" for i in range(PROCESSES)]
    assert [t.run_id for t in trials] == [run_id for _, _, run_id, _ in answers]
    for index, trial in enumerate(trials):
        assert trial.status == "FINISHED" and trial.params == {"optim.lr": str(index / 10)}
        assert trial.tags[names.TRIAL] == trial.tags["tonearm.last"] == str(index)
        assert trial.tags[names.CPU] and trial.tags[names.ENVIRONMENT]
        for metric in METRICS:
            logged = client().get_metric_history(trial.run_id, metric)
            wanted = [(e, value_of(index, metric, e)) for e in range(1, EPOCHS + 1)]
            assert sorted((m.step, m.value) for m in logged) == wanted
        assert [s for s, _ in query.metric_history(trial.run_id, "direct")] == list(range(DIRECT))
        assert any(m.startswith("system/") for m in trial.metrics)
        assert (query.artifact_bytes(trial.run_id, "plot.png") or b"").startswith(b"\x89PNG")
    place = client().get_experiment_by_name("many").artifact_location
    assert place == f"file://{eight.home}/artifacts/many", "a database does not know where artifacts go: the home does"


# --- away for a while


def write_while_it_is_away(stop: Callable[[], None], start: Callable[[], None]) -> None:
    """A trial and a driver who write while the server stops and starts again."""
    parent = RunWriter.open("restart", "sweep")
    run = BufferedRun("restart", "00-abc", parent.run_id, {"a": 1}, system_seconds=1000)
    for epoch in range(1, 11):
        run.metrics({"train_loss": 1 / epoch}, epoch)
    wait_until(lambda: _steps(parent.run_id) == set(range(1, 11)), "the first epochs arrived")

    stop()
    said: list[str] = []
    opened: list[RunWriter] = []
    driver = threading.Thread(
        target=lambda: opened.append(retry(RunWriter.open, "restart", "01-def", parent.run_id, say=said.append))
    )
    driver.start()
    spans = []
    for epoch in range(11, 41):  # all of these calls come back while there is no server
        before = int(time.time() * 1000)
        run.metrics({"train_loss": 1 / epoch}, epoch)
        spans.append((before, int(time.time() * 1000)))
    run.tag("word", "said while it was away")
    late = BufferedRun("restart", "02-ghi", parent.run_id, system_seconds=1000)  # a trial that begins meanwhile
    late.metrics({"train_loss": 0.5}, 1)
    wait_until(lambda: bool(said), "the driver saw that the server is away")
    assert late.close(0.5) == 1, "what the driver completes from the trial's folder"

    start()
    driver.join(PATIENCE)
    assert run.close(PATIENCE) == 0
    assert len(opened) == 1 and "does not answer" in said[0] and "answers again" in said[1] and len(said) == 2
    trials = query.child_runs(parent.run_id)
    assert [t.name for t in trials][:2] == ["00-abc", "01-def"]
    assert trials[1].run_id == opened[0].run_id and trials[0].tags["word"] == "said while it was away"
    logged = sorted(client().get_metric_history(trials[0].run_id, "train_loss"), key=lambda m: m.step)
    assert [(m.step, m.value) for m in logged] == [(e, pytest.approx(1 / e)) for e in range(1, 41)]
    assert all(low <= m.timestamp <= high for m, (low, high) in zip(logged[10:], spans, strict=True))
    retry(opened[0].end)


def _steps(parent: str) -> set[int]:
    trials = query.child_runs(parent)
    return {s for s, _ in query.metric_history(trials[0].run_id, "train_loss")} if trials else set()


def test_a_tracking_server_that_is_killed_costs_no_metric(tracking_server: TrackingServer) -> None:
    write_while_it_is_away(tracking_server.kill, tracking_server.start)
    # What people look at lies on the server: texts and plots go through it.
    run = RunWriter.open("restart", "texts")
    run.text("notes.txt", "é")
    assert query.artifact_bytes(run.run_id, "notes.txt") == "é".encode()
    assert query.artifact_bytes(run.run_id, "absent.txt") is None
    assert query.artifact_bytes(run.run_id, "absent/absent.txt") is None
    assert query.artifact_bytes(run.run_id, "environment.txt")


def test_a_postgresql_that_restarts_costs_no_metric(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.uri)
    write_while_it_is_away(postgres.stop, postgres.start)


def test_a_wrong_database_is_refused_at_once(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.uri.replace("/postgres", "/absent"))
    with pytest.raises(Exception, match='database "absent" does not exist'):
        retry(RunWriter.open, "any", "a", say=pytest.fail)


def test_a_missing_program_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_CI", "1")
    with pytest.raises(pytest.fail.Exception, match="needs absent-program"):
        needs("absent-program")
    monkeypatch.delenv("TONEARM_CI")
    with pytest.raises(pytest.skip.Exception, match="needs absent-program"):
        needs("absent-program")
