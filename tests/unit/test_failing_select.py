"""A selection that fails, or is interrupted, ends only what it has begun."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.builders import tiny_config, toy_tracks
from tonearm.core import storage
from tonearm.core.errors import TonearmError
from tonearm.datasets.manifest import Manifest
from tonearm.sweeps.results import TrialResult
from tonearm.tracking.query import RunSummary, find_runs
from tonearm.training.trial import TrialFolder
from tonearm.workflows import select as selecting
from tonearm.workflows.select import select
from tonearm.workflows.sweep_result import Sweep

pytestmark = pytest.mark.usefixtures("database")


def sweep_without_predictions(signature: str, folder: Path) -> Sweep:
    """A sweep whose only trial has lost what it predicted."""
    history = [{"epoch": 1, "best": 0.5}]
    storage.write_json(f"{folder}/00/bundle/bundle.json", {"metrics": {"epoch": 1}})
    trial = TrialResult(0, "00 simple", tiny_config(), TrialFolder(str(folder / "00")), history, "completed", 0.5)
    return Sweep("lost", signature, Manifest("toy", "sound", tuple(toy_tracks())), {}, (trial,))


def run_of(sweep: Sweep) -> RunSummary:
    (run,) = find_runs(sweep.name)
    return run


def test_the_run_that_a_failing_selection_made_is_failed(tmp_path: Path) -> None:
    sweep = sweep_without_predictions("aaaa1111", tmp_path)
    with pytest.raises((TonearmError, OSError)):
        select(sweep)
    assert run_of(sweep).status == "FAILED"


def test_the_run_that_an_interrupted_selection_made_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(selecting, "_select", interrupted)
    sweep = sweep_without_predictions("bbbb1111", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        select(sweep)
    assert run_of(sweep).status == "KILLED"


@pytest.mark.parametrize("status", ["RUNNING", "FINISHED", "FAILED", "KILLED"])
def test_a_run_that_was_there_stays_as_it_was(status: str, tmp_path: Path) -> None:
    """Also one whose driver was killed: its own command goes on with it."""
    sweep = sweep_without_predictions(f"cccc{status.lower()}", tmp_path)
    run = sweep.open()
    if status != "RUNNING":
        run.end(status)  # type: ignore[arg-type]
    before = run_of(sweep)
    time.sleep(0.01)
    with pytest.raises((TonearmError, OSError)):
        select(sweep)
    after = run_of(sweep)
    assert (after.status, after.ended, after.run_id) == (status, before.ended, before.run_id)
