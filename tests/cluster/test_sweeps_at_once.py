"""The same from two hosts at once: no trial is trained twice, and the results are those of one sweep alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import say_if_not_isolated
from tests.cluster.nodes import QUICK, Cluster, cluster
from tests.cluster.sweeps import EPOCHS, long_sweep, prepared, trained, undisturbed_sweep
from tests.integration.conftest import Workplace
from tests.integration.quick_sweep import Figures, figures, patience, require_complete
from tonearm.tracking.overview import overview

pytestmark = [pytest.mark.integration, pytest.mark.long]


@pytest.fixture(scope="module")
def made(short_folder: Path) -> Iterator[Cluster]:
    """Two hosts, with a driver on each."""
    with cluster(short_folder / "at-once", TONEARM_LOG="json", **QUICK) as found:
        say_if_not_isolated(found.network)
        found.wait_for(found.add("head"))
        found.wait_for(found.head, found.add("node"))
        yield found


@pytest.fixture(scope="module")
def place(made: Cluster, recordings: Path) -> Workplace:
    return prepared(made, recordings)


@pytest.fixture(scope="module")
def undisturbed(made: Cluster, place: Workplace) -> Figures:
    return undisturbed_sweep(made, place)


@pytest.fixture(autouse=True)
def tracking(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place.home))


def ended(drivers: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """The exit codes, lowest first, and what each has said."""
    said = [(driver.communicate(timeout=540)[0], driver.returncode) for driver in drivers]
    return sorted((code, output) for output, code in said)


def require_trained_once(made: Cluster, place: Workplace, seed: int) -> None:
    counts = trained(made, place, seed)
    assert len(counts) == 4 * EPOCHS, "an epoch is in no log"
    assert {epoch: n for epoch, n in counts.items() if n > 1} == {}, "a trial was trained twice"


def test_the_same_sweep_from_two_hosts(made: Cluster, place: Workplace, undisturbed: Figures) -> None:
    """One runs it; the other says who does. It finds nothing left to do afterwards."""
    one, other = ended([made.begin(*long_sweep(1), on=machine) for machine in made.network.machines])
    assert one[0] == 0, one[1]
    assert other[0] == 1 and "the sweep is being run since" in other[1] and "Traceback" not in other[1], other[1]
    require_complete(place, 1, undisturbed, EPOCHS)
    made.job(*long_sweep(1, "--resume"), on=made.network.machines[1])
    require_complete(place, 1, undisturbed, EPOCHS)
    require_trained_once(made, place, 1)


def test_two_sweeps_that_want_the_same_trials(made: Cluster, place: Workplace, undisturbed: Figures) -> None:
    """Another space, of two of the four: what one trains the other waits for, and takes."""
    head, node = made.network.machines
    half = ("jobs.sweep", "tests.integration.spaces:half_of_quick", "--dataset", "music", "--seed", "12", *patience(2),
            "--epochs", str(EPOCHS))  # fmt: skip
    drivers = [made.begin(*long_sweep(2), on=head), made.begin(*half, on=node)]
    for code, output in ended(drivers):
        assert code == 0 and "Traceback" not in output, output
    require_complete(place, 2, undisturbed, EPOCHS)
    require_trained_once(made, place, 2)
    both = figures(place, 12)
    assert len(both) == 2 and all(of in undisturbed.values() for of in both.values())
    assert {run.status for run in overview().runs} == {"FINISHED"}
