"""An object store that somebody else has filled, and Ray's own disk with it: the extraction goes on, or says why not in
one sentence; afterwards its features are those of one that nobody disturbs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import extraction, fresh_home, say_if_not_isolated, values
from tests.cluster.network import run
from tests.cluster.nodes import QUICK, STORE, Cluster, cluster
from tests.servers import missing

pytestmark = [pytest.mark.integration, pytest.mark.long]

DISK = 700_000_000  # bytes for Ray's files: its logs, and what does not fit into the store
SIZES = tuple(STORE // 10**n for n in range(1, 5))  # of the objects that fill it, so that no gap is left
FILLER = f"""
import os, sys, ray
ray.init(address="auto", log_to_driver=False, namespace="filler")
most, held, said = int(sys.argv[1]), [], []
for size in {SIZES}:
    try:
        while len(held) < most:
            held.append(ray.put(os.urandom(size)))
    except Exception as error:
        said.append(type(error).__name__)
print("holds", len(held), "refused with", *said, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def made(short_folder: Path) -> Iterator[Cluster]:
    """A head that works, whose files of Ray's lie on a small disk of their own."""
    folder = short_folder / "full"
    (folder / "m").mkdir(parents=True)
    small = ("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder / "m"))
    if shutil.which("mount") is None or not run(*small, check=False):
        missing("root's right to mount a small file system")
    try:
        with cluster(folder, **QUICK) as found:
            say_if_not_isolated(found.network)
            found.wait_for(found.add("head", cpus=2))
            yield found
    finally:
        run("umount", str(folder / "m"))


def fill(made: Cluster, objects: int) -> tuple[subprocess.Popen[str], str]:
    """A driver that holds so many objects of a tenth of the store, or smaller ones too where these do not fit; what it
    says."""
    command = made.head.command(sys.executable, "-c", FILLER, str(objects))
    environment = {**made.head.environment, "RAY_ADDRESS": made.address}
    filler = subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)  # fmt: skip
    assert filler.stdout is not None
    said = []
    for line in filler.stdout:
        said.append(line)
        if line.startswith("holds "):
            return filler, line
    raise AssertionError("".join(said))


def empty(filler: subprocess.Popen[str]) -> None:
    filler.communicate("\n", timeout=60)


def test_a_full_store_costs_nothing(made: Cluster, recordings: Path, expected: dict[str, bytes]) -> None:
    """What does not fit goes to the disk."""
    home = fresh_home(made, "store")
    filler, said = fill(made, 15)
    assert said.split() == ["holds", "15", "refused", "with"], said
    try:
        made.job(*extraction(recordings))
    finally:
        empty(filler)
    assert values(home) == expected


def test_a_full_store_and_a_full_disk_of_rays(made: Cluster, recordings: Path, expected: dict[str, bytes]) -> None:
    home = fresh_home(made, "disk")
    filler, said = fill(made, 10_000)
    assert said.split()[4:] == ["OutOfDiskError"] * len(SIZES), said
    try:
        output = made.job(*extraction(recordings), check=False)
        assert "error: Ray gave up: OutOfDiskError" in output and "make space there" in output, output
        assert "tonearm/" not in output, output  # a traceback of ours: Ray's raylet prints some of its own
    finally:
        empty(filler)
    made.job(*extraction(recordings))
    assert values(home) == expected
