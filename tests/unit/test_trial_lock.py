"""One process of all machines trains a trial at a time; others take what is there only when it is whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.builders import tiny_config, toy_batches
from tonearm.core import lock, storage
from tonearm.core.errors import JobError
from tonearm.core.lock import DriverLock
from tonearm.core.process_identity import process_identity
from tonearm.training import whole_trial as copying
from tonearm.training.bundle import DESCRIPTION, load_bundle
from tonearm.training.trial import LOCK, TrialFolder, run_trial
from tonearm.training.whole_trial import whole_trial


def test_of_two_machines_that_share_a_folder_one_gets_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of each machine's own say nothing to the other, and both look before either has written."""
    both, look, got = threading.Barrier(2), lock.running_driver, list[str]()

    def together(folder: str, file: str) -> dict[str, Any] | None:
        found = look(folder, file)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return found

    def work() -> None:
        try:
            with DriverLock(str(tmp_path)):
                got.append("got it")
                ended.wait(10.0)
        except JobError:
            got.append("refused")
            ended.set()

    monkeypatch.setattr(lock, "machine_lock", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(lock, "running_driver", together)
    ended = threading.Event()
    machines = [threading.Thread(target=work) for _ in range(2)]
    for machine in machines:
        machine.start()
    for machine in machines:
        machine.join(20.0)
    assert sorted(got) == ["got it", "refused"]
    assert [path.name for path in tmp_path.iterdir()] == [lock.FILE]


def test_a_process_that_was_killed_while_it_took_a_lock_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SECONDS_OF_A_CLAIM", 0.05)
    (tmp_path / f".{lock.FILE}.claim").touch()
    with DriverLock(str(tmp_path)):
        assert lock.running_driver(str(tmp_path))
    assert not (tmp_path / f".{lock.FILE}.claim").exists()


def test_of_several_that_see_a_stale_claim_none_removes_what_another_has_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".claim"
    path.write_text("stale")
    stale = lock._claim_in(path)
    lock._remove_claim(path, stale)
    assert not path.exists()
    path.write_text("made since")
    lock._remove_claim(path, stale)
    assert path.read_text() == "made since"
    look, looks = lock._claim_in, iter([stale])
    monkeypatch.setattr(lock, "_claim_in", lambda where: next(looks, None) or look(where))
    lock._remove_claim(path, stale)  # it was made between the look and the removal
    assert path.read_text() == "made since" and [p.name for p in tmp_path.iterdir()] == [".claim"]


@pytest.mark.parametrize("off", [-3600.0, 3600.0])
def test_a_driver_on_another_machine_is_known_whatever_a_clock_says(
    off: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock or ours is an hour off, and the folder's is another one still."""
    now, uri = time.time, str(tmp_path / lock.FILE)
    with DriverLock(str(tmp_path)):
        storage.write_json(uri, {**storage.read_json(uri), "host": "another", "beat": now() + off})
        assert lock.running_driver(str(tmp_path)), "its clock is off, and it lives"
        with pytest.raises(JobError, match="on another"):
            DriverLock(str(tmp_path)).__enter__()
        os.utime(uri, (now() - 100, now() - 100))
        assert not lock.running_driver(str(tmp_path)), "its clock is off, and it gave no sign of life"
        storage.write_json(uri, {**storage.read_json(uri), "beat": now()})
        monkeypatch.setattr(time, "time", lambda: now() + off)
        assert lock.running_driver(str(tmp_path)), "ours is off, and it lives"
        os.utime(uri, (now() - 100, now() - 100))
        assert not lock.running_driver(str(tmp_path)), "ours is off, and it gave no sign of life"
        assert [path.name for path in tmp_path.iterdir()] == [lock.FILE]


def test_who_was_suspended_while_it_took_a_lock_leaves_another_s_claim(tmp_path: Path) -> None:
    claim = tmp_path / f".{lock.FILE}.claim"
    with lock._alone(str(tmp_path), lock.FILE) as is_alone:
        assert is_alone()
        claim.unlink()
        claim.write_text("another's")
        assert not is_alone()
    assert claim.read_text() == "another's"


@pytest.mark.parametrize("test", [False, True])
def test_who_has_lost_a_trial_after_its_last_epoch_does_not_complete_it(tmp_path: Path, test: bool) -> None:
    config, folder = tiny_config({"optim.epochs": 1}), TrialFolder(str(tmp_path / "trial"))
    running = run_trial(config, toy_batches(tmp_path / "features", config), folder, test=test)
    next(running)
    storage.remove(storage.join(folder.uri, LOCK))
    with pytest.raises(JobError, match="the trial is not this job's any more"):
        next(running)
    assert folder.ended() is None and not storage.exists(folder.predictions_uri("test"))


@pytest.mark.parametrize("other", [{"token": "another's"}, None])
def test_who_has_lost_a_trial_writes_nothing_there(tmp_path: Path, other: dict[str, str] | None) -> None:
    config, folder = tiny_config({"optim.epochs": 3}), TrialFolder(str(tmp_path / "trial"))
    running = run_trial(config, toy_batches(tmp_path / "features", config), folder)
    next(running)
    held, before = storage.join(folder.uri, LOCK), storage.read_bytes(storage.join(folder.uri, "state.pt"))
    if other:
        storage.write_json(held, {**storage.read_json(held), **other})
    else:
        storage.remove(held)
    with pytest.raises(JobError, match=r"the trial is not this job's any more.*give the command again"):
        next(running)
    assert storage.read_bytes(storage.join(folder.uri, "state.pt")) == before and len(folder.history()) == 1


@pytest.mark.parametrize("now", ["no description", "another epoch's"])
def test_a_trial_is_copied_when_all_of_it_is_of_one_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: str
) -> None:
    config, folder = tiny_config({"optim.epochs": 3}), TrialFolder(str(tmp_path / "trial"))
    running = run_trial(config, toy_batches(tmp_path / "features", config), folder)
    next(running)
    uri, looks = storage.join(folder.bundle_uri, DESCRIPTION), list[float]()
    whole = storage.read_bytes(uri)
    if now == "no description":  # as while it is being kept
        storage.remove(uri)
    else:
        description = storage.read_json(uri)
        description["metrics"]["epoch"] += 1  # its history is written afterwards
        storage.write_json(uri, description)

    def meanwhile(seconds: float) -> None:
        looks.append(seconds)
        storage.write_bytes(uri, whole)

    monkeypatch.setattr(copying.time, "sleep", meanwhile)
    with whole_trial(folder) as copy:
        assert len(looks) == 1 and copy.kept_epoch() == 1 and copy.history() == folder.history()
        assert load_bundle(copy.bundle_uri).metrics["epoch"] == 1 and copy.validation().track_ids
    assert not Path(copy.uri).exists()
    running.close()


def test_what_a_killed_process_left_is_not_waited_for(tmp_path: Path) -> None:
    config, folder = tiny_config({"optim.epochs": 2}), TrialFolder(str(tmp_path / "trial"))
    batches = toy_batches(tmp_path / "features", config)
    list(run_trial(config, batches, folder))
    storage.remove(storage.join(folder.bundle_uri, DESCRIPTION))
    storage.remove(storage.join(folder.uri, "ended.json"))
    with whole_trial(folder) as copy:
        assert copy.kept_epoch() is None and len(copy.history()) == 2
    assert all(epoch["replayed"] for epoch in run_trial(config, batches, folder))
    with whole_trial(folder) as copy:
        assert copy.kept_epoch() in (1, 2)


@pytest.mark.parametrize("set_by", [-3600.0, 3600.0])
def test_a_driver_of_this_machine_is_known_when_its_clock_is_set(
    set_by: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's time of boot moves with the clock, and with it all at which processes are said to have begun."""
    now, boot = time.time, getattr(psutil._psplatform, "boot_time", None)
    with DriverLock(str(tmp_path)):
        before = psutil.Process().create_time()
        monkeypatch.setattr(time, "time", lambda: now() + set_by)
        if boot and psutil.LINUX:
            monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: boot() + set_by)
            assert psutil.Process().create_time() == before + set_by
        assert lock.running_driver(str(tmp_path)), "it lives"
        with pytest.raises(JobError, match=f"by process {os.getpid()} on"):
            DriverLock(str(tmp_path)).__enter__()


def test_a_killed_driver_holds_nothing_while_nobody_asked_for_its_exit_code(tmp_path: Path) -> None:
    """As in a container whose first process does not look after others."""
    code = f"import time; from tonearm.core.lock import DriverLock; DriverLock({str(tmp_path)!r}).__enter__(); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as driver:
        while not (tmp_path / lock.FILE).exists():
            assert driver.poll() is None
            time.sleep(0.02)
        assert lock.running_driver(str(tmp_path))
        os.kill(driver.pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while lock.running_driver(str(tmp_path)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert psutil.Process(driver.pid).status() == psutil.STATUS_ZOMBIE


def test_a_lock_of_an_earlier_version_is_judged_by_its_signs_of_life(tmp_path: Path) -> None:
    """Its process is known by a number alone, which any other has since: in a container mostly the same one."""
    with DriverLock(str(tmp_path)):
        uri = str(tmp_path / lock.FILE)
        earlier = {k: v for k, v in storage.read_json(uri).items() if k != "process"}
        storage.write_json(uri, {**earlier, "started": 1.0})
        assert lock.running_driver(str(tmp_path))
        os.utime(uri, (time.time() - 100, time.time() - 100))
        assert not lock.running_driver(str(tmp_path))
        storage.write_json(uri, {**earlier, "process": f"{process_identity(os.getpid())}0"})
        assert not lock.running_driver(str(tmp_path)), "another process has its number"


def test_a_driver_of_which_nothing_is_shown_is_judged_by_its_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's, where /proc shows each only their own."""
    with DriverLock(str(tmp_path)):
        monkeypatch.setattr(lock, "process_identity", lambda pid: "")
        assert lock.running_driver(str(tmp_path))
        os.utime(tmp_path / lock.FILE, (time.time() - 100, time.time() - 100))
        assert not lock.running_driver(str(tmp_path))


def test_a_process_that_proc_does_not_show_is_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert process_identity(ended.pid) is None
    monkeypatch.setattr(os, "kill", refuse)
    assert process_identity(ended.pid) == ""
