"""Signals that end a job in order, and locks that are renewed while it runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from search_spaces import find_space
from tonearm.core import lock, storage
from tonearm.core.errors import JobError
from tonearm.core.lock import FILE, DriverLock
from tonearm.datasets.manifest import Manifest
from tonearm.workflows.sweep_plan import plan_sweep, sweep_signature
from tonearm.workflows.sweep_result import sweep_folder

JOB = """
import time
from jobs.common import cli_errors
with cli_errors():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("in order", flush=True)
"""


def _default_signals() -> None:
    """A test that runs under nohup, or in the background of a shell, ignores what its children must heed."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ended_by(number: signal.Signals, before: str = "") -> tuple[int, str]:
    """Exit code and output of a job that gets a signal while it works."""
    job = subprocess.Popen([sys.executable, "-c", before + JOB], stdout=subprocess.PIPE, text=True,
                           preexec_fn=_default_signals)  # fmt: skip
    try:
        assert job.stdout is not None and job.stdout.readline() == "ready\n"
        job.send_signal(number)
        if before:  # it is ignored: end it otherwise
            time.sleep(0.3)
            assert job.poll() is None
            job.send_signal(signal.SIGTERM)
        rest = job.stdout.read()
        return job.wait(30), rest
    finally:
        job.kill()
        job.wait()


def test_signals_end_a_job_in_order() -> None:
    assert ended_by(signal.SIGTERM) == (128 + signal.SIGTERM, "in order\n")
    assert ended_by(signal.SIGHUP) == (128 + signal.SIGHUP, "in order\n")
    assert ended_by(signal.SIGINT) == (128 + signal.SIGINT, "in order\n")


def test_what_nohup_ignores_stays_ignored() -> None:
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    assert ended_by(signal.SIGHUP, ignoring) == (128 + signal.SIGTERM, "in order\n")


def test_lock_is_renewed_after_a_store_was_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, calls = storage.write_json, list[str]()

    def away_once(uri: str, value: Mapping[str, object]) -> None:
        calls.append(uri)
        if len(calls) == 2:
            raise OSError("the store is away")
        write(uri, value)

    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(storage, "write_json", away_once)
    with DriverLock(str(tmp_path)):
        for _ in range(1000):
            if len(calls) >= 4:
                break
            time.sleep(0.01)
        assert len(calls) >= 4 and (tmp_path / FILE).exists()


def test_stages_before_a_sweep_are_trained_by_one_driver(tonearm_home: Path) -> None:
    space = find_space("time_freq_mel")
    data = {"": Manifest("music", "genre", ())}
    with (
        DriverLock(sweep_folder(sweep_signature(space, data, ()))),
        pytest.raises(JobError, match="the sweep is being run since"),
    ):
        plan_sweep("time_freq_mel", space, data)
