"""What a sweep costs beyond its training, what stopping early saves, and what a second worker brings.

make bench NAME=sweeps                          all of it, on the demo's scores: about a quarter of an hour on 2 cores
make bench NAME=sweeps ARGS="--only overhead"   one part: overhead, pauses, asha, workers or growth

CPU time is that of the driver, Ray and all workers, read from the kernel twice a second. Ratios are of one run.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).parents[2]
SECONDS_BETWEEN_LOOKS = 0.5
LONG_TRIAL = 60.0  # seconds of training, of which the overhead is to be a small part
GATES = {"overhead_seconds": 5.0, "start_seconds": 5.0}
IMPORTS = "import torch, mlflow, ray.tune, sklearn, tonearm.training.trial, tonearm.tracking.buffer"
CHILD = "TONEARM_BENCH_PART"


@dataclasses.dataclass(frozen=True)
class Run:
    """One sweep in a process of its own.

    Attributes
    ----------
    seconds, cpu_seconds
        Of the whole job, with starting and ending.
    trials
        By index: ``best``, ``epochs``, ``seconds`` of its epochs, ``ended`` (time of day), ``tracks`` of validation.
    begun
        Time of day at which Ray was there and the first trial could be handed out.
    """

    seconds: float
    cpu_seconds: float
    trials: list[dict[str, Any]]
    begun: float


def tree_cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a process and all that it starts, to its end."""
    used: dict[tuple[int, float], float] = {}
    while True:
        over = process.poll() is not None
        try:
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            tree = []
        for one in tree:
            try:
                spent = one.cpu_times()
                used[one.pid, one.create_time()] = spent.user + spent.system
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        if over:
            return sum(used.values())
        time.sleep(SECONDS_BETWEEN_LOOKS)


def run_apart(part: Mapping[str, Any], kept: str = "") -> Run:
    """Run a sweep in a fresh process, in a home of its own on the same features, which is ``kept`` if it is given."""
    started = time.monotonic()
    with (
        tempfile.NamedTemporaryFile("r", suffix=".json") as answer,
        tempfile.TemporaryDirectory(prefix="tonearm-bench-") as fresh,
    ):
        own = kept or fresh
        for name in {"data", "features"} - {path.name for path in Path(own).iterdir()}:
            Path(own, name).symlink_to(Path(os.environ["TONEARM_HOME"], name).resolve())
        environment = {**os.environ, CHILD: json.dumps({**part, "answer": answer.name}), "PYTHONUNBUFFERED": "1",
                       "TONEARM_HOME": own}  # fmt: skip
        process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.sweeps"], cwd=ROOT, env=environment,
                                   stdout=subprocess.DEVNULL if part.get("quiet", True) else None)  # fmt: skip
        cpu = tree_cpu_seconds(process)
        if process.returncode:
            sys.exit(process.returncode)
        found = json.loads(answer.read())
    return Run(time.monotonic() - started, cpu, found["trials"], found["begun"])


# --- in the child


def child(part: dict[str, Any]) -> None:
    """Run one sweep and write down what came of it."""
    from tonearm.workflows.ray_session import start_ray
    from tonearm.workflows.sweep import run_plan
    from tonearm.workflows.sweep_data import SweepRequest, sweep_data
    from tonearm.workflows.sweep_plan import plan_sweep

    space = space_of(part)
    plan = plan_sweep(part["name"], space, sweep_data(SweepRequest(part["name"], space, "scores")))
    start_ray(part["workers"])
    begun = time.time()
    results = run_plan(plan).results
    trials = [
        {
            "best": r.best, "epochs": len(r.history), "seconds": sum(h["epoch_seconds"] for h in r.history),
            "ended": Path(r.folder.uri, "state.pt").stat().st_mtime, "tracks": len(r.folder.validation().track_ids),
        }
        for r in results
    ]  # fmt: skip
    Path(part["answer"]).write_text(json.dumps({"trials": trials, "begun": begun}))


def space_of(part: Mapping[str, Any]) -> Any:
    """The demo's grid, or some of its trials, for so many epochs."""
    from search_spaces import SPACES
    from tonearm.sweeps import Choice, Full, Grid, LogUniform, Median, Random

    space = SPACES[part["space"]]()
    if part.get("epochs"):
        space = space.replace_base({"optim.epochs": part["epochs"], "optim.patience": part["epochs"]})
    if part.get("rates"):
        over = {"optim.lr": Choice(*part["rates"])}
        scheduler = Median(others=99) if part.get("pauses") else Full()  # with 99 others nobody is stopped
        space = dataclasses.replace(space, over=over, search=Grid(), scheduler=scheduler)
    if part.get("random"):
        space = dataclasses.replace(space, over={"optim.lr": LogUniform(1e-4, 1e-2)}, search=Random(), scheduler=Full(),
                                    trials=part["random"], seeds=part["seeds"])  # fmt: skip
    return dataclasses.replace(space, seed=part.get("seed", 0))


def bare_seconds(epochs: int) -> float:
    """Seconds that :func:`tonearm.training.fit.fit` alone takes for the grid's base, on one thread."""
    import torch

    from tonearm.core import home
    from tonearm.core.seeding import derive_seed
    from tonearm.training.bundle import build_network
    from tonearm.training.examples import make_examples
    from tonearm.training.fit import fit
    from tonearm.workflows.sweep_data import SweepRequest, sweep_data
    from tonearm.workflows.sweep_plan import plan_sweep

    torch.set_num_threads(1)
    space = space_of({"space": "demo_grid", "epochs": epochs, "rates": [1e-3]})
    plan = plan_sweep("bare", space, sweep_data(SweepRequest("bare", space, "scores")))
    config = plan.proposer.base
    examples = make_examples(config, plan.sweep.manifest, home.features_home(), home.node_cache())
    torch.manual_seed(derive_seed("weights", config.seed, config.model.kind))
    network = build_network(config, len(examples.classes))
    started = time.perf_counter()
    for _ in fit(network, config.task, examples, config.optim, config.seed):
        pass
    return time.perf_counter() - started


# --- the figures


def overhead() -> dict[str, float]:
    """Seconds of a trial beyond the bare loop: one worker, one trial after the other."""
    bare_seconds(1)  # compiles and reads what the first one would wait for
    short = bare_seconds(12)
    epochs = max(13, round(12 * LONG_TRIAL / short))
    rates = [1e-3 * (1 + i / 100) for i in range(6)]
    many = run_apart({"space": "demo_grid", "name": "overhead", "rates": rates, "epochs": 12, "workers": 1})
    ends = sorted(t["ended"] for t in many.trials)
    between = np.diff(ends)
    short_again = bare_seconds(12)
    long = bare_seconds(epochs)
    two = run_apart({"space": "demo_grid", "name": "long", "rates": rates[:2], "epochs": epochs, "workers": 1})
    ends = sorted(t["ended"] for t in two.trials)
    long_trial = float(ends[1] - ends[0])
    long_again = bare_seconds(epochs)
    bare_short, bare_long = (short + short_again) / 2, (long + long_again) / 2
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    imports = time.perf_counter() - started
    first = min(t["ended"] for t in many.trials) - many.begun
    figures = {
        "bare_seconds": bare_short,
        "trial_seconds": float(np.median(between)),
        "overhead_seconds": float(np.median(between)) - bare_short,
        "first_trial_seconds": first,
        "import_seconds": imports,
        "start_seconds": first - bare_short - imports,
        "long_bare_seconds": bare_long,
        "long_trial_seconds": long_trial,
        "long_overhead_share": long_trial / bare_long - 1,
    }
    print(f"a trial of {bare_short:.1f} s of bare fit takes {figures['trial_seconds']:.1f} s: overhead "
          f"{figures['overhead_seconds']:.2f} s (goal 3, gate 5)")  # fmt: skip
    print(f"the first one, in a worker that must start, {first:.1f} s, of which {imports:.1f} s are imports: "
          f"{figures['start_seconds']:.1f} s of start-up (gate 5)")  # fmt: skip
    print(f"a trial of {bare_long:.1f} s takes {long_trial:.1f} s: {100 * figures['long_overhead_share']:.1f} % more "
          "(goal 5 %)")  # fmt: skip
    return figures


def pauses() -> dict[str, float]:
    """Seconds that a pause at a rung costs: six trials by one worker, each paused three times, against none."""
    rates = [1e-3 * (1 + i / 100) for i in range(6)]
    seconds = {}
    for name, paused in (("straight", False), ("paused", True)):
        part = {"space": "demo_grid", "name": name, "rates": rates, "epochs": 12, "workers": 1, "pauses": paused,
                "seed": int(paused)}  # fmt: skip
        run = run_apart(part)
        trained = sum(t["seconds"] for t in run.trials)
        seconds[name] = max(t["ended"] for t in run.trials) - run.begun - trained  # all that is no training
    figures = {**{f"{name}_seconds": s for name, s in seconds.items()},
               "pause_seconds": (seconds["paused"] - seconds["straight"]) / (3 * len(rates))}  # fmt: skip
    print(f"6 trials: {seconds['straight']:.1f} s beside training, with three pauses each {seconds['paused']:.1f} s: "
          f"{figures['pause_seconds']:.2f} s a pause")  # fmt: skip
    return figures


def asha() -> dict[str, float]:
    """The best of 32 trials with and without stopping early, and the CPU time of both."""
    cores = os.cpu_count() or 1
    grid = run_apart({"space": "demo_grid", "name": "grid", "workers": cores})
    stopped = run_apart({"space": "demo_asha", "name": "asha", "workers": cores})
    best = {name: max(t["best"] for t in run.trials) for name, run in (("grid", grid), ("asha", stopped))}
    tracks = grid.trials[0]["tracks"]
    error = float(np.sqrt(best["grid"] * (1 - best["grid"]) / tracks))
    figures = {
        "grid_best": best["grid"], "asha_best": best["asha"], "standard_error": error,
        "grid_cpu_seconds": grid.cpu_seconds, "asha_cpu_seconds": stopped.cpu_seconds,
        "asha_share": stopped.cpu_seconds / grid.cpu_seconds,
        "epochs_share": sum(t["epochs"] for t in stopped.trials) / sum(t["epochs"] for t in grid.trials),
    }  # fmt: skip
    print(f"grid of 32: best validation F1 micro {best['grid']:.3f} (standard error {error:.3f} of {tracks} tracks), "
          f"{grid.cpu_seconds:.0f} CPU s")  # fmt: skip
    print(f"ASHA of 32: best {best['asha']:.3f}, {stopped.cpu_seconds:.0f} CPU s: {figures['asha_share']:.2f} of the "
          f"grid's (goal 0.33); {figures['epochs_share']:.2f} of its epochs")  # fmt: skip
    return figures


def workers() -> dict[str, float]:
    """How much sooner two workers finish eight trials than one: from the first hand-out to the last end."""
    rates = [1e-3 * (1 + i / 100) for i in range(8)]
    spans = {}
    for count in (1, 2):
        part = {"space": "demo_grid", "name": f"workers-{count}", "rates": rates, "epochs": 24, "workers": count,
                "seed": count}  # fmt: skip
        run = run_apart(part)
        spans[count] = max(t["ended"] for t in run.trials) - run.begun
    figures = {"one_seconds": spans[1], "two_seconds": spans[2], "speedup": spans[1] / spans[2]}
    print(f"8 trials: one worker {spans[1]:.1f} s, two {spans[2]:.1f} s: {figures['speedup']:.2f} x (goal 1.7)")
    return figures


def growth() -> dict[str, float]:
    """What more trials of a finished sweep cost, and one more seed: trials trained, and seconds beside training."""
    figures, known = dict[str, float](), set[float]()  # when each trial ended
    with tempfile.TemporaryDirectory(prefix="tonearm-bench-") as own:
        for name, trials, seeds in (("first", 4, 1), ("again", 4, 1), ("twice", 8, 1), ("seed", 8, 2)):
            part = {"space": "demo_grid", "name": "growth", "random": trials, "seeds": seeds, "epochs": 2, "workers": 1}
            run = run_apart(part, own)
            new, known = [t for t in run.trials if t["ended"] not in known], {t["ended"] for t in run.trials}
            beside = run.seconds - sum(t["seconds"] for t in new)
            figures |= {f"{name}_trained": float(len(new)), f"{name}_beside_seconds": beside}
            print(
                f"{trials} trials, {seeds} seed(s): {len(new)} trained in {run.seconds:.1f} s, {beside:.1f} beside it"
            )
    return figures


PARTS = {"overhead": overhead, "workers": workers, "pauses": pauses, "asha": asha, "growth": growth}


def main() -> None:
    """Run the parts and print their figures; the last line is JSON."""
    if os.environ.get(CHILD):
        child(json.loads(os.environ[CHILD]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(PARTS), help="one part")
    parser.add_argument("--home", help="where data, features and trials are kept; by default a fresh folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tonearm-bench-") as fresh:
        os.environ["TONEARM_HOME"] = chosen.home or fresh
        from tonearm.workflows.ray_session import stop_ray
        from tonearm.workflows.sweep_data import SweepRequest, sweep_data

        sweep_data(SweepRequest("data", space_of({"space": "demo_grid"}), "scores"))
        stop_ray()  # data are rendered and extracted once, outside of all figures
        found = {name: part() for name, part in PARTS.items() if chosen.only in (None, name)}
    print(json.dumps({"benchmark": "sweeps", **found}))
    if any(found.get("overhead", {}).get(name, 0.0) > gate for name, gate in GATES.items()):
        sys.exit("a gate is exceeded")


if __name__ == "__main__":
    main()
