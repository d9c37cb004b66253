"""A node that is cut off for a minute goes on; one that is for two is taken for dead, ends, and is begun anew."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import extraction, fresh_home, midway, values
from tests.cluster.nodes import PATIENT, Cluster, cluster
from tests.servers import missing

pytestmark = [pytest.mark.integration, pytest.mark.long]

ACTOR = """
import os, sys, ray
ray.init(address="auto", log_to_driver=False, namespace="cut")

@ray.remote(num_cpus=0, resources={"there": 1}, max_restarts=0)
class Counter:
    def __init__(self): self.n = 0
    def count(self): self.n += 1; return os.getpid(), self.n

try:
    counter = ray.get_actor("counter")
except ValueError:
    counter = Counter.options(name="counter", lifetime="detached").remote()
print("counted", *ray.get(counter.count.remote(), timeout=60))
"""


@pytest.fixture(scope="module")
def made(short_folder: Path) -> Iterator[Cluster]:
    """A head as patient as one of a cluster shall be, and a node that is kept in it."""
    with cluster(short_folder / "cuts", **PATIENT) as found:
        if not found.network.isolated:
            missing("root's right to make network namespaces, and iproute2: apt-get install iproute2")
        found.wait_for(found.add("head"))
        found.wait_for(found.head, found.add("node", '--resources={"there": 1}'))
        yield found


def count(made: Cluster) -> tuple[int, int]:
    """The process of an actor on the node, and how often it was asked."""
    said = made.head.do(sys.executable, "-c", ACTOR, RAY_ADDRESS=made.address)
    pid, number = said.split("counted ")[1].split()[:2]
    return int(pid), int(number)


def extract_meanwhile(made: Cluster, recordings: Path, seconds: float) -> tuple[Path, subprocess.Popen[str]]:
    """An extraction during which the node is cut off."""
    node = made.network.machines[1]
    home = fresh_home(made, f"cut-{seconds:.0f}")
    driver = made.begin(*extraction(recordings))
    with midway(made, driver, home, node):
        node.cut()
    try:
        time.sleep(seconds)
    finally:
        node.mend()
    return home, driver


def watch(made: Cluster, seconds: float) -> bool:
    """Whether the node was taken for dead within so many seconds."""
    began, node = time.monotonic(), made.network.machines[1]
    while time.monotonic() < began + seconds:
        if node.address not in made.alive():
            print(f"\n  taken for dead {time.monotonic() - began:.0f} s after the cable was put in again")
            return True
        time.sleep(1)
    return False


def test_cut_off_for_a_minute(made: Cluster, recordings: Path, expected: dict[str, bytes]) -> None:
    pid, number = count(made)
    home, driver = extract_meanwhile(made, recordings, 60.0)
    assert not watch(made, 80.0), "the node was taken for dead"
    output, _ = driver.communicate(timeout=500)
    assert driver.returncode == 0, output
    assert values(home) == expected
    assert len(made.alive()) == 2 and count(made) == (pid, number + 1), "the node did not survive"


def test_cut_off_for_two_minutes(made: Cluster, recordings: Path, expected: dict[str, bytes]) -> None:
    home, driver = extract_meanwhile(made, recordings, 120.0)
    assert watch(made, 80.0), "the node was not taken for dead"
    began = time.monotonic()
    made.wait_for(*made.network.machines)
    print(f"\n  back {time.monotonic() - began:.0f} s after that")
    assert "starting it again" in made.network.machines[1].log.read_text()
    output, _ = driver.communicate(timeout=500)
    assert driver.returncode == 0, output
    assert values(home) == expected
    assert "0 tracks extracted now" in made.job(*extraction(recordings), on=made.network.machines[1])
