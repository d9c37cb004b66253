"""Recordings for a cluster's nodes, and what an extraction of them comes to that nobody disturbs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import extract as extract_job
from tests.cluster.network import Network
from tests.cluster.nodes import Cluster
from tests.extract_in_process import extract_in_process
from tests.integration.conftest import write_music
from tests.tracking_database import put_database
from tonearm.features.presets import parse_features
from tonearm.features.store import FeatureStore

FEATURE = "mel(n_mels=32,n_fft=1024,hop=512,frames=None)"  # that of tests.integration.spaces
PER_CLASS, CLASSES, SECONDS = 32, 3, 4.0
TRACKS = PER_CLASS * CLASSES
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
