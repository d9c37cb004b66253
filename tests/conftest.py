"""What holds for every test: one thread a process, a home of its own; and how tests are dealt to two processes."""

from __future__ import annotations

import logging
import os
import secrets

os.environ["RAY_AUTH_MODE"] = "token"  # every Ray of the tests answers to them alone; read once, when it is imported
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before anything numerical is imported, which reads it once
# What a Ray does beside its work for as long as it runs: figures that no test looks at, idle workers.
for _name, _value in {
    "RAY_enable_metrics_collection": "0", "RAY_metrics_report_interval_ms": "60000",
    "RAY_task_events_report_interval_ms": "0", "RAY_memory_monitor_refresh_ms": "0",
    "REPORTER_UPDATE_INTERVAL_MS": "600000", "SCAN_EVENT_DIR_INTERVAL_SECONDS": "60",
    "RAY_enable_worker_prestart": "0",
}.items():  # fmt: skip
    os.environ.setdefault(_name, _value)

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import pytest  # noqa: E402

from tests.shared_ray import running_ray  # noqa: E402
from tests.tracking_database import put_database  # noqa: E402

#: What takes minutes, the longest first: processes that begin with it end at about the same time.
LONG = ("integration/test_faults.py", "integration/test_sweep_job.py", "integration/test_recipes.py",
        "integration/test_extraction.py", "cluster", "integration", "serve", "gpu")  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in the order in which processes take them, a file at a time."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        path = item.path.relative_to(here).as_posix() if item.path.is_relative_to(here) else ""
        return next((i for i, name in enumerate(LONG) if path.startswith(name)), len(LONG))

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadfile``: the files of ``tests/serve`` go to one process, since they share a server."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/serve" if nodeid.startswith("tests/serve/") else str(super()._split_scope(nodeid))

    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before its fixtures: weights that these draw are the same in every run, whatever ran before in the process."""
    import torch

    torch.manual_seed(0)


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
    _quiet()  # before the test as well: a fixture of the module may have called a job
    yield
    _quiet()


def _quiet() -> None:
    logger = logging.getLogger("tonearm")
    logger.setLevel(logging.NOTSET)
    logger.propagate, logger.handlers = True, []


@pytest.fixture(scope="module")
def one_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that the tests of a module share."""
    home = tmp_path_factory.mktemp("one-home")
    put_database(home)
    return home


@pytest.fixture
def database(one_home: Path, tonearm_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tracking database for the module: making one takes seconds. Each test uses experiments of its own."""
    monkeypatch.setenv("TONEARM_HOME", str(one_home))
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    monkeypatch.chdir(one_home)


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[str]:
    """The address of a private Ray that the tests of this process share; each module leaves it at its end."""
    yield from running_ray()
