"""The writer that never waits for the server, and the one that waits with patience."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tonearm.core import home
from tonearm.core.errors import TrackingError
from tonearm.tracking import names
from tonearm.tracking.buffer import BufferedRun
from tonearm.tracking.log import LogEntry, RunWriter, client
from tonearm.tracking.retry import (
    NO_CLIENT_RETRIES,
    address,
    backoff_delays,
    disable_client_retries,
    error_summary,
    is_unavailable,
    retry,
)
from tonearm.tracking.system import PEAK_MEMORY


@pytest.fixture(autouse=True)
def database(one_home: Path, tonearm_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One database for the module, and an environment in which nobody asked quickly yet."""
    monkeypatch.setenv("TONEARM_HOME", str(one_home))
    for name in NO_CLIENT_RETRIES:
        monkeypatch.setenv(name, "")
        os.environ.pop(name)  # what the code sets is undone after the test


@pytest.fixture
def nobody_there(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a server that is away."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, str], None]]:
    """A server that answers every request with one status and body."""
    answer = [200, "{}"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(int(answer[0]))
            self.end_headers()
            self.wfile.write(str(answer[1]).encode())

        do_POST = do_GET  # noqa: N815 (the standard library's names)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        yield lambda status, body: answer.__setitem__(slice(None), [status, body])
        server.shutdown()


def run_of(experiment: str, name: str) -> RunWriter:
    return RunWriter.open(experiment, name)


# --- what is sent


def test_all_is_sent_in_order_with_the_time_of_the_call() -> None:
    parent = run_of("sent", "sweep")
    run = BufferedRun("sent", "00-a", parent.run_id, {"optim.lr": 0.1}, {names.TRIAL: "0"})
    spans = []
    for epoch in range(1, 31):
        before = int(time.time() * 1000)
        run.metrics({"train_loss": 1 / epoch, "lr": 0.1, "replayed": False, "note": "text"}, epoch)  # type: ignore[dict-item]
        spans.append((before, int(time.time() * 1000)))
    run.tag("word", "first")
    run.tag("word", "last")
    assert run.close(60) == 0
    assert run.close(60) == 0  # a second time does nothing

    writer = RunWriter.open("sent", "00-a", parent.run_id)
    stored = client().get_run(writer.run_id)
    assert stored.info.status == "RUNNING", "the driver ends the run, not the trial"
    assert stored.data.params == {"optim.lr": "0.1"}
    assert stored.data.tags["word"] == "last" and stored.data.tags[names.TRIAL] == "0"
    assert stored.data.tags[names.PARENT_RUN] == parent.run_id
    history = sorted(client().get_metric_history(writer.run_id, "train_loss"), key=lambda m: m.step)
    assert [(m.step, m.value) for m in history] == [(e, 1 / e) for e in range(1, 31)]
    assert all(low <= m.timestamp <= high for m, (low, high) in zip(history, spans, strict=True))
    assert {k for k in stored.data.metrics if not k.startswith("system/")} == {"train_loss", "lr"}


def test_the_machines_load_is_sampled_and_counted_on() -> None:
    first = BufferedRun("system", "00-a", system_seconds=0.05)
    writer = run_of("system", "00-a")
    deadline = time.monotonic() + 60
    while len(writer.steps(PEAK_MEMORY)) < 3:
        assert time.monotonic() < deadline, "no three samples in a minute"
        time.sleep(0.05)
    assert first.close(60) == 0
    so_far = writer.steps(PEAK_MEMORY)
    assert so_far == set(range(len(so_far)))
    again = BufferedRun("system", "00-a", system_seconds=1000)
    assert again.close(60) == 0
    assert writer.steps(PEAK_MEMORY) == {*so_far, len(so_far)}, "a short run has one sample, at the next step"
    metrics = client().get_run(writer.run_id).data.metrics
    assert metrics[PEAK_MEMORY] > 10
    assert {f"system/{n}" for n in ("cpu_utilization_percentage", "system_memory_usage_megabytes",
                                    "disk_usage_percentage", "network_receive_megabytes")} <= set(metrics)  # fmt: skip


def test_more_than_one_request_holds_is_split() -> None:
    writer = run_of("large", "a")
    params = {f"p{i}": i for i in range(230)}
    RunWriter.open("large", "b", params=params)
    writer.log([LogEntry(metrics={f"m{i}": float(i) for i in range(700)}, step=s) for s in range(3)])
    writer.log([LogEntry(tags={f"t{i}": str(i) for i in range(150)})])
    data = client().get_run(writer.run_id).data
    assert len(data.metrics) == 700 and {f"t{i}" for i in range(150)} <= set(data.tags)
    assert writer.steps("m699") == {0, 1, 2}
    assert client().get_run(run_of("large", "b").run_id).data.params == {k: str(v) for k, v in params.items()}


def test_what_is_refused_is_left_out_and_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    run = BufferedRun("refused", "00-a")
    for epoch in range(1, 6):
        run.metrics({"good": float(epoch)}, epoch)
        run.metrics({"bad@name": 1.0}, epoch)
    assert run.close(60) == 5
    writer = run_of("refused", "00-a")
    assert writer.steps("good") == {1, 2, 3, 4, 5}
    lines = [line for line in capfd.readouterr().err.splitlines() if "refused" in line]
    assert len(lines) == 1 and "'00-a'" in lines[0] and "bad@name" in lines[0]


# --- a server that is away, or refuses


def test_nothing_waits_for_a_server_that_is_away(nobody_there: str, capfd: pytest.CaptureFixture[str]) -> None:
    run = BufferedRun("away", "00-a")
    for epoch in range(100):
        run.metrics({"loss": 1.0}, epoch)
    run.tag("a", "b")
    assert run.close(0.2) == 101
    run._thread.join(60)
    assert not run._thread.is_alive(), "nobody waits for this thread, and it ends"
    run.metrics({"loss": 1.0}, 101)  # after the end: kept, not sent, no error
    assert run.close(0.0) == 102
    assert capfd.readouterr().err == ""


def test_a_run_that_is_refused_costs_no_training(
    answering: Callable[[int, str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    answering(403, '{"error_code": "PERMISSION_DENIED", "message": "not for you"}')
    run = BufferedRun("forbidden", "00-a")
    run.metrics({"loss": 1.0}, 1)
    run._thread.join(60)
    run.metrics({"loss": 1.0}, 2)
    assert run.close() == 2
    err = capfd.readouterr().err.splitlines()
    assert len(err) == 1 and "run '00-a' is not tracked" in err[0] and "not for you" in err[0]


@pytest.mark.parametrize(
    ("status", "code", "away"),
    [(500, "INTERNAL_ERROR", True), (502, "", True), (503, "TEMPORARILY_UNAVAILABLE", True),
     (429, "REQUEST_LIMIT_EXCEEDED", True), (400, "INVALID_PARAMETER_VALUE", False), (401, "", False),
     (403, "PERMISSION_DENIED", False), (404, "RESOURCE_DOES_NOT_EXIST", False)],
)  # fmt: skip
def test_away_is_told_from_refused(answering: Callable[[int, str], None], status: int, code: str, away: bool) -> None:
    disable_client_retries()
    answering(status, f'{{"error_code": "{code}", "message": "m"}}' if code else "<html>a proxy's page</html>")
    with pytest.raises(Exception) as caught:
        client().get_run("0" * 32)
    assert is_unavailable(caught.value) is away
    assert "\n" not in error_summary(caught.value)


def test_no_connection_is_away(nobody_there: str) -> None:
    disable_client_retries()
    with pytest.raises(Exception) as caught:
        client().get_run("0" * 32)
    assert is_unavailable(caught.value) and error_summary(caught.value).endswith("Connection refused")


def test_an_error_while_another_is_handled_is_judged_alone() -> None:
    try:
        raise ConnectionError("of something else")
    except ConnectionError:
        with pytest.raises(Exception) as caught:
            client().get_run("0" * 32)
    assert caught.value.__context__ is not None and not is_unavailable(caught.value)


def test_a_locked_database_is_away_and_a_broken_one_is_not(tmp_path: Path) -> None:
    import sqlalchemy

    path = tmp_path / "x.db"
    first, second = (sqlalchemy.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0}) for _ in range(2))
    with first.connect() as holder, second.connect() as other:
        holder.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(sqlalchemy.exc.OperationalError) as locked:
            other.exec_driver_sql("CREATE TABLE t (x)")
    with second.connect() as other, pytest.raises(sqlalchemy.exc.OperationalError) as absent:
        other.exec_driver_sql("SELECT * FROM nothing")
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    broken = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/broken.db")
    with broken.connect() as other, pytest.raises(sqlalchemy.exc.DatabaseError) as damaged:
        other.exec_driver_sql("SELECT * FROM sqlite_master")
    assert is_unavailable(locked.value) and not is_unavailable(absent.value) and not is_unavailable(damaged.value)
    assert is_unavailable(TrackingError("x")) is False


# --- patience


def test_patience_ends_with_what_to_do(nobody_there: str) -> None:
    said: list[str] = []
    with pytest.raises(TrackingError, match=r"has not answered for 0\.1 seconds .* run the same command again"):
        retry(RunWriter.open, "away", "sweep", seconds=0.1, say=said.append)
    assert len(said) == 1 and f"MLflow at {nobody_there} does not answer" in said[0]
    assert "trying again for 0.1 seconds" in said[0]


def test_patience_has_its_reward() -> None:
    said: list[str] = []
    tries: list[int] = []

    def third_time(value: int) -> int:
        tries.append(value)
        if len(tries) < 3:
            raise ConnectionRefusedError("nobody there")
        return value

    assert retry(third_time, 7, say=said.append) == 7 and tries == [7, 7, 7]
    assert "does not answer (nobody there); trying again for 10 minutes" in said[0] and "answers again" in said[1]
    assert retry(run_of, "patient", "a", say=said.append).run_id and len(said) == 2


def test_no_patience_with_a_refusal() -> None:
    tries: list[int] = []

    def refuse() -> None:
        tries.append(1)
        raise TrackingError("no such run")

    with pytest.raises(TrackingError, match="no such run"):
        retry(refuse)
    assert tries == [1]


def test_pauses_grow_to_a_limit() -> None:
    delays = backoff_delays()
    first = [next(delays) for _ in range(20)]
    assert first == sorted(first) and first[0] == 0.5 and first[-1] == 15.0


def test_messages_hold_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://anna:secret@host:5432/mlflow")
    assert address() == "postgresql://anna:***@host:5432/mlflow"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert address() == home.tracking_uri()


def test_a_run_whose_opening_was_cut_off_is_completed() -> None:
    parent = run_of("cut", "sweep")
    api = client()
    experiment = api.get_experiment_by_name("cut").experiment_id
    half = api.create_run(experiment, run_name="00-a", tags={names.PARENT_RUN: parent.run_id})
    again = RunWriter.open("cut", "00-a", parent.run_id, {"a": 1, "b": 2})
    assert again.run_id == half.info.run_id
    assert api.get_run(again.run_id).data.params == {"a": "1", "b": "2"}
    bare = api.create_run(experiment, run_name="other sweep")
    whole = run_of("cut", "other sweep")
    assert whole.run_id == bare.info.run_id and names.ENVIRONMENT in whole.tags()
