"""A home that was moved or copied: what it holds is found in its new place, and nothing is written to the old one."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders import tiny_config, toy_tracks
from tonearm.core import home, storage
from tonearm.datasets.manifest import Manifest, load_manifest, save_manifest
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.tracking import log, moved_home, names
from tonearm.tracking.log import RunWriter, client
from tonearm.tracking.query import artifact_bytes
from tonearm.training.config import Member


def files(folder: Path) -> dict[str, tuple[int, int]]:
    found = {str(p.relative_to(folder)): p.stat() for p in folder.rglob("*")}
    return {name: (status.st_size, status.st_mtime_ns) for name, status in found.items() if "mlflow.db" not in name}


FIRST = """
from tonearm.core import home
from tonearm.tracking.log import RunWriter
for name in ("copied", "moved"):
    run = RunWriter.open("music", name, tags={"tonearm.folder": f"{home.home()}/trials/a", "mine": home.home()})
    run.text("a.txt", "old")
    run.end()
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as another process has left it: what MLflow knows of a run's place it remembers to its end."""
    place = tmp_path_factory.mktemp("homes") / "first home #1"
    subprocess.run([sys.executable, "-c", FIRST], env={**os.environ, home.HOME: str(place)}, check=True)
    return place


def use(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.HOME, str(place))
    monkeypatch.setattr(moved_home, "_only_looking", False)
    log._make_tables.cache_clear()  # as in a new process


def test_a_link_to_the_home_moves_nothing(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "link").symlink_to(first)
    use(tmp_path / "link", monkeypatch)
    with caplog.at_level(logging.INFO, "tonearm"):
        client()
    assert caplog.records == []


def test_database_elsewhere_may_be_of_several_homes(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(home.TRACKING, f"sqlite:///{first}/mlflow.db")
    use(tmp_path / "second", monkeypatch)
    with caplog.at_level(logging.INFO, "tonearm"):
        client()
    assert caplog.records == []


@pytest.mark.parametrize("way", ["copied", "moved"])
def test_artifacts_follow_the_home(
    way: str, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    second = tmp_path / "elsewhere" / "second home"
    (shutil.copytree if way == "copied" else shutil.move)(str(first), str(second))
    before = files(first) if way == "copied" else {}
    use(second, monkeypatch)
    with caplog.at_level(logging.INFO, "tonearm"):
        run = RunWriter.open("music", way)
        run.text("b.txt", "new")
        client()
    said = [r.getMessage() for r in caplog.records if "moved or copied" in r.getMessage()]
    assert said == [f"  note: this home was moved or copied from {first}: MLflow's files are in {second} now"]
    assert artifact_bytes(run.run_id, "a.txt") == b"old" and artifact_bytes(run.run_id, "b.txt") == b"new"
    assert run.tags()[names.FOLDER] == f"{second}/trials/a" and run.tags()["mine"] == str(first), "users' own stay"
    RunWriter.open("music", "another run").text("c.txt", "new")
    assert {p.name for p in (second / "artifacts").rglob("*.txt")} >= {"a.txt", "b.txt", "c.txt"}
    assert (files(first) if first.exists() else {}) == before, "something was written to the old place"


def test_rendered_recordings_follow_the_home(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "data", tmp_path / "new" / "data"
    manifest = Manifest("music", "label", tuple(toy_tracks()))
    inside, outside = f"{old}/scores/audio/a.flac", "/music/b.flac"
    tracks = tuple(dataclasses.replace(t, source=inside if i else outside) for i, t in enumerate(manifest.tracks))
    save_manifest(f"{old}/music/manifest.parquet", dataclasses.replace(manifest, tracks=tracks))
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    found = load_manifest(f"{new}/music/manifest.parquet")
    assert {t.source for t in found.tracks} == {f"{new}/scores/audio/a.flac", outside}
    assert {t.source for t in load_manifest(f"{old}/music/manifest.parquet").tracks} == {inside, outside}
    assert found.signature() == manifest.signature()


def test_trials_that_others_build_on_follow_the_home(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "trials", tmp_path / "new" / "trials"
    (old / "single" / "time-1" / "bundle").mkdir(parents=True)
    config = tiny_config().replace({
        "members": (Member(name="time", trial="1", bundle=f"{old}/single/time-1/bundle"),),
        "start": Member(name="start", trial="2", bundle="/another/trials/of/somebody"),
    })  # fmt: skip
    Ledger(f"{old}/abc").add([Proposal(0, 0, {}, config)])
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    (copied,) = Ledger(f"{new}/abc").proposals
    assert copied.config.members[0].bundle == f"{new}/single/time-1/bundle"
    assert copied.config.start is not None and copied.config.start.bundle == "/another/trials/of/somebody"
    assert copied.config.signature() == config.signature()
    assert Ledger(f"{old}/abc").proposals[0].config == config and os.listdir(new) == os.listdir(old)  # noqa: PTH208


def places() -> dict[str, str]:
    return {e.name: str(storage.local_path(str(e.artifact_location))) for e in client().search_experiments()}


def test_experiments_of_another_home_stay_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two homes share the database that lies in one of them."""
    a, b = tmp_path / "a", tmp_path / "b"
    use(a, monkeypatch)
    run = RunWriter.open("of-a", "run")
    run.text("a.txt", "a")
    run.end()
    before_b = places()
    monkeypatch.setenv(home.TRACKING, f"sqlite:///{a}/mlflow.db")
    use(b, monkeypatch)
    assert places() == before_b, "under B, whose database lies elsewhere, A's stay"
    run = RunWriter.open("of-b", "run")
    run.text("b.txt", "b")
    run.end()
    monkeypatch.delenv(home.TRACKING)
    use(a, monkeypatch)
    found = places()
    assert found["of-b"] == f"{b}/artifacts/of-b" and found["of-a"] == f"{a}/artifacts/of-a"
    assert artifact_bytes(run.run_id, "b.txt") == b"b"
    assert "moved or copied" not in caplog.text


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a run that goes on, and an experiment."""
    place = tmp_path / "old"
    use(place, monkeypatch)
    run = RunWriter.open("music", "run")
    run.text("a.txt", "old")
    run.dataset("music", "1234", f"{place}/data/music", {"train": 3})
    return place


@pytest.mark.parametrize("options", ["", "?timeout=30"])
def test_home_that_was_moved_into_itself(
    options: str, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(old, tmp_path / "moved")
    inner = old / "inner"
    old.mkdir()
    shutil.move(tmp_path / "moved", inner)
    use(inner, monkeypatch)
    if options:
        monkeypatch.setenv(home.TRACKING, f"sqlite:///{inner}/mlflow.db{options}")
    assert places()["music"] == f"{old}/artifacts/music", "the run that goes on may write there still"
    with closing(sqlite3.connect(inner / "mlflow.db")) as db, db:
        db.execute("UPDATE runs SET status = 'FINISHED'")
    for _ in range(2):
        use(inner, monkeypatch)
        assert places()["music"] == f"{inner}/artifacts/music"
    with closing(sqlite3.connect(inner / "mlflow.db")) as db:
        assert db.execute("SELECT dataset_source FROM datasets").fetchall() == [
            (json.dumps({"uri": f"{inner}/data/music"}),)
        ]


def test_who_only_looks_changes_nothing(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(old, copy)
    use(copy, monkeypatch)
    monkeypatch.setattr(moved_home, "_only_looking", True)
    assert places()["music"] == f"{old}/artifacts/music"
    monkeypatch.setattr(moved_home, "_only_looking", False)
    use(copy, monkeypatch)
    assert places()["music"] == f"{copy}/artifacts/music", "a copy leaves its original's running run alone"
