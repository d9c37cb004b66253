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

ROOT = Path(__file__).parents[1]
HEAD = """
import sys

import ray

started = ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=200 * 2**20,
                   log_to_driver=False, _temp_dir=sys.argv[1])
node = ray._private.worker._global_node
node.kill_log_monitor()  # it looks ten times a second for messages that nobody prints, this one for a larger cluster
node.kill_monitor()
print(started.address_info["gcs_address"], flush=True)
sys.stdin.read()  # until it is closed
"""


def driver_environment(address: str, home: Path, cache: Path) -> dict[str, str]:
    """What a driver needs to join the Ray at an address, as a job on a cluster does; its workers know its places."""
    workers = {"TONEARM_HOME": str(home), "TONEARM_CACHE": str(cache)}
    return {
        **workers,
        "RAY_ADDRESS": address,
        "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"runtime_env": {"env_vars": workers}}),
    }


def running_ray() -> Iterator[str]:
    """The address of a Ray of two cores, for as long as a fixture lasts; it ends with this process, too."""
    folder = Path(tempfile.mkdtemp(prefix="tn", dir="/tmp"))  # short: Ray's sockets lie there
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)]),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
    }
    environment.pop("RAY_ADDRESS", None)
    with (folder / "log").open("w") as log:
        head = subprocess.Popen([sys.executable, "-c", HEAD, str(folder)], cwd=ROOT, env=environment, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                start_new_session=True)  # fmt: skip
    try:
        assert head.stdout is not None
        address = head.stdout.readline().strip()
        assert address, (folder / "log").read_text()
        yield address
    finally:
        end_ray(head)
        shutil.rmtree(folder, ignore_errors=True)


def end_ray(head: subprocess.Popen[str]) -> None:
    """End a process and the Ray that it has started, at once: nobody waits for its work."""
    started = psutil.Process(head.pid).children(recursive=True) if head.poll() is None else []
    for process in (head, *started):
        with suppress(psutil.Error):
            process.kill()
    head.wait(timeout=40)


def leave_ray() -> None:
    """Disconnect this process from Ray, which goes on: the next tests join it with a home of their own."""
    if "ray" in sys.modules:
        import ray

        ray.shutdown()
