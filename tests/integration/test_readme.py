"""README's commands as they are written, one after the other, in one home, on a small folder of recordings; and what
its demo leaves behind.

``make demo`` of rendered scores and ``make test`` are expanded, not run: the demo runs with one's own recordings.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders import encode, sounds_like
from tests.integration.conftest import heed_interrupts, kill_group, write_music
from tests.pages import ROOT, blocks, commands
from tonearm.inference import load
from tonearm.tracking import names, query
from tonearm.tracking.log import client

pytestmark = pytest.mark.integration

README = ROOT / "README.md"
EXPANDED = ("make demo", "make test")
LINES = commands(README)
(DEMO,) = [line for line in LINES if "AUDIO=~/Music" in line]
SERVED = [line for line in LINES if line.startswith(("make serve", "clip=", "curl "))]
SHORT = {"ARGS": "--trials 2 --epochs 2"}  # make takes it from the environment; ten trials would take a minute more
NOT_INHERITED = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "PYTHONPATH", "TONEARM_CACHE", "MAKEFLAGS", "MAKEOVERRIDES",
                 "MAKELEVEL", "MFLAGS", "ARGS")  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Somebody with recordings in ``~/Music`` who types what README says; the home is relative, as by default."""

    home: Path
    environment: dict[str, str]

    @property
    def kept(self) -> Path:
        return self.home / ".tonearm"

    def types(self, line: str, where: Path = ROOT, **more: str) -> str:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=where, env=self.environment | more,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=540)  # fmt: skip
        assert done.returncode == 0, f"{line} exited with {done.returncode}:\n{done.stdout[-5000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    if not (ROOT / ".venv" / "bin" / "tonearm").exists():
        assert "TONEARM_CI" not in os.environ, "make install comes first"
        pytest.skip("README is tried where make install was run: .venv/bin/tonearm is not there")
    home = tmp_path_factory.mktemp("person")
    music = home / "Music"
    write_music(music, seconds=31.0)  # a little more than the longest window of a recipe
    files = sorted(p for p in music.rglob("*") if p.is_file())
    table = [f"{p.relative_to(music)},{p.parent.name}" for p in files]
    (music / "tracks.csv").write_text("\n".join(["path,genre", *table]) + "\n")
    shutil.copy(next(music.rglob("*.ogg")), home / "song.ogg")
    ray_folder = tempfile.mkdtemp(prefix="tn", dir="/tmp")  # short: Ray's sockets lie there
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "HOME": str(home), "TONEARM_HOME": os.path.relpath(home / ".tonearm", ROOT),
                   "RAY_TMPDIR": ray_folder, "PATH": path, "PYTHONUNBUFFERED": "1"}  # fmt: skip
    for name in NOT_INHERITED:
        environment.pop(name, None)
    yield Person(home, environment)
    shutil.rmtree(ray_folder, ignore_errors=True)


@pytest.fixture
def at_home(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, too, finds what the person has made."""
    monkeypatch.setenv("TONEARM_HOME", str(person.kept))


@pytest.fixture(scope="module")
def demo(person: Person) -> str:
    return person.types(DEMO, **SHORT)


def results(folder: Path) -> dict[str, int]:
    """The trials' and features' files with their modification times."""
    kept = [p for sub in ("trials", "features") for p in (folder / sub).rglob("*") if p.is_file()]
    # Ray's own files, and who drives a sweep, are no results.
    return {str(p): p.stat().st_mtime_ns for p in kept
            if "ray" not in p.relative_to(folder).parts and p.name != "driver.json"}  # fmt: skip


# --- the demo


def test_summary(person: Person, demo: str) -> None:
    assert "registered as tonearm-music version 1" in demo and "test F1 micro" in demo
    assert "majority class" in demo and "chance" in demo and "similarity" in demo and "truth" in demo
    summary = json.loads((person.kept / "reports" / "music" / "summary.json").read_text())
    assert summary["tracks"] == 30
    assert set(summary["seconds"]) and len(summary["seconds"]) == 7 and "blocks at once" in demo
    f1 = summary["test"]["intervals"]["f1_micro"]
    assert 0 <= f1["low"] <= f1["value"] <= 1
    assert len(summary["answer"]["neighbours"]) == 5
    for plot in ("sweep.png", "confusion_test.png"):
        assert (person.kept / "reports" / "music" / plot).read_bytes()[:4] == b"\x89PNG"


def test_bad_files_are_set_aside_and_counted(demo: str) -> None:
    assert "set aside: 3" in demo
    for reason in ("undecodable", "empty"):
        assert reason in demo


@pytest.mark.usefixtures("at_home")
def test_runs_are_nested_and_complete(demo: str) -> None:
    api = client()
    runs = api.search_runs([api.get_experiment_by_name("music").experiment_id])
    whole = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    (parent,) = [r for r in whole if names.SWEEP in r.data.tags]
    trainings = [r for r in whole if names.TRAINING in r.data.tags]
    assert len(whole) == 3 and len(trainings) == 2, "what the demo listens with: of the one split, and in folds"
    trials = [c for c in query.child_runs(parent.info.run_id) if not c.name.startswith("ensemble ")]
    assert [t.status for t in trials] == ["FINISHED", "FINISHED"]
    for trial in trials:
        for key in ("optim.lr", "optim.batch_size", "feature.n_fft", "model.kind", "dataset.data_signature", "seed"):
            assert key in trial.params
        for tag in ("tonearm.data_signature", "tonearm.feature_signature", "tonearm.seed", "tonearm.commit"):
            assert trial.tags[tag]
        epochs = {m.step for m in api.get_metric_history(trial.run_id, "epoch/validation_f1_micro")}
        assert epochs == set(range(1, int(trial.metrics["epochs"]) + 1))
        artifacts = {a.path for a in api.list_artifacts(trial.run_id)}
        assert {"learning_curves.png", "confusion_validation.png", "predictions", "bundle"} <= artifacts


def test_the_ensemble_is_compared_with_its_members(person: Person, demo: str) -> None:
    summary = json.loads((person.kept / "reports" / "music" / "summary.json").read_text())
    page = person.kept / "reports" / "compared"
    compared = person.types(f"tonearm compare demo- --out {page}", COLUMNS="120")
    (line,) = [line for line in compared.splitlines() if "ensemble of 0" in line]
    assert f"{summary['ensemble']['intervals']['f1_micro']['value']:.3f}" in line
    assert len([line for line in compared.splitlines() if " simple " in line or " time " in line]) >= 2
    assert (page / "comparison.html").exists()


@pytest.mark.usefixtures("at_home")
def test_champion_answers(person: Person, demo: str) -> None:
    assert query.last_promoted() == "tonearm-music"
    prediction = load(query.champion_uri("music")).predict(str(person.home / "Music" / "noise" / "0.ogg"))
    assert prediction.labels == ("bass", "flute", "noise")
    assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_second_run_says_that_it_is_finished(person: Person, demo: str) -> None:
    before = results(person.kept)
    again = person.types(DEMO, **SHORT)
    assert again.startswith("this demo is finished, and nothing has changed since")
    assert demo.endswith(again.split("it came to:\n")[1]) and "test F1 micro" in again
    assert "Catalogue:" not in again and results(person.kept) == before


def test_the_whole_way_recomputes_nothing(person: Person, demo: str) -> None:
    before = results(person.kept)
    (person.home / "Music" / "noise" / "0.ogg").touch()  # so that it is not known to be finished
    again = person.types(DEMO, **SHORT)
    assert "0 tracks extracted now" in again
    assert results(person.kept) == before
    first = json.loads((person.kept / "reports" / "music" / "summary.json").read_text())
    assert f"{first['test']['intervals']['f1_micro']['value']:.3f}" in demo


# --- the other commands


def test_commands(person: Person, demo: str) -> None:
    printed = {}
    for line in LINES:
        if line != DEMO and line not in SERVED:
            printed[line] = person.types(line.replace("make ", "make -n ", 1) if line in EXPANDED else line)
    assert "music" in printed["tonearm ls"] and "nothing" in printed["tonearm status"]
    assert "time_mel" in printed["tonearm train --list"] and "demo_grid" in printed["tonearm sweep --list"]


def test_added_file_is_extracted_alone(person: Person, demo: str) -> None:
    added = person.home / "Music" / "noise" / "new.ogg"
    added.write_bytes(encode(sounds_like("noise", 999, 31.0), container="OGG"))
    with (person.home / "Music" / "tracks.csv").open("a") as table:
        table.write("noise/new.ogg,noise\n")
    (line,) = [line for line in LINES if "tonearm extract" in line]
    assert "1 tracks extracted now" in person.types(line)


def test_server(person: Person, demo: str) -> None:
    asks = [line for line in SERVED if line.startswith(("clip=", "curl "))]
    server = subprocess.Popen(["make", "serve"], cwd=ROOT, env=person.environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=heed_interrupts)  # fmt: skip
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith("serving "):
                break
        answers = person.types("\n".join([asks[0], *(f"{line} --fail --silent" for line in asks[1:])]))
        assert "probabilities" in answers and "neighbours" in answers
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=60)
    finally:
        if server.poll() is None:
            kill_group(server)


def test_notebook(person: Person, tmp_path: Path) -> None:
    (code,) = blocks(README, "python")
    script = tmp_path / "notebook.py"
    script.write_text(code)
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {name: value for name, value in person.environment.items() if name != "TONEARM_HOME"}
    shutil.copy(person.home / "song.ogg", empty / "song.ogg")
    done = subprocess.run([sys.executable, str(script)], cwd=empty, env=environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=540)  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    assert sorted(p.name for p in empty.iterdir()) == [".tonearm", "report.html", "song.ogg"]
