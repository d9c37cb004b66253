"""One private Ray for all tests of a process: starting one takes seconds, joining it none.

Tests that kill drivers, workers or nodes have one of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from tests.servers import free_port, wait_until

ROOT = Path(__file__).parents[1]


def driver_environment(address: str, home: Path, cache: Path) -> dict[str, str]:
    """What a driver needs to join the Ray at an address, as a job on a cluster does; its workers know its places."""
    workers = {"TONEARM_HOME": str(home), "TONEARM_CACHE": str(cache)}
    return {
        **workers,
        "RAY_ADDRESS": address,
        "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"runtime_env": {"env_vars": workers}}),
    }


def running_ray() -> Iterator[str]:
    """The address of a Ray of two cores, for as long as a fixture lasts. It has no token, since a process that has
    imported Ray reads none any more: it listens on this machine alone."""
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="tn", dir="/tmp"))  # short: Ray's sockets lie there
    command = [
        str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1",
        f"--port={port}", f"--dashboard-agent-listen-port={free_port()}", "--include-dashboard=false", "--num-cpus=2",
        "--object-store-memory=200000000", f"--temp-dir={folder}", "--disable-usage-stats",
    ]  # fmt: skip
    environment = {
        **os.environ,
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)]),
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        "RAY_AUTH_MODE": "disabled",
    }
    with (folder / "log").open("w") as log:
        head = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment, text=True,
                                start_new_session=True)  # fmt: skip
    try:
        _wait(head, folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        end_ray(head)
        shutil.rmtree(folder, ignore_errors=True)


def end_ray(head: subprocess.Popen[str]) -> None:
    """End what ``ray start --block`` has started, at once: nobody waits for its work."""
    started = psutil.Process(head.pid).children(recursive=True) if head.poll() is None else []
    for process in (head, *started):
        with suppress(psutil.Error):
            process.kill()
    head.wait(timeout=40)


def _wait(head: subprocess.Popen[str], log: Path) -> None:
    wait_until(lambda: head.poll() is not None or "Ray runtime started" in log.read_text(), f"Ray started, see {log}")
    assert head.poll() is None, log.read_text()


def leave_ray() -> None:
    """Disconnect this process from Ray, which goes on: the next tests join it with a home of their own."""
    if "ray" in sys.modules:
        import ray

        ray.shutdown()
