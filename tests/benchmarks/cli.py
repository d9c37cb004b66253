"""How long the command line lets a person wait: CPU seconds of help, of a wrong argument, and of ``tonearm ls``.

make bench NAME=cli
make bench NAME=cli ARGS="--repeat 5 --home ~/.tonearm"      of a home with something in it

CPU seconds are of the whole process, Python's own start included; the least of some runs: the machine may be busy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from jobs.cli import COMMANDS
from tonearm.core.text import format_table

ROOT = Path(__file__).parents[2]
GATE = 0.5  # CPU seconds of help and of a wrong argument
DEADLINE = 60.0  # seconds of one call
WRONG = {
    "demo": ["--label", "genre"],
    "extract": ["--dataset", "folder", "--position", "centre"],
    "train": ["--recipe", "time_mell"],
    "sweep": ["demo", "--gpus", "2"],
    "select": [],
    "compare": ["--split", "training"],
    "predict": ["no-such-file.mp3"],
    "recommend": ["--dataset", "no-such-data"],
    "factors": ["--alpha", "much"],
    "serve": ["--port", "70000"],
    "deploy": ["scores", "--server", "127.0.0.1"],
    "pipeline": ["no-such-file.yaml"],
    "mlflow": ["--port", "70000"],
    "submit": ["--", "jobs.swep"],
    "ls": ["--csv"],
    "status": ["--port", "x"],
    "clean": ["--hours", "-1"],
}
"""Arguments of each command that cannot be: it must say so and end with a code other than 0."""
ABSENT = (
    "extract --dataset foldr",
    "extract --dataset folder --audio no-such-folder",
    "extract --dataset folder --audio . --space demoo",
    "train --recipe time_mel --dataset foldr",
    "sweep demoo",
    "sweep demo --dataset no-such-data",
    "sweep demo --dataset scores --warm-start nobody",
    "select nobody",
    "compare nobody",
)
"""Calls that name what is not there. Of recipes and spaces the first call of all learns the names: it is not counted.
"""


def cpu_seconds(arguments: Sequence[str], home: str, repeat: int) -> tuple[float, int]:
    """The least CPU seconds of a call of ``tonearm``, and its exit code."""
    env = {
        **os.environ,
        "TONEARM_HOME": home,
        "TONEARM_CACHE": f"{home}/cache",
        "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}",
    }
    env.pop("MLFLOW_TRACKING_URI", None)
    least, code = float("inf"), 0
    for _ in range(repeat):
        child = subprocess.Popen([sys.executable, "-m", "jobs.cli", *arguments], env=env, cwd=tempfile.gettempdir(),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        stop = threading.Timer(DEADLINE, child.kill)  # of what was not refused and began its work
        stop.start()
        _, status, usage = os.wait4(child.pid, 0)
        stop.cancel()
        child.returncode = code = os.waitstatus_to_exitcode(status)
        least = min(least, usage.ru_utime + usage.ru_stime)
    return least, code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each call")
    parser.add_argument("--home", default="", help="what tonearm ls lists; by default an empty home")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as empty:
        home = str(Path(options.home).expanduser().absolute()) if options.home else empty
        shown, _ = cpu_seconds(["--help"], empty, options.repeat)
        for learns in ("train --recipe x", "sweep x"):
            cpu_seconds(learns.split(), empty, 1)
        found = {"tonearm --help": shown, "tonearm swep": cpu_seconds(["swep"], empty, options.repeat)[0]}
        rows: list[tuple[str, ...]] = [("command", "--help", "wrong", "")]
        unsaid = []
        for name in COMMANDS:
            shown, _ = cpu_seconds([name, "--help"], empty, options.repeat)
            refused, code = cpu_seconds([name, *WRONG[name]], empty, options.repeat)
            unsaid += [name] if code == 0 else []
            found |= {f"{name} --help": shown, f"{name} wrong": refused}
            rows.append((name, f"{shown:.2f}", f"{refused:.2f}", " ".join(WRONG[name])))
        for call in ABSENT:
            seconds, code = cpu_seconds(call.split(), empty, options.repeat)
            unsaid += [call] if code == 0 else []
            found[call] = seconds
        listed = {f"tonearm {name}": cpu_seconds([name], home, options.repeat)[0] for name in ("ls", "status")}
    print("CPU seconds")
    print(format_table(rows))
    print(
        format_table(
            [(name, f"{seconds:.2f}") for name, seconds in {**{c: found[c] for c in ABSENT}, **listed}.items()]
        )
    )
    slow = [name for name, seconds in found.items() if seconds > GATE]
    print(f"above {GATE} s: {', '.join(slow) or 'none'}; wrong and not refused: {', '.join(unsaid) or 'none'}")
    figures = {name: round(seconds, 3) for name, seconds in {**found, **listed}.items()}
    print(json.dumps({"cpu_seconds": figures, "gate": GATE, "slow": slow, "not_refused": unsaid}))


if __name__ == "__main__":
    main()
