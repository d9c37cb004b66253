"""A Ray cluster whose nodes are the machines of a network."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.network import ROOT, Machine, Network
from tests.servers import free_port, wait_until

RAY = str(Path(sys.executable).parent / "ray")
STORE = 100_000_000  # bytes of a node's object store
QUICK = {"RAY_health_check_initial_delay_ms": "1000", "RAY_health_check_period_ms": "1000",
         "RAY_health_check_timeout_ms": "2000", "RAY_health_check_failure_threshold": "4"}  # fmt: skip
"""The head takes a node for dead after some ten seconds, not 68."""
PATIENT = {"RAY_health_check_failure_threshold": "10", "RAY_gcs_rpc_server_reconnect_timeout_s": "130"}
"""After 130 seconds, as infra/README.md has it."""


@dataclass
class Cluster:
    """A head and nodes that join it.

    Attributes
    ----------
    home
        A folder that all share.
    environment
        Of each node, and of the drivers on it.
    """

    network: Network
    home: Path
    environment: dict[str, str]
    head: Machine = field(init=False)
    port: int = field(default_factory=free_port)
    commands: dict[str, list[str]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"{self.head.address}:{self.port}"

    def add(
        self, name: str, *options: str, cpus: int = 1, keeper: bool = True, python: str = sys.executable,
        wrapper: Sequence[str] = (), groups: Sequence[str] = (), **environment: str,
    ) -> Machine:  # fmt: skip
        """A machine with a node on it, which joins; the first is the head.

        Parameters
        ----------
        options
            Of ``ray start``.
        keeper
            Whether ``infra/node.sh`` starts it again: on a busy machine Ray may give up while it starts.
        python
            The interpreter of the node and its workers; another one is started without that.
        wrapper, groups
            As :class:`Machine` has them.
        """
        machine = self.network.machine(name)
        machine.wrapper, machine.groups = wrapper, groups
        if not hasattr(self, "head"):
            self.head = machine
            if not any(o.startswith("--dashboard") for o in options):
                options = ("--include-dashboard=false", *options)
            options = ("--head", f"--port={self.port}", *options)
        else:
            options = (f"--address={self.address}", *options)
        machine.environment = {**self.environment, "TONEARM_CACHE": str(machine.private / "cache"), **environment}
        node = [f"--node-ip-address={machine.address}", f"--num-cpus={cpus}", f"--temp-dir={machine.private}/ray",
                f"--object-store-memory={STORE}", "--disable-usage-stats",
                f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}"]  # fmt: skip
        kept = keeper and python == sys.executable
        ray = [str(ROOT / "infra" / "node.sh")] if kept else [python, "-m", "ray.scripts.scripts", "start", "--block"]
        self.commands[name] = [*ray, *options, *node]
        self.start(machine)
        return machine

    def start(self, machine: Machine) -> None:
        """Start the node of a machine, the first time or again."""
        machine.boot(*self.commands[machine.name])

    def alive(self) -> list[str]:
        """Addresses of the nodes that the head knows to be alive; none while it does not answer."""
        from ray._raylet import GcsClient
        from ray.core.generated.gcs_pb2 import GcsNodeInfo
        from ray.exceptions import RpcError

        try:
            with socket.create_connection((self.head.address, self.port), 1):  # Ray's client waits for it for long
                known = GcsClient(address=self.address).get_all_node_info(timeout=10)
        except (OSError, RpcError):
            return []
        return sorted(n.node_manager_address for n in known.values() if n.state == GcsNodeInfo.GcsNodeState.ALIVE)

    def wait_for(self, *machines: Machine) -> None:
        """Until the nodes that are alive are those of these machines."""
        wanted = sorted(m.address for m in machines)
        logs = ", ".join(str(m.log) for m in self.network.machines)
        wait_until(lambda: self.alive() == wanted, f"{len(machines)} nodes are alive, see {logs}")

    def job(self, module: str, *arguments: str, on: Machine | None = None, check: bool = True) -> str:
        """Run a job on a machine, by default the head, to its end; its output."""
        return (on or self.head).do(sys.executable, "-m", module, *arguments, check=check, RAY_ADDRESS=self.address)

    def begin(self, module: str, *arguments: str, on: Machine | None = None) -> subprocess.Popen[str]:
        """Start a job on a machine, by default the head."""
        return (on or self.head).start(sys.executable, "-m", module, *arguments, RAY_ADDRESS=self.address)


@contextmanager
def cluster(folder: Path, **environment: str) -> Iterator[Cluster]:
    """A network with no node yet, and a home; all of it is taken down in the end."""
    home = folder / "home"
    base = {**os.environ, "TONEARM_HOME": str(home), "RAY_PROGRAM": RAY, "TONEARM_NODE_SLOWEST": "4",
            "PYTHONUNBUFFERED": "1", "COLUMNS": "120",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)]), **environment}  # fmt: skip
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "RAY_TMPDIR"):
        base.pop(name, None)
    with Network(folder) as network:
        yield Cluster(network, home, base)
