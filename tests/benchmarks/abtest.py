"""False alarms of three ways to look at an experiment, what they find, and how long a report takes.

make bench NAME=abtest                      a thousand runs a row, and a million outcomes; a minute
make bench NAME=abtest ARGS="--runs 100 --outcomes 100000"

A run is an experiment without a difference (or with a planted one), with 50 new listeners in each arm between two
looks, 80 looks. An alarm is a look at which 0 is excluded at 95 %: by z as if events were independent; by z of
listeners; by the confidence sequence. "Returning": all listeners are there at the first look, and what they do comes in
80 parts. Found: listeners of an arm at the first look that finds a planted difference (median), and the share of runs
that find it. The report is that of tonearm abtest, from the database to the page, without MLflow. The last line
is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.simulated_listeners import Arm, by_listener, listeners, z_by_event
from tests.simulated_outcomes import BEGAN, DAY, SALT, simulated
from tonearm.core.text import format_table
from tonearm.feedback.events import Event
from tonearm.feedback.store import COLUMNS, FeedbackStore
from tonearm.statistics.always_valid import radius

LOOKS = np.arange(1, 81) * 50
LIFTS = (0.03, 0.05, 0.1)
WAYS = ("z by event", "z by listener", "sequence")


def excluded(first: Arm, second: Arm) -> np.ndarray:
    """Whether 0 is excluded, bool (ways, looks)."""
    difference, error = by_listener(first, second, LOOKS)
    reach = error * np.array([radius(2 * int(n)) for n in LOOKS])
    return np.stack([np.abs(z_by_event(first, second, LOOKS)) > 1.96, np.abs(difference / error) > 1.96,
                     np.abs(difference) > reach])  # fmt: skip


def returning(rng: np.random.Generator, people: int = 2000) -> np.ndarray:
    """The same where all listeners are there from the first look on, and return between looks."""
    arms = []
    for _ in range(2):
        rates = rng.beta(0.9, 2.1, people)[:, None]
        events = 1 + rng.poisson(0.5, (people, len(LOOKS)))
        arms.append((events.cumsum(axis=1), rng.binomial(events, rates).cumsum(axis=1)))
    n, k = (np.stack([arm[i].sum(axis=0) for arm in arms]) for i in (0, 1))
    rates = k / n
    z = (rates[1] - rates[0]) / np.sqrt((rates * (1 - rates) / n).sum(axis=0))
    values = [liked / events for events, liked in arms]
    difference = values[1].mean(axis=0) - values[0].mean(axis=0)
    error = np.sqrt(sum(v.var(axis=0, ddof=1) / people for v in values))
    return np.stack([np.abs(z) > 1.96, np.abs(difference / error) > 1.96,
                     np.abs(difference) > error * radius(2 * people)])  # fmt: skip


def alarms(runs: int) -> dict[str, Any]:
    """Shares of runs with an alarm, and when planted differences are found."""
    rng = np.random.default_rng(18)
    none = np.mean([excluded(listeners(rng, 4000), listeners(rng, 4000)).any(axis=1) for _ in range(runs)], axis=0)
    back = np.mean([returning(rng).any(axis=1) for _ in range(max(1, runs // 5))], axis=0)
    found: dict[str, Any] = {
        "none": dict(zip(WAYS, none, strict=True)),
        "returning": dict(zip(WAYS, back, strict=True)),
    }
    for lift in LIFTS:
        first = []
        for _ in range(runs):
            hits = excluded(listeners(rng, 4000), listeners(rng, 4000, lift))[2]
            first.append(int(hits.argmax()) if hits.any() else -1)
        there = [int(LOOKS[i]) for i in first if i >= 0]
        found[f"lift {lift}"] = {"share": len(there) / runs, "median": float(np.median(there)) if there else None}
    return found


def report(outcomes: int) -> dict[str, float]:
    """Seconds of a report, and of its parts."""
    from tonearm.comparison.document import Document, Section, draw_plot, write_page
    from tonearm.workflows.abtest import run_abtest
    from tonearm.workflows.abtest_page import looks_figure

    events = simulated(outcomes // 22, lift=0.02)
    store, names = FeedbackStore(), list(events)
    rows = list(zip(*(events[name] for name in names), strict=True))[:outcomes]
    for start in range(0, len(rows), 20_000):
        store.add(
            [Event(**dict(zip(names, row, strict=True)), experiment=SALT) for row in rows[start : start + 20_000]]
        )
    assert set(names) < set(COLUMNS)
    store.close()
    began, cpu = time.perf_counter(), time.process_time()
    found = run_abtest(now=BEGAN + 60 * DAY)
    analysed = time.perf_counter()
    plots = draw_plot("looks", "", looks_figure, found)
    write_page(
        Document("bench", found.sentences(), [Section("", plots=plots)]),
        str(Path(os.environ["TONEARM_HOME"]) / "page.html"),
    )
    return {"outcomes": found.events, "listeners": sum(found.listeners), "seconds": time.perf_counter() - began,
            "analysis_s": analysed - began, "cpu_s": time.process_time() - cpu}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    options = parser.parse_args()
    shares = alarms(options.runs)
    print(format_table([("false alarms in 80 looks", *WAYS), *(
        (name, *(f"{shares[name][way]:.3f}" for way in WAYS)) for name in ("none", "returning")
    )]))  # fmt: skip
    planted = [(f"lift {lift}", shares[f"lift {lift}"]) for lift in LIFTS]
    print(format_table([("found by the sequence", "share of runs", "listeners an arm, median"), *(
        (name, f"{own['share']:.3f}", f"{own['median']}") for name, own in planted
    )]))  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tonearm-bench-") as folder:
        os.environ["TONEARM_HOME"] = folder
        measured = report(options.outcomes)
    print(format_table([("report", "value"), *((name, f"{value:,.2f}") for name, value in measured.items())]))
    print(json.dumps({"benchmark": "abtest", **shares, **measured, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
