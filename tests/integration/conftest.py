"""Jobs as a user runs them, with a home of their own: as processes, or called in this one."""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.builders import CLASSES, encode, sounds_like
from tests.shared_ray import driver_environment, leave_ray
from tests.tracking_database import put_database

ROOT = Path(__file__).parents[2]
SECONDS = 12.0  # a little more than one window of the demo's search space


@dataclass(frozen=True)
class Workplace:
    """A home, and a folder of recordings with some that are none.

    Attributes
    ----------
    environment
        Of jobs that are processes: each starts a private Ray.
    shared
        Of jobs in this process: they join the Ray that all tests share.
    """

    home: Path
    music: Path
    environment: dict[str, str]
    shared: dict[str, str]

    def job(self, module: str, *arguments: str, check: bool = True, timeout: float = 540, joins: bool = False) -> str:
        """Run ``python -m module arguments``, as :meth:`start` does, to its end; its output."""
        environment = {**self.environment, **(self.shared if joins else {})}
        done = subprocess.run(self.command(module, *arguments), cwd=ROOT, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)  # fmt: skip
        if check and done.returncode != 0:
            pytest.fail(f"{module} {' '.join(arguments)} exited with {done.returncode}:\n{done.stdout[-5000:]}")
        return done.stdout

    def here(self, main: Callable[..., None], *arguments: str) -> tuple[int, str]:
        """Run a job's ``main`` in this process, as its command line would: exit code and output."""
        app = typer.Typer()
        app.command()(main)
        job = sys.modules[main.__module__]
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            for name, value in self.shared.items():
                patch.setenv(name, value)
            for name in ("limit_threads", "keep_large_memory"):  # what would stay for other tests
                patch.setattr(job, name, lambda *a: None, raising=False)
            result = CliRunner().invoke(app, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result.exit_code, result.output

    def call(self, module: str, *arguments: str, check: bool = True) -> str:
        """What :meth:`job` does, in this process; its output."""
        code, output = self.here(importlib.import_module(module).main, *arguments)
        if check and code != 0:
            pytest.fail(f"{module} {' '.join(arguments)} exited with {code}:\n{output[-5000:]}")
        return output

    def start(self, module: str, *arguments: str, joins: bool = False) -> subprocess.Popen[str]:
        """Start a job in a process group of its own; it joins the Ray that all tests share, or starts a private one."""
        environment = {**self.environment, **(self.shared if joins else {})}
        return subprocess.Popen(self.command(module, *arguments), cwd=ROOT, env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                preexec_fn=heed_interrupts)  # fmt: skip

    def command(self, module: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", module, *arguments]


def heed_interrupts() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def write_music(folder: Path, per_class: int = 10, seconds: float = SECONDS) -> None:
    """Recordings in a folder a class, and three files that are none; the same files for each call of a process."""
    shutil.copytree(_music(per_class, seconds), folder)


@functools.cache
def _music(per_class: int, seconds: float) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tonearm-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for i in range(per_class):
            (folder / label / f"{i}.ogg").write_bytes(
                encode(sounds_like(label, 100 * CLASSES.index(label) + i, seconds), container="OGG")
            )
    whole = encode(sounds_like("flute", 7, SECONDS), container="FLAC")
    (folder / "bass" / "text.mp3").write_text("this is no music")
    (folder / "flute" / "empty.wav").write_bytes(b"")
    (folder / "flute" / "truncated.flac").write_bytes(whole[: len(whole) // 100])
    return folder


def workplace(root: Path, address: str, fresh: bool = False) -> Iterator[Workplace]:
    """A workplace below a folder, whose jobs in this process join the Ray at an address.

    If it is fresh, its first job makes the tracking database, as a user's does.
    """
    ray_folder = tempfile.mkdtemp(prefix="tn", dir="/tmp")  # short: Ray's sockets lie there
    environment = {
        **os.environ,
        "TONEARM_HOME": str(root / "home"),
        "TONEARM_CACHE": str(root / "cache"),
        "RAY_TMPDIR": ray_folder,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "120",
    }
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        environment.pop(name, None)
    write_music(root / "music")
    if not fresh:
        put_database(root / "home")
    shared = driver_environment(address, root / "home", root / "cache")
    yield Workplace(root / "home", root / "music", environment, shared)
    leave_ray()
    shutil.rmtree(ray_folder, ignore_errors=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared_ray: str) -> Iterator[Workplace]:
    """A workplace that the tests of a module share, in their order."""
    yield from workplace(tmp_path_factory.mktemp("place"), shared_ray)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a job and all that it started, at once, as a power cut would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
