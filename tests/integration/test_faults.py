"""Whatever dies in the middle of a sweep: it is completed, nothing finished is trained again, and the result is the
same as that of a sweep that nobody disturbed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Workplace, kill_group
from tests.integration.quick_sweep import (
    EPOCHS,
    ONE_AT_A_TIME,
    PATIENCE,
    TRIALS,
    Figures,
    ended,
    extract,
    figures,
    folder_of,
    midway,
    number_of,
    output_of,
    patience,
    require_complete,
    run_name,
    sweep,
    trainers,
    trials,
    wait,
)
from tests.servers import TrackingServer, missing, running_server
from tonearm.sweeps.ledger import Ledger
from tonearm.tracking import query
from tonearm.training.trial_places import TrialPlaces

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def tracking(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place.home))


@pytest.fixture(scope="module")
def undisturbed(place: Workplace) -> Figures:
    extract(place)
    place.call(*sweep(0))
    found = figures(place, 0)
    assert len(found) == TRIALS and all(len(history) == EPOCHS for history, _, _ in found.values())
    return found


def test_sweep_that_nobody_disturbs(place: Workplace, undisturbed: Figures) -> None:
    require_complete(place, 0, undisturbed)
    before = ended(place, 0)
    again = place.call(*sweep(0, "--resume"))
    assert "best on validation" in again
    assert ended(place, 0) == before, "a finished trial was trained again"


def test_killed_trial(place: Workplace, undisturbed: Figures) -> None:
    driver = place.start(*sweep(1))
    wait(driver, lambda: midway(place, 1) and bool(trainers(driver)), "a trial was midway")
    killed = trainers(driver)
    for process in killed:
        process.kill()
    output_of(driver)
    assert killed
    require_complete(place, 1, undisturbed)


def test_killed_driver(place: Workplace, undisturbed: Figures) -> None:
    driver = place.start(*sweep(2, *ONE_AT_A_TIME))
    wait(driver, lambda: bool(ended(place, 2)) and midway(place, 2), "a trial had ended and another was midway")
    kill_group(driver)
    finished = ended(place, 2)
    assert 0 < len(finished) < TRIALS, "the kill came too late to test anything"
    recorded = {name: t.history() for name, t in trials(place, 2).items()}
    (parent,) = [r for r in query.find_runs(run_name(place, 2)) if r.parent is None]
    assert parent.status == "RUNNING"

    place.call(*sweep(2, "--resume", *ONE_AT_A_TIME))

    require_complete(place, 2, undisturbed)
    after = ended(place, 2)
    assert {name: after[name] for name in finished} == finished, "a finished trial was trained again"
    for name, history in recorded.items():
        assert trials(place, 2)[name].history()[: len(history)] == history, "finished epochs were trained again"


def test_killed_driver_of_a_sweep_that_stops_trials_early(place: Workplace, undisturbed: Figures) -> None:
    """One trial at a time: then who is stopped does not hang on who comes first."""
    command = ("tests.integration.spaces:halving", "--dataset", "music", *ONE_AT_A_TIME)
    place.call("jobs.sweep", *command, "--seed", "10", *patience(10))
    expected = figures(place, 10)
    assert 0 < sum(len(history) < EPOCHS for history, _, _ in expected.values()) < len(expected)
    again = ("jobs.sweep", *command, "--seed", "11", *patience(11))
    driver = place.start(*again)
    wait(driver, lambda: len(ended(place, 11)) >= 2 and len(ended(place, 11)) < len(expected), "two trials had ended")
    kill_group(driver)
    finished = ended(place, 11)
    place.call(*again, "--resume")
    assert figures(place, 11) == expected
    assert {name: ended(place, 11)[name] for name in finished} == finished, "a finished trial was trained again"


def test_second_driver_is_refused(place: Workplace, undisturbed: Figures) -> None:
    driver = place.start(
        *sweep(6, "--epochs", "2000", *ONE_AT_A_TIME), joins=True
    )  # so long that it still runs when the second one comes
    wait(driver, lambda: midway(place, 6), "a trial was midway")
    refused = place.call(*sweep(6, "--epochs", "2000", "--resume"), check=False)
    assert "the sweep is being run since" in refused and f"by process {driver.pid} on" in refused
    (parent,) = [r for r in query.find_runs(run_name(place, 6)) if r.parent is None]
    assert parent.status == "RUNNING", "the second one has ended the first one's run"
    kill_group(driver)


def test_nothing_to_resume_is_an_error(place: Workplace, undisturbed: Figures) -> None:
    output = place.call(*sweep(99, "--resume"), check=False)
    assert "there is nothing to resume" in output and "leave resume out to begin it" in output


# --- the tracking server


@pytest.fixture
def server(place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingServer]:
    for running in running_server(tmp_path):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.uri)
        monkeypatch.setitem(place.environment, "MLFLOW_TRACKING_URI", running.uri)
        yield running


def test_killed_tracking_server(place: Workplace, undisturbed: Figures, server: TrackingServer) -> None:
    driver = place.start(*sweep(3), joins=True)
    wait(driver, lambda: midway(place, 3), "a trial was midway")
    server.kill()
    wait(driver, lambda: len(ended(place, 3)) >= 2, "two trials ended without a server")
    server.start()
    output = output_of(driver)
    assert "does not answer" in output and "answers again" in output
    require_complete(place, 3, undisturbed)


# --- trials that cannot work


def test_trial_without_disk_space_fails_alone(place: Workplace, undisturbed: Figures) -> None:
    """Its folder is a file system of 40 kB; with more space the same command completes it."""
    victim = sorted(undisturbed)[1]
    (config,) = [p.config for p in Ledger(str(folder_of(place, 0))).proposals if f"{p.index:02d}" == victim]
    trial = TrialPlaces(str(place.home / "trials")).folder(config.replace({"optim.patience": PATIENCE + 4}))
    full = Path(trial.uri)
    full.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(full)]
    if subprocess.run(mount, capture_output=True).returncode:
        missing("root's right to mount a small file system")
    try:
        output = place.call(*sweep(4))
        assert "No space left on device" in output and "1 of 4 trials failed" in output
        (parent,) = [r for r in query.find_runs(run_name(place, 4)) if r.parent is None]
        by_name = {number_of(r): r for r in query.child_runs(parent.run_id)}
        assert by_name[victim].status == "FAILED" and "No space left" in by_name[victim].tags["tonearm.error"]
        assert [r.status for n, r in by_name.items() if n != victim] == ["FINISHED"] * (TRIALS - 1)
    finally:
        subprocess.run(["umount", str(full)], check=True)
    place.call(*sweep(4, "--resume"))
    require_complete(place, 4, undisturbed)
    run = next(r for r in query.child_runs(parent.run_id) if number_of(r) == victim)
    assert not run.tags.get("tonearm.error")


def test_trial_without_memory_fails_alone(place: Workplace, undisturbed: Figures) -> None:
    output = place.call("jobs.sweep", "tests.integration.spaces:too_large", "--dataset", "music")
    assert "can't allocate memory" in output and "1 of 3 trials failed" in output
    (parent,) = query.find_runs("too_large-")
    statuses = [r.status for r in query.child_runs(parent.run_id)]
    assert statuses == ["FINISHED", "FAILED", "FINISHED"] and parent.status == "FINISHED"


def test_ctrl_c_leaves_no_run_running(place: Workplace, undisturbed: Figures) -> None:
    driver = place.start(*sweep(5), joins=True)
    wait(driver, lambda: midway(place, 5), "a trial was midway")
    driver.send_signal(2)
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 130 and "the same command goes on" in output
    (parent,) = [r for r in query.find_runs(run_name(place, 5)) if r.parent is None]
    assert [r.name for r in (parent, *query.child_runs(parent.run_id)) if r.status == "RUNNING"] == []
    place.call(*sweep(5, "--resume"))
    require_complete(place, 5, undisturbed)
