"""What ``tonearm ls`` and ``tonearm status`` read: folders and MLflow's database, which they leave as they are."""

from __future__ import annotations

import http.server
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.builders import tiny_config, toy_tracks, track
from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.core.lock import FILE, DriverLock, running_driver
from tonearm.datasets.manifest import Manifest, load_manifest, save_manifest, summarise_manifest
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.tasks import Regression
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, client
from tonearm.tracking.overview import _of_client, overview
from tonearm.training.trial import TrialFolder
from tonearm.workflows.activity import list_activity
from tonearm.workflows.listing import list_home

NOWHERE = 1  # a port where nothing of ours listens


@pytest.fixture
def fresh(database: None) -> None:
    """The module's database without what other tests left at the top."""
    for run in client().search_runs([e.experiment_id for e in client().search_experiments()]):
        client().delete_run(run.info.run_id)


def sweep(signature: str, ended: int, epochs: dict[int, list[float]], changes: dict[str, Any] | None = None) -> str:
    """A sweep of three trials as it lies on disk; ``epochs`` gives each trial's best value after every epoch."""
    folder = storage.join(home.trials_home(), signature)
    config = tiny_config(changes)
    proposals = [Proposal(i, i, {}, config.replace({"seed": i})) for i in range(3)]
    ledger = Ledger(folder)
    ledger.add(proposals)
    for proposal in proposals[: max(ended, len(epochs))]:
        trial = ledger.trial(proposal)
        history = [{"epoch": n, "best": best} for n, best in enumerate(epochs.get(proposal.index, []), 1)]
        storage.write_json(storage.join(trial.uri, "history.json"), history)
        if proposal.index < ended:
            trial.complete()
    params = {"space": "quick", "trials": 3, "seeds": 1, "search": "Random()"}
    storage.write_json(storage.join(folder, "sweep.json"), {"name": "quick", "params": params})
    return folder


# --- the database


def test_sqlite_and_the_client_say_the_same(fresh: None, one_home: Path) -> None:
    parent = RunWriter.open("glance", "top", None, {"recipe": "time_mel", "folds": 2}, {names.DATA: "d"})
    child = RunWriter.open("glance", "leaf", parent.run_id)
    child.metrics({"train_loss": 1.0, "best": 0.5, "validation_f1_micro": 0.5}, step=1)
    child.metrics({"train_loss": 0.5, "best": 0.75, "validation_f1_micro": 0.75}, step=2)
    other = RunWriter.open("glance", "over", parent.run_id)
    other.metrics({"best_f1_micro": 0.9, "test_f1_micro": float("nan"), "heldout/test_f1_macro": 0.25})
    other.end()
    client().create_registered_model("tonearm-glance")
    source = f"{one_home}/artifacts/none"
    for run in (child, other):
        client().create_model_version("tonearm-glance", source, run.run_id, tags={names.METRIC: "f1_micro"})
    client().set_registered_model_alias("tonearm-glance", names.CHAMPION, "1")
    read, asked = overview(), _of_client()
    assert read.models == asked.models and [m.version for m in read.models] == [2, 1]
    assert [m.aliases for m in read.models] == [(), (names.CHAMPION,)]
    runs, same = ({r.name: r for r in o.runs} for o in (read, asked))
    assert runs.keys() == same.keys() == {"top", "leaf", "over"}
    for name, run in runs.items():
        with_client = same[name]
        assert (run.run_id, run.experiment, run.status, run.started, run.parent, run.params) == (
            with_client.run_id, with_client.experiment, with_client.status, with_client.started, with_client.parent,
            with_client.params,
        )  # fmt: skip
        assert run.tags.items() <= with_client.tags.items()
    assert runs["leaf"].step == same["leaf"].step == 2 and runs["leaf"].reported == same["leaf"].reported > 0
    assert runs["leaf"].scores == same["leaf"].scores == {"best": 0.75}
    assert runs["over"].scores["best_f1_micro"] == same["over"].scores["best_f1_micro"] == 0.9
    assert runs["over"].scores["test_f1_macro"] == same["over"].scores["test_f1_macro"] == 0.25
    assert "test_f1_micro" not in {**runs["over"].scores, **same["over"].scores}, "no number was logged"
    assert runs["top"].params == {"recipe": "time_mel"} and runs["leaf"].parent == runs["top"].run_id


def test_database_that_is_not_there_is_not_made(tonearm_home: Path) -> None:
    assert overview().runs == [] and overview().models == []
    assert list_home().empty and not tonearm_home.exists()


def test_database_is_left_as_it_is_while_another_process_writes(fresh: None, one_home: Path) -> None:
    RunWriter.open("still", "a").end()
    before = (one_home / "mlflow.db").read_bytes()
    listed = list_home()
    assert (one_home / "mlflow.db").read_bytes() == before and listed.trainings == []


# --- data sets


def test_data_set_is_summed_up_as_it_would_be_read(tmp_path: Path) -> None:
    uri = str(tmp_path / "manifest.parquet")
    tracks = [*toy_tracks(), track("several", "x", labels=("x", "y")), track("none", "")]
    save_manifest(uri, Manifest("toy", "sound", tuple(tracks)))
    found, whole = summarise_manifest(uri), load_manifest(uri)
    assert (found.name, found.label, found.tracks, found.classes) == (
        "toy", "sound", len(whole.tracks), len(whole.classes)
    )  # fmt: skip


def test_damaged_data_set_is_named_and_hides_no_other(tonearm_home: Path) -> None:
    for name in ("good", "bad"):
        save_manifest(storage.join(home.data_home(name), "manifest.parquet"), Manifest(name, "sound", (track("a"),)))
    damaged = tonearm_home / "data" / "bad" / "manifest.parquet"
    damaged.write_bytes(damaged.read_bytes()[:50])
    listed = list_home()
    assert [d.name for d in listed.datasets] == ["good"]
    assert len(listed.problems) == 1 and "bad/manifest.parquet is damaged" in listed.problems[0]


# --- sweeps


def test_sweep_that_was_stopped_shows_its_best_so_far() -> None:
    sweep("0a", 1, {0: [0.2, 0.4], 1: [0.6]})
    (found,) = list_home().sweeps
    assert (found.name, found.state, found.ended, found.trials) == ("quick-0a", "stopped", 1, 3)
    assert (found.metric, found.best, found.dataset) == ("f1_micro", 0.6, "toy")


def test_smaller_is_better_where_the_task_says_so() -> None:
    sweep("0b", 2, {0: [0.2], 1: [0.1], 2: [0.4]}, changes={"task": Regression(target="year")})
    (found,) = list_home().sweeps
    assert (found.metric, found.best) == ("mae", 0.1)


def test_finished_sweep_is_read_from_mlflow(fresh: None, one_home: Path) -> None:
    folder = sweep("0c", 3, {})
    run = RunWriter.open("music", "quick-0c", None, {"space": "quick"}, {names.SWEEP: "0c"})
    run.metrics({"best_f1_micro": 0.8, "trials": 3.0})
    run.end()
    (found,) = (s for s in list_home().sweeps if s.name == "quick-0c")
    assert (found.dataset, found.state, found.metric, found.best) == ("music", "finished", "f1_micro", 0.8)
    assert found.started is not None and abs(found.started - time.time()) < 3600
    assert TrialFolder(folder).history() == []


def test_unreadable_sweep_is_named() -> None:
    storage.write_json(storage.join(home.trials_home(), "0d", "sweep.json"), {"name": "old"})
    sweep("0e", 0, {})
    listed = list_home()
    assert [s.name for s in listed.sweeps] == ["quick-0e"] and "0d cannot be read" in listed.problems[0]


@pytest.mark.parametrize("foreign", [[], "text", {"name": "old", "params": [1]}, {"name": "old", "params": {}}])
def test_foreign_sweep_file_is_named(tonearm_home: Path, foreign: object) -> None:
    storage.write_json(storage.join(home.trials_home(), "0c", "sweep.json"), foreign)
    assert any("0c cannot be read" in problem for problem in list_home().problems)


def test_running_sweep_is_known_by_its_lock(tonearm_home: Path) -> None:
    folder = sweep("0f", 1, {0: [0.5]})
    assert running_driver(folder) is None and list_activity(NOWHERE, NOWHERE).empty
    with DriverLock(folder):
        (found,) = list_activity(NOWHERE, NOWHERE).sweeps
        assert (found.state, found.ended, found.trials) == ("running", 1, 3)
        driver = running_driver(folder)
        assert driver is not None and driver["pid"] == os.getpid()
        with pytest.raises(JobError, match="the sweep is being run since"):
            DriverLock(folder).__enter__()
    assert list_activity(NOWHERE, NOWHERE).empty
    left = {**json.loads((tonearm_home / "trials" / "0f" / FILE).read_text()), "pid": 2**22 + 1}
    left.pop("over")
    storage.write_json(storage.join(folder, FILE), left)  # as a driver that was killed leaves it
    assert running_driver(folder) is None and list_home().sweeps[0].state == "stopped"


# --- trainings and what runs


def test_training_shows_the_score_of_its_own_metric(fresh: None) -> None:
    run = RunWriter.open("music", "time_mel-1", None, {"recipe": "time_mel"})
    fold = RunWriter.open("music", "fold-1-seed-0", run.run_id)
    stage = RunWriter.open("music", "time-2", fold.run_id)
    stage.metrics({"train_loss": 0.3, "best": 0.7}, step=4)
    (active,) = list_activity(NOWHERE, NOWHERE).trainings
    assert (active.name, active.dataset, active.now, active.best) == ("time_mel-1", "music", ("time-2 epoch 4",), 0.7)
    assert active.reported is not None
    assert [(t.state, t.test) for t in list_home().trainings] == [("running", None)]
    stage.metrics({"best_f1_micro": 0.7})
    run.metrics({"heldout/test_f1_micro": 0.55, "heldout/test_log_loss": 0.25, "heldout/test_f1_micro_deviation": 0.01})
    for each in (stage, fold, run):
        each.end()
    (found,) = list_home().trainings
    assert (found.recipe, found.dataset, found.state) == ("time_mel", "music", "finished")
    assert (found.metric, found.test) == ("f1_micro", 0.55)
    assert list_activity(NOWHERE, NOWHERE).empty


@contextmanager
def answering(body: bytes) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_servers_are_known_by_what_they_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # of no use for this machine's own ports
    with answering(json.dumps({"model": "models:/m@champion"}).encode()) as port, answering(b"OK") as mlflow:
        ours, pages = list_activity(port, mlflow).servers
    assert (ours.what, ours.model, ours.url) == ("serve", "models:/m@champion", f"http://127.0.0.1:{port}")
    assert pages.what == "mlflow"
    with answering(b"<html>") as port:
        assert [s.what for s in list_activity(port, port).servers] == ["another program"]
