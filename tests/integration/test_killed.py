"""A killed driver loses nothing that was finished."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.integration.conftest import Workplace, kill_group
from tonearm.tracking import query

pytestmark = pytest.mark.integration

SWEEP = ("jobs.sweep", "demo", "--dataset", "music", "--trials", "3", "--epochs", "6")


def ended(home: Path) -> dict[str, int]:
    """The trials that ended, with the modification time of their last weights."""
    marks = sorted(home.glob("trials/*/*/ended.json"))
    return {m.parent.name: (m.parent / "state.pt").stat().st_mtime_ns for m in marks}


def test_killed_sweep_goes_on(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    place.job("jobs.extract", "--dataset", "folder", "--audio", str(place.music))
    driver = place.start(*SWEEP)
    deadline = time.monotonic() + 200
    while not ended(place.home):
        assert driver.poll() is None, driver.stdout.read() if driver.stdout else ""
        assert time.monotonic() < deadline, "no trial ended in 200 s"
        time.sleep(0.2)
    kill_group(driver)
    finished = ended(place.home)
    assert 0 < len(finished) < 3, "the kill came too late to test anything"
    recorded = {p.parent.name: json.loads(p.read_text()) for p in place.home.glob("trials/*/*/history.json")}

    output = place.job(*SWEEP)

    after = ended(place.home)
    assert len(after) == 3
    assert {name: after[name] for name in finished} == finished, "a finished trial was trained again"
    for path in place.home.glob("trials/*/*/history.json"):
        history = json.loads(path.read_text())
        assert [h["epoch"] for h in history] == list(range(1, len(history) + 1))
        before = recorded.get(path.parent.name, [])
        assert history[: len(before)] == before, "epochs that were finished were trained again"
    assert "best on validation" in output
    from tonearm.tracking.log import client

    api = client()
    runs = api.search_runs([api.get_experiment_by_name("music").experiment_id])
    assert {r.info.status for r in runs} == {"FINISHED"}, "a run is left running"
    parent = next(r for r in runs if "mlflow.parentRunId" not in r.data.tags)
    assert len(query.trials_of("music", parent.info.run_id)) == 3
