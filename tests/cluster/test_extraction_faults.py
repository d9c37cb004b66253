"""Nodes that die, are cut off, have no space or other code, while recordings are extracted: the features are those of
an extraction that nobody disturbs, to the last bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import (
    TRACKS,
    extraction,
    fresh_home,
    midway,
    parts,
    say_if_not_isolated,
    values,
    workers,
)
from tests.cluster.network import ROOT, Machine, run
from tests.cluster.nodes import QUICK, Cluster, cluster
from tests.servers import missing, wait_until
from tests.tracking_database import put_database

pytestmark = pytest.mark.integration

BESIDE, ENOUGH = 90_000, "64m"  # bytes of the file system that becomes full, beside the database
Driver = subprocess.Popen[str]


@pytest.fixture(scope="module")
def made(short_folder: Path) -> Iterator[Cluster]:
    """A head, and a node that is kept in the cluster."""
    folder = short_folder / "extraction"
    (folder / "disk").mkdir(parents=True)
    put_database(folder / "measured")
    size = (folder / "measured" / "mlflow.db").stat().st_size + BESIDE
    small = ("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder / "disk"))
    mounted = shutil.which("mount") is not None and run(*small, check=False)
    try:
        with cluster(folder, **QUICK) as found:
            say_if_not_isolated(found.network)
            found.wait_for(found.add("head"))
            found.wait_for(found.head, found.add("node"))
            yield found
    finally:
        if mounted:
            run("umount", str(folder / "disk"))


@pytest.fixture
def node(made: Cluster) -> Machine:
    return made.network.machines[1]


def ended(driver: Driver) -> str:
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, output
    return output


def test_a_node_that_is_killed_costs_no_track(
    made: Cluster, node: Machine, recordings: Path, expected: dict[str, bytes]
) -> None:
    home = fresh_home(made, "killed")
    driver = made.begin(*extraction(recordings))
    with midway(made, driver, home, node):
        node.kill()
    assert f"{TRACKS} tracks extracted now" in ended(driver)
    assert values(home) == expected
    made.start(node)
    made.wait_for(made.head, node)


@pytest.mark.long
def test_a_node_that_is_cut_off_is_replaced_and_comes_back(
    made: Cluster, node: Machine, recordings: Path, expected: dict[str, bytes]
) -> None:
    if not made.network.isolated:
        missing("root's right to make network namespaces, and iproute2: apt-get install iproute2")
    home = fresh_home(made, "cut")
    driver = made.begin(*extraction(recordings))
    with midway(made, driver, home, node):
        node.cut()
    try:
        ended(driver)
        made.wait_for(made.head)
    finally:
        node.mend()
    made.wait_for(made.head, node)
    assert "starting it again" in node.log.read_text()
    assert values(home) == expected


@pytest.mark.long
def test_two_of_the_same_at_once_and_a_killed_client(
    made: Cluster, node: Machine, recordings: Path, expected: dict[str, bytes]
) -> None:
    home = fresh_home(made, "twice")
    first, second = (made.begin(*extraction(recordings), on=m) for m in (made.head, node))
    with midway(made, first, home):
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(60)
    ended(second)
    assert values(home) == expected
    wait_until(lambda: not workers(made.head) and not workers(node), "no worker outlives its driver")
    assert "0 tracks extracted now" in made.job(*extraction(recordings))


def test_a_full_disk_is_one_sentence_and_with_space_the_job_goes_on(
    made: Cluster, recordings: Path, expected: dict[str, bytes]
) -> None:
    disk = made.network.folder / "disk"
    if not os.path.ismount(disk):
        pytest.skip("a small file system cannot be mounted: that needs root, and a container that permits it")
    home = fresh_home(made, "disk/home")
    driver = made.begin(*extraction(recordings))
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 1 and "No space left on device" in output and "Traceback" not in output, output
    run("mount", "-o", f"remount,size={ENOUGH}", str(disk))
    made.job(*extraction(recordings))
    assert values(home) == expected


def python_without(package: str, folder: Path) -> str:
    """A Python that has all that this one has, but for one package."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    installed = sysconfig.get_path("purelib")
    for path in Path(installed).iterdir():
        if not path.name.startswith(package):
            (folder / Path(installed).relative_to(sys.prefix) / path.name).symlink_to(path)
    return str(folder / "bin" / "python")


def test_a_node_with_other_code_and_without_a_package_is_named(made: Cluster, recordings: Path) -> None:
    fresh_home(made, "other")
    code, python = made.network.folder / "code", python_without("librosa", made.network.folder / "python")
    for name in ("platform/tonearm", "search_spaces", "serve", "jobs"):
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (code / "platform/tonearm/features/mel.py").open("a") as file:
        file.write("\nCHANGED = True\n")
    other = made.add("other", python=python, PYTHONPATH=os.pathsep.join(map(str, (code / "platform", code))))
    made.wait_for(*made.network.machines)
    try:
        output = made.job(*extraction(recordings), check=False)
        named = f"node {other.address} lacks librosa; node {other.address} has other code of tonearm, commit "
        assert named in output and "Traceback" not in output, output
        assert not (made.home / "features").exists() or not parts(made.home)
    finally:
        other.kill()
        made.wait_for(*made.network.machines[:2])
