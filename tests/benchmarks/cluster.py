"""A cluster on one machine: how extraction and a sweep grow with its nodes, and what its work costs beside the work.

make bench NAME=cluster
make bench NAME=cluster ARGS="--tracks 96 --epochs 30 --nodes 1 2"      a short run
make bench NAME=cluster ARGS="--share 0.4"                              a part of the machine is left to the head

Each node is a network namespace with one worker, held to half a core by a control group; the head and the driver are
on a machine of their own, without workers and not held, on the same cores: with four nodes these have nothing left.
Other work of the machine comes behind, and the cores that each really got are told.
Work grows with the nodes: so many tracks and one trial for each. Rates, and bytes over the nodes' cables, are of the
time when all nodes work; of the bytes those are left out that idle nodes send. What starting costs is told beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import tests.conftest  # noqa: F401  (what all of the tests' Rays answer to, before Ray is imported)
from tests.cluster.library import part_of, write_library
from tests.cluster.measures import Batches, cables, control_group, touched
from tests.cluster.nodes import Cluster, cluster
from tests.integration.conftest import write_music
from tests.servers import wait_until
from tests.tracking_database import put_database
from tonearm.core.text import format_table
from tonearm.pipelines.extract import TRACKS_A_PART
from tonearm.sweeps.ledger import Ledger

LINEAR, OVERHEAD, SUBMISSION, BESIDE = 0.8, 30.0, 8.0, 0.01  # what is wanted
FEATURE = "mel(n_mels=32,n_fft=1024,hop=512,frames=None)"  # that of the sweep's space
HEAVY = "mel,cqt,chroma,mfcc"
ENOUGH = 5  # epochs that all trials trained at the same time
ENDS = 2  # batches of each node at the beginning and at the end that are not counted: nodes start and end apart


@contextmanager
def running(folder: Path, count: int, share: float) -> Iterator[Cluster]:
    """A head without workers and so many nodes of one worker each."""
    with cluster(folder) as made, ExitStack() as ending:
        if not made.network.isolated:
            sys.exit(
                "the nodes are network namespaces: root's rights and iproute2 are needed: apt-get install iproute2"
            )
        dashboard = ("--dashboard-host=127.0.0.1", "--dashboard-port=8265")
        machines = [made.add("head", *dashboard, cpus=0, groups=ending.enter_context(control_group("head")))]
        ending.callback(made.head.kill)  # before its group is taken away
        made.wait_for(made.head)
        for i in range(count):
            machines.append(made.add(f"n{i}", groups=ending.enter_context(control_group(f"n{i}", share))))
            ending.callback(machines[-1].kill)
        made.wait_for(*machines)
        yield made


def home_of(made: Cluster, home: Path) -> Path:
    """All that is started next works there."""
    if not home.exists():
        put_database(home)
    for machine in made.network.machines:
        machine.environment["TONEARM_HOME"] = str(home)
    return home


def extraction(music: Path, features: str, *more: str) -> tuple[str, ...]:
    return ("jobs.extract", "--dataset", "folder", "--audio", str(music), "--features", features, *more)


def extract(made: Cluster, music: Path) -> dict[str, float]:
    """Tracks a second while all nodes work, and what went over the network and through the object store."""
    home, nodes = home_of(made, made.network.folder / "extracted"), made.network.machines[1:]
    quiet, began = cables(nodes), time.monotonic()
    time.sleep(10.0)
    idle = (cables(nodes) - quiet) / (time.monotonic() - began)
    before = touched(made.network.machines)
    with Batches(home, made.network.machines) as batches:
        start = batches.now()
        made.job(*extraction(music, HEAVY))
        end = batches.now()
    report = json.loads((home / "reports" / music.name / "extraction.json").read_text())
    tracks, written = report["extracted"], sum(report["bytes"].values())
    count, ends = -(-tracks // TRACKS_A_PART), ENDS * len(nodes)
    first, last = batches.moments[ends - 1], batches.moments[count - ends - 1]
    seconds, done = last.seconds - first.seconds, (count - 2 * ends) * TRACKS_A_PART
    sent = last.sent - first.sent - idle * seconds
    whole = end.sent - start.sent - idle * (end.seconds - start.seconds)
    a_track = written / tracks
    cores = [(after - before) / seconds for before, after in zip(first.worked, last.worked, strict=True)]
    return {
        "rate": done / seconds, "head_cores": cores[0], "node_cores": sum(cores[1:]) / len(nodes), "features": a_track,
        "network": sent / done / a_track, "starting": whole - sent / done * tracks, "idle": idle,
        "object_store": (touched(made.network.machines) - before) / written,
        "whole_network": whole / written,
    }  # fmt: skip


def kill(made: Cluster, music: Path) -> float:
    """Seconds from a node's death to the next batch that is written. The only node there is is started again at once,
    as its supervisor would."""
    home, nodes = home_of(made, made.network.folder / "killed"), made.network.machines[1:]
    with Batches(home, made.network.machines) as batches:
        driver = made.begin(*extraction(music, HEAVY))
        enough = ENDS * len(nodes)
        wait_until(lambda: driver.poll() is not None or len(batches.moments) >= enough, "batches are written")
        victim, died, seen = nodes[-1], time.monotonic(), len(batches.moments)
        victim.kill()
        if len(nodes) == 1:
            made.start(victim)
        wait_until(lambda: driver.poll() is not None or len(batches.moments) > seen, "the next batch is written")
        after = batches.moments[seen].seconds - died
        output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, output
    if len(nodes) > 1:
        made.start(victim)
    made.wait_for(*made.network.machines)
    return after


def sweep(made: Cluster, music: Path, home: Path, epochs: int) -> dict[str, float]:
    """Epochs a second while all nodes train, a trial each."""
    home_of(made, home)
    count = len(made.network.machines) - 1
    made.job(*extraction(music, FEATURE, "--seconds", "10", "--min-seconds", "3"))  # once: all clusters share the home
    made.job(*trainings(count, epochs, 1000 + count))
    times = [sorted(of.values()) for of in times_of(home, 1000 + count)]
    began, ended = max(t[0] for t in times), min(t[-1] for t in times)
    counted = [[t for t in each if began <= t <= ended] for each in times]
    if min(map(len, counted)) < ENOUGH:
        sys.exit(f"the {count} trials trained together for {min(map(len, counted))} epochs of {epochs}, {ENOUGH} are "
                 "needed: nodes begin apart, give more --epochs")  # fmt: skip
    return {"epochs": sum((len(t) - 1) / (t[-1] - t[0]) for t in counted), "epoch": (ended - began) / len(counted[0])}


def trainings(count: int, epochs: int, patience: int) -> tuple[str, ...]:
    """A sweep of so many trials, which differ by their seed only; by its patience, which is never used up, its own."""
    return ("jobs.sweep", "tests.integration.spaces:alike", "--dataset", "music", "--seeds", str(count), "--epochs",
            str(epochs), "--set", "window.train_per_track=16", "--set", f"optim.patience={patience}")  # fmt: skip


def times_of(home: Path, patience: int) -> list[dict[int, float]]:
    """When each epoch of each trial of such a sweep ended, as far as it has come."""
    folders = [str(path.parent) for path in home.glob("trials/*/sweep.json")]
    ledgers = [ledger for ledger in map(Ledger, folders) if ledger.proposals]
    return [
        ledger.trial(p).times() for ledger in ledgers for p in ledger.proposals if p.config.optim.patience == patience
    ]


def kill_in_sweep(made: Cluster, home: Path, epochs: int) -> float:
    """Seconds from a node's death to the next epoch of the trial that was on it, which comes last of all trials' next
    ones. The node is started again at once, as its supervisor would: all others are at work."""
    home_of(made, home)
    nodes, patience = made.network.machines[1:], 2000 + len(made.network.machines)
    driver = made.begin(*trainings(len(nodes), epochs, patience))

    def trained(epochs: int) -> bool:
        times = times_of(home, patience)
        return len(times) == len(nodes) and all(len(of) >= epochs for of in times)

    wait_until(lambda: driver.poll() is not None or trained(ENOUGH), "all trials are trained")
    nodes[-1].kill()
    died = time.time()
    made.start(nodes[-1])
    output, _ = driver.communicate(timeout=500)
    assert driver.returncode == 0, output
    made.wait_for(*made.network.machines)
    return max(min(t for t in of.values() if t > died) - died for of in times_of(home, patience))


def submission(made: Cluster) -> float:
    """Seconds that a job takes longer when it is submitted than on the head itself: the median of three."""
    home, took = home_of(made, made.network.folder / "submitted"), []
    for _ in range(3):
        began = time.monotonic()
        made.head.do(sys.executable, "-m", "jobs.ls")
        here = time.monotonic() - began
        made.head.do(sys.executable, "-m", "jobs.submit", "--address", "http://127.0.0.1:8265", "--home", str(home),
                     "--again", "--", "ls")  # fmt: skip
        took.append(time.monotonic() - began - 2 * here)
    return statistics.median(took)


def measure(folder: Path, options: argparse.Namespace) -> dict[int, dict[str, float]]:
    most, found = max(options.nodes), dict[int, dict[str, float]]()
    write_library(folder / "library", most * options.tracks)
    write_music(folder / "small" / "music", 10, 12.0)
    for count in options.nodes:
        place = folder / f"c{count}"
        music = part_of(folder / "library", place / "music", count * options.tracks)
        row = found[count] = {}
        with running(place, count, options.share) as made:
            tell(count, row, extract(made, music))
            tell(count, row, sweep(made, folder / "small" / "music", folder / "swept", options.epochs))
            if count in (1, most):
                some = part_of(folder / "library", place / "some", count * options.tracks // 2)
                tell(count, row, {"kill": kill(made, some), "batch": count * TRACKS_A_PART / row["rate"]})
                tell(count, row, {"kill_in_sweep": kill_in_sweep(made, folder / "swept", options.epochs)})
            if count == most:
                tell(count, row, {"submission": submission(made)})
    return found


def tell(count: int, row: dict[str, float], figures: dict[str, float]) -> None:
    """Keep some figures of so many nodes, and show them: the whole takes minutes."""
    row.update(figures)
    print(f"  {count} nodes:", ", ".join(f"{name} {value:.4g}" for name, value in figures.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tracks", type=int, default=128, help="that are extracted, for each node: a multiple of 16, 80 at least"
    )
    parser.add_argument("--epochs", type=int, default=40, help="of a trial")
    parser.add_argument("--share", type=float, default=0.5, help="of a core that a node gets")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    load = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(prefix="tn", dir="/tmp"))
    try:
        found = measure(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(table(found))
    print(json.dumps(result(found, options.share, load)))


def shares(found: dict[int, dict[str, float]], name: str) -> dict[int, float]:
    """Of a rate in proportion to the nodes, from the fewest of them on."""
    one = min(found)
    return {count: row[name] / found[one][name] / (count / one) for count, row in found.items()}


def table(found: dict[int, dict[str, float]]) -> str:
    rows: list[tuple[str, ...]] = [("nodes", *map(str, found))]
    for name, title in (("rate", "tracks/s"), ("epochs", "epochs/s")):
        rows.append((title, *(f"{row[name]:.2f}" for row in found.values())))
        rows.append(("  of linear", *(f"{share:.2f}" for share in shares(found, name).values())))
    for name, title in (("head_cores", "cores of the head, driver included"), ("node_cores", "cores of each node")):
        rows.append((title, *(f"{row[name]:.2f}" for row in found.values())))
    rows.append(("network, % of features", *(f"{100 * row['network']:.2f}" for row in found.values())))
    return format_table(rows)


def result(found: dict[int, dict[str, float]], share: float, load: float) -> dict[str, Any]:
    """The last line: figures, and which of the wanted ones are met."""
    most = max(found)
    linear = {name: {n: round(s, 3) for n, s in shares(found, name).items()} for name in ("rate", "epochs")}
    killed = {count: row for count, row in found.items() if "kill" in row}
    met = {
        "linear": min(of[most] for of in linear.values()) >= LINEAR,
        "submission": found[most]["submission"] <= SUBMISSION,
        "kill": all(row["kill"] <= 2 * row["batch"] + OVERHEAD for row in killed.values()),
        "kill_in_sweep": all(row["kill_in_sweep"] <= 2 * row["epoch"] + OVERHEAD for row in killed.values()),
        "network": max(row["network"] for row in found.values()) <= BESIDE,
        "object_store": max(row["object_store"] for row in found.values()) <= BESIDE,
    }
    return {
        "held_by": "control groups", "share_of_core": share, "cores": os.cpu_count(), "load_before": round(load, 1),
        "linear_extraction": linear["rate"], "linear_sweep": linear["epochs"],
        "cores_of_head": {n: round(row["head_cores"], 2) for n, row in found.items()},
        "cores_of_node": {n: round(row["node_cores"], 2) for n, row in found.items()},
        "feature_bytes_a_track": round(found[most]["features"]),
        "network_over_features": {n: round(row["network"], 4) for n, row in found.items()},
        "network_of_starting": {n: round(row["starting"]) for n, row in found.items()},
        "object_store_over_features": {n: round(row["object_store"], 5) for n, row in found.items()},
        "kill_seconds": {n: round(row["kill"], 1) for n, row in killed.items()},
        "kill_in_sweep_seconds": {n: round(row["kill_in_sweep"], 1) for n, row in killed.items()},
        "batch_seconds": round(found[most]["batch"], 1), "epoch_seconds": round(found[most]["epoch"], 2),
        "submission_seconds": round(found[most]["submission"], 1), "met": met,
    }  # fmt: skip


if __name__ == "__main__":
    main()
