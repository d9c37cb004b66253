"""What so many tracks cost: machine hours and money, from seconds that a run on a home has measured.

    python -m infra.cost ~/tonearm/.tonearm --dataset scores --price 0.40 --cores 16

Extraction and epochs are taken to grow with the tracks; the number of epochs and the splits' shares to stay. Machines
are taken to be as fast as the one that was measured, and never idle: the arithmetic is a lower bound.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tonearm.core.errors import JobError
from tonearm.core.text import format_table
from tonearm.datasets.manifest import load_manifest
from tonearm.features.store import FeatureStore

SIZES = (100_000, 1_000_000, 100_000_000)
HOUR = 3600.0
FEATURES_STEP = "Features"  # with which the name of the demo's step begins


@dataclass(frozen=True)
class Extraction:
    """Seconds of a core, and bytes stored, a track; ``how`` says where the seconds were read."""

    core_seconds: float
    bytes: float
    how: str


@dataclass(frozen=True)
class Training:
    """Of the trials of one kind of network: how many were measured, the mean of their epochs, and the seconds of a core
    that an epoch takes a track of the data set, of whatever split."""

    kind: str
    trials: int
    epochs: float
    core_seconds: float


def measured_extraction(home: Path, dataset: str, cores: int) -> Extraction:
    """From the report of ``tonearm extract``, CPU time; else from the demo's summary, the seconds of the step on all
    cores, Ray's start included.

    Raises
    ------
    JobError
        If neither is there.
    """
    report, summary = (home / "reports" / dataset / name for name in ("extraction.json", "summary.json"))
    stored = _bytes_a_track(home / "features")
    if report.exists() and (found := json.loads(report.read_text()))["extracted"]:
        seconds = found["decode_cpu_seconds"] + found["compute_cpu_seconds"]
        return Extraction(seconds / found["extracted"], stored, f"CPU time of {found['extracted']} tracks")
    if summary.exists():
        found = json.loads(summary.read_text())
        steps = [s for name, s in found["seconds"].items() if name.startswith(FEATURES_STEP)]
        if steps and found["tracks"]:
            how = f"{steps[0]:.1f} s for {found['tracks']} tracks on {cores} cores, Ray's start included"
            return Extraction(steps[0] * cores / found["tracks"], stored, how)
    raise JobError(f"{home / 'reports' / dataset} holds no figures of an extraction: run tonearm extract, or the demo")


def measured_trainings(home: Path, dataset: str) -> list[Training]:
    """From the histories of the trials on this data set, each on a core of its own.

    Raises
    ------
    JobError
        If there is none.
    """
    tracks = len(load_manifest(str(home / "data" / dataset / "manifest.parquet")).tracks)
    found: dict[str, list[list[float]]] = defaultdict(list)
    for history in sorted((home / "trials" / "single").glob("*/history.json")):
        config = json.loads((history.parent / "config.json").read_text())
        seconds = [epoch["epoch_seconds"] for epoch in json.loads(history.read_text())]
        if config["dataset"]["name"] == dataset and seconds:
            found[config["model"]["kind"]].append(seconds)
    if not found:
        raise JobError(f"{home / 'trials'} holds no trial on {dataset}: run tonearm sweep, or the demo")
    return [
        Training(kind, len(of), sum(map(len, of)) / len(of), sum(map(sum, of)) / sum(map(len, of)) / tracks)
        for kind, of in sorted(found.items())
    ]


def table(
    extraction: Extraction, trainings: list[Training], sizes: tuple[int, ...], cores: int, price: float, trials: int
) -> list[tuple[str, ...]]:
    """Rows for people; the first holds the columns' names. Money is of ``price`` a machine hour of ``cores`` cores."""
    rows = [("tracks", "step", "core hours", f"hours of a machine of {cores} cores", "money", "stored")]
    for size in sizes:
        core_hours = size * extraction.core_seconds / HOUR
        rows.append((f"{size:,}", "extract", *_cost(core_hours, cores, price), _size(size * extraction.bytes)))
        for t in trainings:
            core_hours = trials * size * t.epochs * t.core_seconds / HOUR
            rows.append((f"{size:,}", f"{trials} trials of {t.kind}", *_cost(core_hours, cores, price), ""))
    return rows


def _cost(core_hours: float, cores: int, price: float) -> Iterator[str]:
    hours = core_hours / cores
    return (f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in (core_hours, hours, hours * price))


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count < 1e12 else f"{count / 1e12:,.1f} TB"


def _bytes_a_track(features: Path) -> float:
    """Of all stores and tables together, by the clips of the largest store; 0 without one."""
    stores = [FeatureStore(str(found.parent)) for found in features.glob("*/representation.json")]
    clips = max(map(len, stores), default=0)
    return sum(f.stat().st_size for f in features.rglob("*") if f.is_file()) / clips if clips else 0.0


def main() -> None:
    """Print what was measured and what it comes to."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("home", type=Path, help="TONEARM_HOME of the run")
    options.add_argument("--dataset", default="scores")
    options.add_argument("--measured-cores", type=int, default=2, help="of the machine of the run")
    options.add_argument("--cores", type=int, default=16, help="of a machine that is paid for")
    options.add_argument("--price", type=float, required=True, help="of an hour of it")
    options.add_argument("--trials", type=int, default=4, help="of each kind of network")
    options.add_argument("--tracks", type=int, nargs="+", default=SIZES)
    given = options.parse_args()
    try:
        extraction = measured_extraction(given.home, given.dataset, given.measured_cores)
        trainings = measured_trainings(given.home, given.dataset)
    except (JobError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"measured on {given.home}, data set {given.dataset}:")
    print(f"  extraction  {extraction.core_seconds:.3f} s of a core a track ({extraction.how})")
    for t in trainings:
        print(f"  {t.kind}  {1000 * t.core_seconds:.2f} ms of a core a track and epoch, {t.epochs:.1f} epochs "
              f"({t.trials} trials)")  # fmt: skip
    sizes = tuple(given.tracks)
    print(format_table(table(extraction, trainings, sizes, given.cores, given.price, given.trials)))


if __name__ == "__main__":
    main()
