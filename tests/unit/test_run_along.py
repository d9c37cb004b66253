"""A process that another one has started along with itself does not outlive it, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.architecture.files import ROOT
from tests.servers import wait_until

STEP = """
import sys, time
from pathlib import Path
from jobs.common import cli_errors
with cli_errors():
    Path(sys.argv[1]).write_text("begun")
    time.sleep(600)
"""
PIPELINE = """
import os, sys
from tonearm.core.processes import run_along
print(run_along([sys.executable, "-c", {step!r}, {file!r}], os.environ))
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that runs another one to its end, which has begun."""
    file = tmp_path / "begun"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)])}
    process = subprocess.Popen([sys.executable, "-c", PIPELINE.format(step=STEP, file=str(file))], env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)  # fmt: skip
    try:
        wait_until(lambda: file.exists() or process.poll() is not None, "the step has begun")
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_a_killed_pipeline_leaves_no_step(pipeline: subprocess.Popen[str]) -> None:
    (step,) = psutil.Process(pipeline.pid).children()
    pipeline.kill()
    wait_until(lambda: not step.is_running() or step.status() == psutil.STATUS_ZOMBIE, "the step is over")
    said, _ = pipeline.communicate(timeout=60)
    assert "stopped; what is finished is kept" in said, "the step did not end in order"


def test_one_that_is_asked_to_stop_ends_with_its_step(pipeline: subprocess.Popen[str]) -> None:
    (step,) = psutil.Process(pipeline.pid).children()
    pipeline.terminate()
    pipeline.communicate(timeout=60)
    assert pipeline.returncode == 128 + signal.SIGTERM and not step.is_running()
