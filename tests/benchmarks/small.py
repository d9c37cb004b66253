"""What is heard in a few hundred recordings: recipes in five folds, artists apart, and what they cost.

make bench NAME=small                                                             the demo's rendered scores
make bench NAME=small ARGS="--data ../shared/data/soundtracks --label soundtrack"
make bench NAME=small ARGS="--recipes handcrafted,blocks --seeds 1 --home DIR"     goes on in a home that is kept

Features are extracted once; their CPU seconds are counted apart, and so are those of all trainings of a recipe. Scores
are means over folds (and seeds) with the deviation between them; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tonearm.core.text import format_table

ROOT = Path(__file__).parents[2]
RECIPES = ("handcrafted", "blocks", "time_augmented")  # and blocks_pretrained, where tonearm weights musicnn was run
CHANCELESS = {"handcrafted", "blocks", "blocks_pretrained"}  # one seed says all: nothing in them is drawn
FOLDS = 5


def run(home: Path, arguments: list[str]) -> tuple[str, float]:
    """What a job prints, and the CPU seconds of all its processes."""
    env = {**os.environ, "TONEARM_HOME": str(home), "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}"}
    job = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)  # fmt: skip
    assert job.stdout is not None  # a pipe was asked for
    output = job.stdout.read()
    _, status, usage = os.wait4(job.pid, 0)
    job.returncode = os.waitstatus_to_exitcode(status)
    if job.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{output}")
    return output, usage.ru_utime + usage.ru_stime


def measured(home: Path, recipe: str, data: list[str], seeds: int) -> list[dict[str, Any]]:
    """A row for each model of a recipe."""
    own = 1 if recipe in CHANCELESS else seeds
    arguments = ["jobs.train", "--recipe", recipe, *data, "--folds", str(FOLDS), "--seeds", str(own)]
    print(f"{recipe}: {own} seed(s) x {FOLDS} folds ...", flush=True)
    _, with_features = run(home, arguments)
    _, again = run(home, arguments)  # nothing is trained again: what starting and reading costs
    (report,) = home.glob(f"reports/*/{recipe}-*/summary.json")
    summary = json.loads(report.read_text())
    return [
        {
            "recipe": recipe,
            "model": row["name"],
            "f1_micro": mean_and_deviation([each["f1_micro"] for each in row["each"]]),
            "f1_macro": mean_and_deviation([each["f1_macro"] for each in row["each"]]),
            "log_loss": mean_and_deviation([each["log_loss"] for each in row["each"]]),
            "majority": mean_and_deviation([each["f1_micro"] for each in row["trivial"]])[0],
            "seconds_a_fold": row["seconds"],
            "cpu_seconds": max(0.0, with_features - again),
            "seeds": own,
        }
        for row in summary["rows"]
    ]


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """The deviation is that between runs (n - 1)."""
    mean = sum(values) / len(values)
    squares = sum((value - mean) ** 2 for value in values)
    return mean, (squares / (len(values) - 1)) ** 0.5 if len(values) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="a folder of recordings; the demo's rendered scores if none is given")
    parser.add_argument("--label", default="genre", help="what the label is")
    parser.add_argument("--recipes", default=",".join(RECIPES), help="comma list")
    parser.add_argument("--seeds", type=int, default=3, help="where chance plays")
    parser.add_argument("--home", type=Path, help="kept afterwards; a temporary one if none is given")
    options = parser.parse_args()
    data = ["--data", options.data, "--label", options.label] if options.data else ["--dataset", "scores"]
    if options.data:
        data[1] = str(Path(options.data).resolve())
    with tempfile.TemporaryDirectory(prefix="tonearm-bench-") as temporary:
        home = (options.home or Path(temporary)).resolve()
        rows = [row for recipe in options.recipes.split(",") for row in measured(home, recipe, data, options.seeds)]
    table = [
        (
            row["recipe"] if row["model"] == row["recipe"] else f"{row['recipe']}: {row['model']}",
            *("{:.3f} ± {:.3f}".format(*row[name]) for name in ("f1_micro", "f1_macro", "log_loss")),
            f"{row['majority']:.3f}", str(row["seeds"]), f"{row['seconds_a_fold']:.1f}", f"{row['cpu_seconds']:.0f}",
        )
        for row in rows
    ]  # fmt: skip
    headings = ("recipe", "f1_micro", "f1_macro", "log loss", "majority", "seeds", "s a fold", "CPU s in all")
    print(format_table([headings, *table]))
    print(json.dumps({"benchmark": "small", "data": options.data or "scores", "rows": rows}))


if __name__ == "__main__":
    main()
