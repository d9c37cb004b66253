"""SIGTERM to a job that starts servers ends them, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.architecture.files import ROOT
from tests.integration.test_cluster import free_ports
from tests.serve.conftest import write_model
from tests.servers import PATIENCE, wait_until

pytestmark = pytest.mark.integration


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def started(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All that a process has started, however deep."""
    return psutil.Process(process.pid).children(recursive=True)


def is_over(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("job", ["jobs.mlflow_ui", "jobs.serve"])
def test_sigterm_ends_the_server(job: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/{'healthz' if job == 'jobs.serve' else 'health'}"
    arguments = ["--port", str(port)]
    if job == "jobs.serve":
        arguments += ["--model", write_model(tmp_path / "model")]
    environment = {**os.environ, "TONEARM_HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    process = subprocess.Popen([sys.executable, "-m", job, *arguments], cwd=ROOT, env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    children: list[psutil.Process] = []
    try:
        wait_until(lambda: process.poll() is not None or answers(url), "the server answers")
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        children = started(process)
        assert children
        process.terminate()
        output, _ = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in output
        wait_until(lambda: all(is_over(child) for child in children), "all that the job has started is over")
        assert not answers(url)
    finally:
        for left in children:
            if not is_over(left):
                left.kill()
        process.kill()
        process.wait(timeout=PATIENCE)
