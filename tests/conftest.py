"""What holds for every test: one thread a process, and a home of its own."""

from __future__ import annotations

import logging
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before anything numerical is imported, which reads it once

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402


@pytest.fixture(autouse=True)
def tonearm_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that no other test shares, and no tracking server from outside."""
    home = tmp_path / "tonearm-home"
    monkeypatch.setenv("TONEARM_HOME", str(home))
    monkeypatch.setenv("TONEARM_CACHE", str(tmp_path / "tonearm-cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return home


@pytest.fixture(autouse=True)
def library_log() -> Iterator[None]:
    """Jobs configure how the library's messages are printed: what one test sets must not reach the next."""
    logger = logging.getLogger("tonearm")
    before = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.setLevel(before[0])
    logger.propagate, logger.handlers = before[1], before[2]


@pytest.fixture(scope="module")
def one_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that the tests of a module share."""
    return tmp_path_factory.mktemp("one-home")


@pytest.fixture
def database(one_home: Path, tonearm_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tracking database for the module: making one takes seconds. Each test uses experiments of its own."""
    monkeypatch.setenv("TONEARM_HOME", str(one_home))
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    monkeypatch.chdir(one_home)
