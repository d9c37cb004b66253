"""How time and memory grow with the number of tracks: made inputs of several sizes, each size in a fresh process.

make bench NAME=scale                                             every part at 10 000 and 100 000 tracks
make bench NAME=scale ARGS="--part duplicates --tracks 10000,100000,1000000"

A part is a module ``scale_PART.py`` beside this one with a generator ``steps(tracks, folder)``, which yields names and
functions. Only the functions are measured: what the generator does between them makes their inputs, in a folder of its
own or in memory. What a function returns as a dict of numbers is printed as further figures.

CPU seconds are those of the process and of those that it waited for; memory is the peak beyond what was held before,
of the process alone. The exponent is that of the CPU seconds between the last two sizes: 1 is linear, 2 quadratic.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, cast

from tonearm.core.text import format_table

HERE = Path(__file__)
PREFIX = "scale_"
PARTS = sorted(path.stem.removeprefix(PREFIX) for path in HERE.parent.glob(f"{PREFIX}*.py"))
LEAST_SECONDS = 0.05  # of CPU: the growth of less is noise
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

Step = tuple[str, Callable[[], object]]
Figures = dict[str, float]


class Part(Protocol):
    """What a module of a part has."""

    def steps(self, tracks: int, folder: Path) -> Iterator[Step]: ...


def measure(part: str, tracks: int) -> None:
    """Run the steps of a part, and print a line of JSON for each."""
    module = cast("Part", importlib.import_module(f"tests.benchmarks.{PREFIX}{part}"))
    with tempfile.TemporaryDirectory(prefix="tonearm-scale-") as folder:
        os.environ["TONEARM_HOME"] = str(Path(folder) / "home")
        for name, function in module.steps(tracks, Path(folder)):
            before = _resident_mib(peak=False)
            _forget_peak()
            wall, cpu = time.perf_counter(), _cpu_seconds()
            found = function()
            figures = {
                "cpu_s": _cpu_seconds() - cpu,
                "wall_s": time.perf_counter() - wall,
                "peak_mib": max(0.0, _resident_mib(peak=True) - before),
                **(found if isinstance(found, Mapping) else {}),
            }
            print(json.dumps({name: {key: round(float(value), 3) for key, value in figures.items()}}), flush=True)


def _cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in used)


def _forget_peak() -> None:
    """Let the kernel count the peak from now on, where it can; elsewhere the peak is that of all steps so far."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def _resident_mib(peak: bool) -> float:
    status = Path("/proc/self/status")
    if status.exists():
        name = "VmHWM:" if peak else "VmRSS:"
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name)) / 1024
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest / (2**20 if sys.platform == "darwin" else 1024)


def run_apart(part: str, tracks: int) -> dict[str, Figures]:
    """Measure a part at one size in a fresh process: its figures by step."""
    found: dict[str, Figures] = {}
    command = [sys.executable, "-m", "tests.benchmarks.scale", "--measure", part, str(tracks)]
    with subprocess.Popen(command, cwd=HERE.parents[2], env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE,
                          text=True) as process:  # fmt: skip
        for line in process.stdout or ():
            if line.startswith("{"):
                found |= json.loads(line)
                print(f"  {part} {tracks}: {line.strip()}", file=sys.stderr, flush=True)
    if process.returncode:
        sys.exit(f"part {part} ended with {process.returncode} at {tracks} tracks")
    return found


def exponent(sizes: list[int], seconds: list[float]) -> float | None:
    """The growth between the last two sizes; None where there are no two, or they took no time."""
    if len(sizes) < 2 or min(seconds[-2:]) < LEAST_SECONDS:
        return None
    return math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="one part; may be given several times")
    parser.add_argument("--tracks", default="10000,100000", help="numbers of tracks, ascending")
    parser.add_argument("--measure", nargs=2, metavar=("PART", "TRACKS"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        measure(chosen.measure[0], int(chosen.measure[1]))
        return
    sizes = [int(size) for size in chosen.tracks.split(",")]
    found = {part: {size: run_apart(part, size) for size in sizes} for part in chosen.part or PARTS}
    rows: list[tuple[str, ...]] = [("part", "step", "tracks", "CPU s", "wall s", "peak MiB", "exponent", "")]
    growth: dict[str, float | None] = {}
    for part, by_size in found.items():
        for step in by_size[sizes[0]]:
            seconds = [by_size[size][step]["cpu_s"] for size in sizes]
            power = growth[f"{part} {step}"] = exponent(sizes, seconds)
            for size in sizes:
                figures = dict(by_size[size][step])
                measured = [f"{figures.pop(name):.2f}" for name in ("cpu_s", "wall_s", "peak_mib")]
                last = size == sizes[-1] and power is not None
                more = ", ".join(f"{name} {value:g}" for name, value in figures.items())
                rows.append((part, step, f"{size:,}", *measured, f"{power:.2f}" if last else "", more))
    print(format_table(rows))
    print(json.dumps({"benchmark": "scale", "parts": found, "exponents": growth}))


if __name__ == "__main__":
    main()
