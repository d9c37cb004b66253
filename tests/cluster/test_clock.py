"""Nodes whose clocks are an hour ahead and an hour behind: what they make is what others make.

Times of files are of the machine that keeps them, whose clock is right.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import extraction, fresh_home, midway, say_if_not_isolated, values
from tests.cluster.nodes import QUICK, Cluster, cluster
from tests.cluster.sweeps import EPOCHS, enter, long_sweep, prepared, undisturbed_sweep
from tests.integration.conftest import Workplace
from tests.integration.quick_sweep import Figures, output_of, require_complete, wait
from tests.integration.quick_sweep import midway as sweep_midway
from tests.servers import needs
from tonearm.core.lock import STALE_SECONDS
from tonearm.tracking.overview import overview

pytestmark = [pytest.mark.integration, pytest.mark.long]

HOUR = 3600


def wrong_clock(folder: Path, seconds: int) -> tuple[str, ...]:
    """What is started by it sees a time of day that is so many seconds ahead."""
    library = folder / "wrong_clock.so"
    if not library.exists():
        made = ("-shared", "-fPIC", "-o", str(library), str(Path(__file__).with_name("wrong_clock.c")), "-ldl")
        subprocess.run([needs("cc"), *made], check=True)
    return ("env", f"LD_PRELOAD={library}", f"SECONDS_AHEAD={seconds}")


@pytest.fixture(scope="module")
def made(short_folder: Path) -> Iterator[Cluster]:
    """A head whose clock is right, a node of tomorrow's hour and one of yesterday's."""
    with cluster(short_folder / "clocks", **QUICK) as found:
        say_if_not_isolated(found.network)
        found.wait_for(found.add("head", cpus=0))
        for name, off in (("ahead", HOUR), ("behind", -HOUR)):
            found.add(name, wrapper=wrong_clock(short_folder, off))
        found.wait_for(*found.network.machines)
        yield found


@pytest.fixture(scope="module")
def place(made: Cluster, recordings: Path) -> Workplace:
    return prepared(made, recordings)


@pytest.fixture(scope="module")
def undisturbed(made: Cluster, place: Workplace) -> Figures:
    return undisturbed_sweep(made, place)


def test_the_clocks_are_off(made: Cluster) -> None:
    now = [float(machine.do("date", "+%s")) - time.time() for machine in made.network.machines]
    assert [round(off / HOUR) for off in now] == [0, 1, -1]


def test_an_extraction_on_clocks_that_are_off(made: Cluster, recordings: Path, expected: dict[str, bytes]) -> None:
    """Begun by one of tomorrow's hour; and nobody deletes what it writes, whose files are an hour old to it."""
    _, ahead, behind = made.network.machines
    home = fresh_home(made, "clocks-extracted")
    driver = made.begin(*extraction(recordings), on=ahead)
    with midway(made, driver, home, ahead, behind):
        for machine in made.network.machines:
            said = made.job("jobs.clean", "--yes", "--hours", "0", on=machine, check=False)
            assert "runs on this home" in said and "Traceback" not in said, said
    output = output_of(driver)
    assert f"node {behind.address} is 1" in output and "minutes behind this machine" in output, "told of the other two"
    assert values(home) == expected
    for machine in made.network.machines:
        assert "0 tracks extracted now" in made.job(*extraction(recordings), on=machine)


def test_a_sweep_from_two_clocks(
    made: Cluster, place: Workplace, undisturbed: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of tomorrow's hour runs it; the one of yesterday's is refused, and goes on when the first is killed."""
    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    enter(made, place)
    _, ahead, behind = made.network.machines
    driver = made.begin(*long_sweep(1), on=ahead)
    wait(driver, lambda: sweep_midway(place, 1, EPOCHS), "a trial is midway")
    refused = made.job(*long_sweep(1), on=behind, check=False)
    assert "the sweep is being run since" in refused and "Traceback" not in refused, refused
    os.killpg(driver.pid, signal.SIGKILL)
    time.sleep(STALE_SECONDS + 5)
    made.job(*long_sweep(1), on=behind)
    require_complete(place, 1, undisturbed, EPOCHS)
    assert {run.status for run in overview().runs} == {"FINISHED"}
