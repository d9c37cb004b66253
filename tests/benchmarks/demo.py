"""The demo as a user runs it: seconds by step, and the peak of all its processes' memory (sum of PSS).

make bench NAME=demo                        in a fresh home, on scores
make bench NAME=demo ARGS="--audio ... --label soundtrack"
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SECONDS_BETWEEN_LOOKS = 0.5


def tree_pss(root: psutil.Process) -> int:
    """Proportional set size, bytes, of a process and all that it started."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended while we looked
    return total


def main() -> None:
    """Run the demo and print what it took; the last line is JSON."""
    with tempfile.TemporaryDirectory(prefix="tonearm-bench-") as home:
        environment = {**os.environ, "TONEARM_HOME": home, "PYTHONUNBUFFERED": "1"}
        started = time.monotonic()
        job = subprocess.Popen([sys.executable, "-m", "jobs.demo", *sys.argv[1:]], cwd=ROOT, env=environment)
        watched = psutil.Process(job.pid)
        peak, peak_at = 0, 0.0
        while job.poll() is None:
            pss = tree_pss(watched)
            if pss > peak:
                peak, peak_at = pss, time.monotonic() - started
            time.sleep(SECONDS_BETWEEN_LOOKS)
        seconds = time.monotonic() - started
        if job.returncode:
            sys.exit(job.returncode)
        summary = json.loads(next(Path(home).glob("reports/*/summary.json")).read_text())
    print("\nstep                                                                seconds")
    for name, value in summary["seconds"].items():
        print(f"{name:68}{value:7.1f}")
    print(f"{'in all, with starting and ending':68}{seconds:7.1f}")
    print(f"peak memory, sum of PSS: {peak / 2**30:.2f} GiB, {peak_at:.0f} s after the start")
    figures = {
        "benchmark": "demo",
        "dataset": summary["dataset"],
        "seconds": seconds,
        "steps": summary["seconds"],
        "peak_pss_gib": peak / 2**30,
        "test_f1_micro": summary["test"]["intervals"]["f1_micro"],
        "test_f1_macro": summary["test"]["intervals"]["f1_macro"],
        "majority": summary["trivial"]["f1_micro"],
        "chance": summary["chance"],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
