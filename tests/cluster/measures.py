"""What a cluster's machines are held to and use: a share of a core, bytes over their cables and in their stores."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.network import Machine
from tonearm.features.row_store import FINGERPRINT_TABLE

GROUPS = Path("/sys/fs/cgroup")
PERIOD, WEIGHT = 20_000, 16  # microseconds in which a share is given; of a process that is in no group: 1
BLOCK = 512  # bytes, what st_blocks counts


@contextmanager
def control_group(name: str, share: float | None = None) -> Iterator[tuple[str, ...]]:
    """Folders of control groups whose processes get a share of one core at most, and that before other work of this
    machine: what is measured is the cluster, whatever else goes on.

    Parameters
    ----------
    share
        None: as much as there is.
    """
    v1 = (GROUPS / "cpu").is_dir()
    parents = [GROUPS / "cpu", GROUPS / "cpuacct"] if v1 else [GROUPS]
    folders = [parent / f"tonearm-{os.getpid()}-{name}" for parent in dict.fromkeys(p.resolve() for p in parents)]
    for folder in folders:
        folder.mkdir()
    try:
        quota = PERIOD if share is None else round(PERIOD * share)
        if v1:
            (folders[0] / "cpu.shares").write_text(str(WEIGHT * 1024))
            (folders[0] / "cpu.cfs_period_us").write_text(str(PERIOD))
            (folders[0] / "cpu.cfs_quota_us").write_text("-1" if share is None else str(quota))
        else:
            (folders[0] / "cpu.weight").write_text(str(WEIGHT * 100))
            (folders[0] / "cpu.max").write_text(f"{'max' if share is None else quota} {PERIOD}")
        yield tuple(map(str, folders))
    finally:
        deadline = time.monotonic() + 10
        while (left := [f for f in folders if f.exists()]) and time.monotonic() < deadline:
            try:
                for folder in left:
                    folder.rmdir()
            except OSError:  # its processes have just been killed
                time.sleep(0.1)


def worked(machine: Machine) -> float:
    """Seconds that the cores have worked for a machine's control group so far."""
    folder = Path(machine.groups[-1])
    if (folder / "cpuacct.usage").exists():
        return int((folder / "cpuacct.usage").read_text()) / 1e9
    said = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
    return int(said["usage_usec"]) / 1e6


def cables(machines: Sequence[Machine]) -> int:
    """Bytes that went over the machines' cables so far, both ways, with the headers of their frames."""
    found = 0
    for machine in machines:
        place = Path("/sys/class/net", machine.link, "statistics")
        found += sum(int((place / name).read_text()) for name in ("rx_bytes", "tx_bytes"))
    return found


def touched(machines: Sequence[Machine]) -> int:
    """Bytes of the machines' object stores that were ever written: at least the most that lay there at once. Read from
    outside: asking Ray takes the time and the cables that are measured."""
    found = 0
    for machine in machines:
        for raylet in machine.processes("raylet/raylet"):
            stores: dict[int, int] = {}
            for descriptor in Path(f"/proc/{raylet.pid}/fd").iterdir():
                with suppress(OSError):
                    if "/plasma" in str(descriptor.readlink()):
                        status = descriptor.stat()
                        stores[status.st_ino] = status.st_blocks * BLOCK
            assert stores, f"no object store among the files of {raylet}"
            found += sum(stores.values())
    return found


@dataclass(frozen=True)
class Moment:
    """When a batch was seen to be written.

    Attributes
    ----------
    seconds
        On the monotonic clock.
    sent
        Bytes over the cables so far.
    worked
        Seconds that the cores have worked for each machine so far.
    """

    seconds: float
    sent: int
    worked: tuple[float, ...]


class Batches:
    """Watches an extraction from outside: a moment for each batch of tracks that is written.

    Each batch writes a file of fingerprints, its last. The job joins them when it ends, which is one moment more.
    """

    def __init__(self, home: Path, machines: Sequence[Machine]) -> None:
        """Of a home; the first machine is the head."""
        self._folder, self._machines, self._nodes = home / "features" / FINGERPRINT_TABLE, machines, machines[1:]
        self.moments: list[Moment] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Batches:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def now(self) -> Moment:
        """This moment."""
        return Moment(time.monotonic(), cables(self._nodes), tuple(map(worked, self._machines)))

    def _watch(self) -> None:
        seen: set[str] = set()
        while not self._over.wait(0.02):
            with suppress(FileNotFoundError):
                new = {entry.name for entry in os.scandir(self._folder) if entry.name.endswith(".parquet")} - seen
                self.moments += [self.now()] * len(new) if new else []
                seen |= new
