"""SIGTERM to a job ends what it has started, and its runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.architecture.files import ROOT
from tests.integration.conftest import Workplace
from tests.integration.test_cluster import free_ports
from tests.integration.test_train_job import LONG, kill_group, of_data
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


def test_terminated_training_leaves_no_run_running(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = place.start("jobs.train", *LONG, "--data", str(place.music), "--name", "terminated", joins=True)
    try:
        deadline = time.monotonic() + 400
        while not (begun := of_data(place, "terminated")) or not begun[0].history():
            assert driver.poll() is None, driver.stdout.read() if driver.stdout else ""
            assert time.monotonic() < deadline, "no epoch in 400 s"
            time.sleep(0.02)
        driver.terminate()
        output, _ = driver.communicate(timeout=120)
    finally:
        if driver.poll() is None:
            kill_group(driver)
    assert driver.returncode == 128 + signal.SIGTERM, output
    assert "stopped; what is finished is kept" in output and "Traceback" not in output
    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    from tonearm.tracking.log import client

    api = client()
    runs = api.search_runs([api.get_experiment_by_name("terminated").experiment_id])
    assert {r.info.status for r in runs} == {"KILLED"} and len(runs) == 2
