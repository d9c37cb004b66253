"""The quick sweep on a cluster: where it lies, and who has trained which epoch."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.cluster.conftest import extraction, fresh_home
from tests.cluster.nodes import Cluster
from tests.integration.conftest import Workplace
from tests.integration.quick_sweep import Figures, figures, sweep, trials

EPOCHS = 40  # of each of four trials: some twenty seconds


def prepared(made: Cluster, recordings: Path) -> Workplace:
    """A home with features; the cluster's machines use it, and the helpers of the quick sweep look into it."""
    home = fresh_home(made, "swept")
    made.job(*extraction(recordings))
    return Workplace(home, recordings, {}, {})


def enter(made: Cluster, place: Workplace) -> None:
    """All that is started next works there."""
    for machine in made.network.machines:
        machine.environment["TONEARM_HOME"] = str(place.home)


def long_sweep(seed: int, *more: str) -> tuple[str, ...]:
    """As ``sweep`` has it, with epochs enough to be disturbed."""
    return sweep(seed, "--epochs", str(EPOCHS), *more)


def undisturbed_sweep(made: Cluster, place: Workplace) -> Figures:
    """What a sweep comes to that nobody disturbs, on this cluster."""
    enter(made, place)
    made.job(*long_sweep(0))
    found = figures(place, 0)
    assert len(found) == 4 and all(len(history) == EPOCHS for history, _, _ in found.values())
    return found


def trained(made: Cluster, place: Workplace, seed: int) -> Counter[tuple[str, int]]:
    """How often each epoch of each trial of a sweep was trained, as the workers' logs of all machines tell, which are
    JSON (``TONEARM_LOG``): by the trial's number, and the epoch."""
    numbers = {Path(trial.uri).name: number for number, trial in trials(place, seed).items()}
    found = Counter[tuple[str, int]]()
    for machine in made.network.machines:
        for file in (machine.folder / "ray").glob("session_2*/logs/worker-*.err"):
            for line in file.read_text(errors="replace").splitlines():
                if line.startswith("{") and '"trial"' in line:
                    said = json.loads(line)
                    word, _, rest = said["message"].partition(" ")
                    if word == "epoch" and said["trial"] in numbers:
                        found[numbers[said["trial"]], int(rest.partition(":")[0])] += 1
    return found
