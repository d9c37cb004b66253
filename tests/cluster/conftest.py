"""Recordings for a cluster's nodes, and what an extraction of them comes to that nobody disturbs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from jobs import extract as extract_job
from tests.cluster.network import Machine, Network
from tests.cluster.nodes import Cluster
from tests.extract_in_process import extract_in_process
from tests.integration.conftest import write_music
from tests.servers import PATIENCE
from tests.tracking_database import put_database
from tonearm.features.presets import parse_features
from tonearm.features.store import FeatureStore
from tonearm.pipelines.extract import TRACKS_A_PART

FEATURE = "mel(n_mels=32,n_fft=1024,hop=512,frames=None)"  # that of tests.integration.spaces
PER_CLASS, CLASSES, SECONDS = 32, 3, 4.0
TRACKS = PER_CLASS * CLASSES
BATCHES = TRACKS // TRACKS_A_PART
OPTIONS = ("--dataset", "folder", "--features", FEATURE, "--seconds", "10", "--min-seconds", "3")


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a short path: Ray's sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="tn", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def recordings(short_folder: Path) -> Path:
    """A folder a class."""
    write_music(short_folder / "music", PER_CLASS, SECONDS)
    return short_folder / "music"


def extraction(recordings: Path) -> tuple[str, ...]:
    """The job, and its arguments."""
    return ("jobs.extract", *OPTIONS, "--audio", str(recordings))


@pytest.fixture(scope="session")
def expected(recordings: Path, short_folder: Path) -> dict[str, bytes]:
    """The values of every track, by its key, computed in this process."""
    import typer
    from typer.testing import CliRunner

    app = typer.Typer()
    app.command()(extract_job.main)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(short_folder / "undisturbed"))
        patch.setenv("TONEARM_CACHE", str(short_folder / "undisturbed-cache"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        put_database(short_folder / "undisturbed")
        for name in ("limit_threads", "keep_large_memory"):  # what would stay for other tests
            patch.setattr(extract_job, name, lambda *a: None, raising=False)
        extract_in_process(patch)
        result = CliRunner().invoke(app, extraction(recordings)[1:])
    assert result.exit_code == 0, result.output
    found = values(short_folder / "undisturbed")
    assert len(found) == TRACKS
    return found


def values(home: Path | str) -> dict[str, bytes]:
    """The stored values of each track, by its key."""
    (feature,) = parse_features(FEATURE)
    store = FeatureStore(f"{home}/features/{feature.store_name()}")
    return {key: store.read(key).values.tobytes() for key in store}


def parts(home: Path) -> int:
    """How many parts were written; they are joined in the end."""
    return len(list((home / "features").glob("*/parts/*.npy")))


def workers(machine: Machine) -> list[psutil.Process]:
    """The extraction's workers on a machine."""
    return machine.processes("Extractor")


def at_work(machine: Machine) -> bool:
    """Whether one of them has tracks in its hands: Ray writes the method that runs into the process's title."""
    return bool(machine.processes("Extractor)).submit"))


@contextmanager
def midway(made: Cluster, driver: subprocess.Popen[str], home: Path, *on: Machine) -> Iterator[None]:
    """A moment at which something is written, something is not, and workers of these machines have tracks in hand.

    All workers stand still in it, and go on behind it: else a quick machine would be through before its end.
    """
    deadline = time.monotonic() + PATIENCE
    machines = made.network.machines
    try:
        while True:
            assert driver.poll() is None, f"it ended before: {driver.stdout.read() if driver.stdout else ''}"
            assert time.monotonic() < deadline, f"not midway within {PATIENCE:.0f} s: {parts(home)} parts"
            if parts(home):
                _each(machines, "suspend", lambda m: m not in on or at_work(m))
                if all(map(at_work, on)):  # those that stand still stay so
                    break
                _each(machines, "resume", lambda m: m in on and not at_work(m))
            time.sleep(0.005)
        assert parts(home) < BATCHES, "all was written before anything could be done to it"
        yield
    finally:
        _each(machines, "resume", lambda m: True)


def _each(machines: Sequence[Machine], action: str, chosen: Callable[[Machine], bool]) -> None:
    """Let the workers of some machines stand still, or go on."""
    for process in (p for machine in machines if chosen(machine) for p in workers(machine)):
        with suppress(psutil.Error):
            getattr(process, action)()


def fresh_home(made: Cluster, name: str) -> Path:
    """A home of its own for one test, which all drivers that are started next use."""
    home = made.network.folder / name
    put_database(home)
    made.home = home
    for machine in made.network.machines:
        machine.environment["TONEARM_HOME"] = str(home)
    return home


def say_if_not_isolated(network: Network) -> None:
    """Told in the summary of warnings: what was tested is less than it seems."""
    import warnings

    if not network.isolated:
        warnings.warn("no network namespaces here: the nodes are processes of one machine", stacklevel=2)
