"""A cluster on one machine: how extraction and a sweep grow with its nodes, and what its work costs beside the work.

make bench NAME=cluster
make bench NAME=cluster ARGS="--tracks 64 --epochs 20 --nodes 1 2"      a short run

Each node is a network namespace with one worker, held to half a core by a control group; the head and the driver are
on a machine of their own, without workers and not held, on the same cores: with four nodes these have nothing left.
Rates are from the first result to the last: start-up does not count. Network: bytes over the nodes' cables while
features are extracted, less what they send when nothing is done.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tests.conftest  # noqa: F401  (what all of the tests' Rays answer to, before Ray is imported)
from tests.cluster.nodes import Cluster, cluster
from tests.integration.conftest import write_music
from tests.servers import wait_until
from tests.tracking_database import put_database
from tonearm.core.text import format_table
from tonearm.sweeps.ledger import Ledger

SHARE, BATCH, SECONDS = 0.5, 16, 12.0
GROUPS = Path("/sys/fs/cgroup")
LINEAR, OVERHEAD, SUBMISSION, BESIDE = 0.8, 30.0, 8.0, 0.01  # what is wanted
FEATURE = "mel(n_mels=32,n_fft=1024,hop=512,frames=None)"  # that of the sweep's space
HEAVY = f"mel,cqt,chroma,{FEATURE}"


@contextmanager
def held_to(share: float, name: str) -> Iterator[str]:
    """The folder of a control group whose processes get a share of one core."""
    v1 = GROUPS / "cpu"
    folder = (v1 if v1.is_dir() else GROUPS) / f"tonearm-{os.getpid()}-{name}"
    folder.mkdir()
    try:
        if v1.is_dir():
            (folder / "cpu.cfs_period_us").write_text("20000")
            (folder / "cpu.cfs_quota_us").write_text(str(round(20_000 * share)))
        else:
            (folder / "cpu.max").write_text(f"{round(20_000 * share)} 20000")
        yield str(folder)
    finally:
        deadline = time.monotonic() + 10
        while folder.exists() and time.monotonic() < deadline:
            try:
                folder.rmdir()
            except OSError:  # its processes have just been killed
                time.sleep(0.1)


@contextmanager
def running(folder: Path, count: int) -> Iterator[Cluster]:
    """A head without workers and so many nodes of one worker each."""
    with cluster(folder) as made:
        if not made.network.isolated:
            sys.exit(
                "the nodes are network namespaces: root's rights and iproute2 are needed (apt-get install iproute2)"
            )
        made.wait_for(made.add("head", "--dashboard-host=127.0.0.1", "--dashboard-port=8265", cpus=0))
        groups = [held_to(SHARE, f"n{i}") for i in range(count)]
        entered = [group.__enter__() for group in groups]
        try:
            nodes = [made.add(f"n{i}", group=group) for i, group in enumerate(entered)]
            made.wait_for(made.head, *nodes)
            yield made
        finally:
            for machine in made.network.machines:
                machine.kill()
            for group in groups:
                group.__exit__(None, None, None)


def home_of(made: Cluster, name: str) -> Path:
    home = made.network.folder / name
    put_database(home)
    for machine in made.network.machines:
        machine.environment["TONEARM_HOME"] = str(home)
    return home


def extraction(music: Path, features: str) -> tuple[str, ...]:
    return ("jobs.extract", "--dataset", "folder", "--audio", str(music), "--features", features, "--seconds", "10",
            "--min-seconds", "3")  # fmt: skip


def cables(made: Cluster) -> int:
    """Bytes that went over the nodes' cables so far, both ways."""
    found = 0
    for machine in made.network.machines[1:]:
        place = Path("/sys/class/net", machine.link, "statistics")
        found += sum(int((place / name).read_text()) for name in ("rx_bytes", "tx_bytes"))
    return found


def stored(made: Cluster) -> int:
    """Bytes in the object stores of all nodes now."""
    said = made.head.do(sys.executable, "-c", STORED, RAY_ADDRESS=made.address)
    return int(said.split("bytes ")[1])


STORED = """
import ray
from ray._private.internal_api import node_stats
ray.init(address="auto", log_to_driver=False)
print("bytes", sum(node_stats(n["NodeManagerAddress"], n["NodeManagerPort"]).store_stats.object_store_bytes_used
                   for n in ray.nodes() if n["Alive"]))
"""


def extract(made: Cluster, music: Path) -> dict[str, float]:
    """Tracks a second at steady state, and what went over the network and through the object store meanwhile."""
    home = home_of(made, "extracted")
    quiet, began = cables(made), time.monotonic()
    time.sleep(5.0)
    idle = (cables(made) - quiet) / (time.monotonic() - began)
    peak, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(2.0):
            peak.append(stored(made))

    watcher = threading.Thread(target=watch)
    watcher.start()
    before, began = cables(made), time.monotonic()
    try:
        made.job(*extraction(music, HEAVY))
    finally:
        over.set()
        watcher.join()
    sent = cables(made) - before - idle * (time.monotonic() - began)
    report = json.loads((home / "reports" / "music" / "extraction.json").read_text())
    tracks, written = report["extracted"], sum(report["bytes"].values())
    rate = (tracks - BATCH) / report["working_seconds"]
    return {"rate": rate, "network": max(0.0, sent) / written, "object_store": max(peak) / written, "idle": idle}


def kill(made: Cluster, music: Path) -> tuple[float, float]:
    """Seconds from a node's death to the next batch that is written, and of a batch."""
    home = home_of(made, "killed")
    driver = made.begin(*extraction(music, HEAVY))

    def parts() -> list[float]:
        return sorted(p.stat().st_mtime for p in (home / "features").glob("mel-*/parts/*.npy"))

    enough = 2 * len(made.network.machines)
    wait_until(lambda: driver.poll() is not None or len(parts()) >= enough, "batches are written")
    seen = parts()
    victim = made.network.machines[-1]
    died = time.time()
    victim.kill()
    wait_until(lambda: driver.poll() is not None or parts()[-1] > died, "the next batch is written")
    after = next(t for t in parts() if t > died) - died
    output, _ = driver.communicate(timeout=3000)
    assert driver.returncode == 0, output
    each = (seen[-1] - seen[0]) / (len(seen) - 1) * (len(made.network.machines) - 1)
    made.start(victim)
    made.wait_for(*made.network.machines)
    return after, each


def sweep(made: Cluster, music: Path, epochs: int) -> float:
    """Epochs a second of four trials, from the first to the last."""
    home = home_of(made, "swept")
    made.job(*extraction(music, FEATURE))
    made.job("jobs.sweep", "tests.integration.spaces:quick", "--dataset", "music", "--seed", "0", "--epochs",
             str(epochs), "--set", "optim.patience=1000")  # fmt: skip
    (described,) = home.glob("trials/*/sweep.json")
    ledger = Ledger(str(described.parent))
    times = sorted(t for p in ledger.proposals for t in ledger.trial(p).times().values())
    return (len(times) - 1) / (times[-1] - times[0])


def submission(made: Cluster) -> float:
    """Seconds that a job takes longer when it is submitted than on the head itself."""
    home_of(made, "submitted")
    job = ("jobs.ls",)
    began = time.monotonic()
    made.head.do(sys.executable, "-m", *job)
    here = time.monotonic() - began
    began = time.monotonic()
    home = made.head.environment["TONEARM_HOME"]
    made.head.do(sys.executable, "-m", "jobs.submit", "--address", "http://127.0.0.1:8265", "--home", home, "--", *job)
    return time.monotonic() - began - here


def measure(folder: Path, music: Path, small: Path, nodes: Sequence[int], epochs: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for count in nodes:
        place = folder / f"c{count}"
        place.mkdir()
        with running(place, count) as made:
            found[str(count)] = {**extract(made, music), "epochs": sweep(made, small, epochs)}
            if count == max(nodes):
                found["submission"] = submission(made)
                if count > 1:
                    found["kill"], found["batch"] = kill(made, music)
        print(count, {k: round(v, 4) for k, v in found[str(count)].items()}, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=384, help="that are extracted")
    parser.add_argument("--epochs", type=int, default=300, help="of each of four trials")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    load = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(prefix="tn", dir="/tmp"))
    try:
        write_music(folder / "music", options.tracks // 3, SECONDS)
        write_music(folder / "small" / "music", 10, SECONDS)
        found = measure(folder, folder / "music", folder / "small" / "music", options.nodes, options.epochs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    one, most = str(min(options.nodes)), str(max(options.nodes))
    times = int(most) / int(one)
    linear = {name: found[most][name] / found[one][name] / times for name in ("rate", "epochs")}
    rows: list[tuple[str, ...]] = [("", *(f"{n} nodes" for n in options.nodes), "share of linear", "wanted")]
    for name, title in (("rate", "tracks/s"), ("epochs", "epochs/s")):
        each = (f"{found[str(n)][name]:.2f}" for n in options.nodes)
        rows.append((title, *each, f"{linear[name]:.2f}", f"{LINEAR}"))
    print(format_table(rows))
    beside = {name: found[most][name] for name in ("network", "object_store")}
    result = {
        "share_of_core": SHARE, "cores": os.cpu_count(), "load_before": round(load, 1), "nodes": options.nodes,
        "linear_extraction": round(linear["rate"], 3), "linear_sweep": round(linear["epochs"], 3),
        "network_over_features": round(beside["network"], 4),
        "object_store_over_features": round(beside["object_store"], 4),
        "submission_seconds": round(found["submission"], 1), "kill_seconds": round(found.get("kill", 0.0), 1),
        "batch_seconds": round(found.get("batch", 0.0), 1),
    }  # fmt: skip
    gates = {
        "linear": min(linear.values()) >= LINEAR, "submission": found["submission"] <= SUBMISSION,
        "kill": found.get("kill", 0.0) <= 2 * found.get("batch", 0.0) + OVERHEAD,
        "beside": max(beside.values()) <= BESIDE,
    }  # fmt: skip
    print("missed: " + (", ".join(name for name, met in gates.items() if not met) or "none"))
    print(json.dumps({**result, "met": gates}))


if __name__ == "__main__":
    main()
