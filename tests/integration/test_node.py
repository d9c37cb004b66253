"""A worker node that dies in the middle of a sweep on a cluster: two nodes of this machine, each with ports, processes
and a token of its own, that only this test stops."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import ROOT, Workplace, kill_group
from tests.integration.quick_sweep import extract, figures, midway, output_of, require_complete, sweep, wait
from tests.servers import free_port, wait_until

pytestmark = pytest.mark.integration

TOKEN = "cd" * 32
EPOCHS = 30  # so many that it is seen while trials of both nodes are midway
LONG = ("--epochs", str(EPOCHS))


@dataclass
class Cluster:
    """A head and a worker node, of one core each."""

    place: Workplace
    log: Path
    port: int

    def node(self, *arguments: str) -> subprocess.Popen[str]:
        # An agent port of its own: another Ray of this machine may have the usual one.
        command = [str(Path(sys.executable).parent / "ray"), "start", *arguments, "--block", "--num-cpus=1",
                   f"--dashboard-agent-listen-port={free_port()}", "--object-store-memory=100000000",
                   "--disable-usage-stats"]  # fmt: skip
        with self.log.open("a") as output:
            return subprocess.Popen(command, cwd=ROOT, env=self.place.environment, text=True, stdout=output,
                                    stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip

    def alive(self) -> int:
        """Nodes that the head knows to be alive."""
        status = [str(Path(sys.executable).parent / "ray"), "status", "--address", f"127.0.0.1:{self.port}"]
        done = subprocess.run(status, env=self.place.environment, text=True, capture_output=True, timeout=120)
        return done.stdout.split("Pending:")[0].count("node_")


@pytest.fixture
def cluster(place: Workplace, tmp_path: Path) -> Iterator[tuple[Cluster, subprocess.Popen[str]]]:
    place.environment.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN)
    made = Cluster(place, tmp_path / "log", free_port())
    head = made.node("--head", f"--port={made.port}", "--include-dashboard=false",
                     f"--temp-dir={place.environment['RAY_TMPDIR']}")  # fmt: skip
    nodes = [head]
    try:
        wait_until(lambda: made.alive() == 1, f"the head started, see {made.log}")
        nodes.append(made.node(f"--address=127.0.0.1:{made.port}"))
        wait_until(lambda: made.alive() == 2, f"the worker node joined, see {made.log}")
        place.environment["RAY_ADDRESS"] = f"127.0.0.1:{made.port}"
        yield made, nodes[1]
    finally:
        for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            place.environment.pop(name, None)
        for node in reversed(nodes):
            if node.poll() is None:
                kill_group(node)


def trains(node: subprocess.Popen[str]) -> bool:
    """Whether a process of the node trains a trial."""
    for process in psutil.Process(node.pid).children(recursive=True):
        try:
            if "ImplicitFunc" in " ".join(process.cmdline()):
                return True
        except psutil.Error:
            continue
    return False


def kill_node(node: subprocess.Popen[str]) -> None:
    """At once, as when its plug is pulled, with all that it started."""
    processes = psutil.Process(node.pid).children(recursive=True)
    kill_group(node)
    for process in processes:
        if process.is_running():
            process.kill()


def test_killed_worker_node(
    place: Workplace, cluster: tuple[Cluster, subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    extract(place)
    made, worker = cluster
    place.call(*sweep(0, *LONG))
    undisturbed = figures(place, 0)
    driver = place.start(*sweep(1, *LONG))
    wait(driver, lambda: midway(place, 1, EPOCHS) and trains(worker), "a trial was midway, and one on the worker node")
    kill_node(worker)
    output_of(driver)
    require_complete(place, 1, undisturbed, EPOCHS)
    wait_until(lambda: made.alive() == 1, "the head noticed that a node is gone")
