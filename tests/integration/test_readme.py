"""README's commands as they are written, one after the other, in one home, on a small folder of recordings.

``make demo`` and ``make test`` are what CI and ``test_demo`` run; here they are expanded, not run.
"""

from __future__ import annotations

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

from tests.integration.conftest import kill_group, write_music
from tests.pages import ROOT, blocks, commands

pytestmark = pytest.mark.integration

README = ROOT / "README.md"
EXPANDED = ("make demo", "make test")


@dataclass(frozen=True)
class Person:
    """Somebody with recordings in ``~/Music`` who types what README says."""

    home: Path
    environment: dict[str, str]

    def types(self, line: str, where: Path = ROOT) -> str:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=where, env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=540)  # fmt: skip
        assert done.returncode == 0, f"{line} exited with {done.returncode}:\n{done.stdout[-5000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    if not (ROOT / ".venv" / "bin" / "tonearm").exists():
        assert "TONEARM_CI" not in os.environ, "make install comes first"
        pytest.skip("README is tried where make install was run: .venv/bin/tonearm is not there")
    home = tmp_path_factory.mktemp("person")
    write_music(home / "Music", seconds=31.0)  # a little more than the longest window of a recipe
    table = [f"{p.relative_to(home / 'Music')},{p.parent.name}" for p in sorted((home / "Music").rglob("*.ogg"))]
    (home / "Music" / "tracks.csv").write_text("\n".join(["path,genre", *table]) + "\n")
    shutil.copy(next((home / "Music").rglob("*.ogg")), home / "song.ogg")
    ray_folder = tempfile.mkdtemp(prefix="tn", dir="/tmp")  # short: Ray's sockets lie there
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "HOME": str(home), "TONEARM_HOME": str(home / ".tonearm"), "RAY_TMPDIR": ray_folder,
                   "PATH": path, "PYTHONUNBUFFERED": "1"}  # fmt: skip
    for name in (
        "MLFLOW_TRACKING_URI",
        "RAY_ADDRESS",
        "PYTHONPATH",
        "TONEARM_CACHE",
        "MAKEFLAGS",
        "MAKEOVERRIDES",
        "ARGS",
    ):
        environment.pop(name, None)
    yield Person(home, environment)
    shutil.rmtree(ray_folder, ignore_errors=True)


def test_commands(person: Person) -> None:
    served = [line for line in commands(README) if line.startswith(("make serve", "clip=", "curl "))]
    printed = {}
    for line in commands(README):
        if line not in served:
            printed[line] = person.types(line.replace("make ", "make -n ", 1) if line in EXPANDED else line)
    demo = next(text for line, text in printed.items() if "AUDIO=~/Music" in line)
    assert "registered as tonearm-music version 1" in demo and "test F1 micro" in demo
    assert "music" in printed["tonearm ls"] and "nothing" in printed["tonearm status"]
    assert "time_mel" in printed["tonearm train --list"] and "demo_grid" in printed["tonearm sweep --list"]


def test_server(person: Person) -> None:
    asks = [line for line in commands(README) if line.startswith(("clip=", "curl "))]
    server = subprocess.Popen(["make", "serve"], cwd=ROOT, env=person.environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
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
