"""The quick sweep of four trials: how it is started, watched, and compared with one that nobody disturbed."""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.integration.conftest import Workplace
from tests.servers import wait_until
from tonearm.sweeps.ledger import Ledger
from tonearm.tracking import names, query
from tonearm.tracking.query import RunSummary
from tonearm.training.trial import TrialFolder

SPACE = "tests.integration.spaces:quick"
TRIALS, EPOCHS, PATIENCE = 4, 6, 100
ONE_AT_A_TIME = ("--cpus", "1.5")  # of two: a trainer goes through all trials, of one thread each as if there were two
Figures = dict[str, tuple[list[dict[str, Any]], list[list[float]], list[list[float]]]]


def sweep(seed: int, *more: str) -> tuple[str, ...]:
    """The same four trainings for any seed, but of another patience, which none of them needs: other trials, in folders
    of their own, of another sweep."""
    return ("jobs.sweep", SPACE, "--dataset", "music", "--seed", str(seed), *patience(seed), *more)


def patience(seed: int) -> tuple[str, ...]:
    """Of a sweep of its own: long enough to change nothing."""
    return ("--set", f"optim.patience={PATIENCE + seed}")


def folder_of(place: Workplace, seed: int) -> Path | None:
    """The folder of a sweep, once it has one."""
    for path in place.home.glob("trials/*/sweep.json"):
        if json.loads(path.read_text())["params"]["seed"] == seed:
            return path.parent
    return None


def trials(place: Workplace, seed: int) -> dict[str, TrialFolder]:
    """Those with an epoch, by their number in the sweep."""
    folder = folder_of(place, seed)
    ledger = Ledger(str(folder)) if folder else None
    found = {f"{p.index:02d}": ledger.trial(p) for p in ledger.proposals} if ledger else {}
    return {number: trial for number, trial in found.items() if trial.history()}


def figures(place: Workplace, seed: int) -> Figures:
    """All that a sweep came to, but how long it took. A trial that was stopped early has no test predictions."""
    return {
        name: (
            [{k: v for k, v in h.items() if k not in ("epoch_seconds", "replayed")} for h in trial.history()],
            trial.predictions("validation").probabilities.tolist(),
            trial.predictions("test").probabilities.tolist() if Path(trial.predictions_uri("test")).exists() else [],
        )
        for name, trial in trials(place, seed).items()
    }


def ended(place: Workplace, seed: int) -> dict[str, int]:
    """The trials that ended, with the time at which their state was written last."""
    return {
        name: Path(t.uri, "state.pt").stat().st_mtime_ns for name, t in trials(place, seed).items() if t.is_completed()
    }


def trainers(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes of a driver that train a trial now."""
    found = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if "ImplicitFunc" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait(driver: subprocess.Popen[str], happened: Callable[[], bool], what: str) -> None:
    def now() -> bool:
        assert driver.poll() is None, f"the job ended before {what}:\n{driver.stdout.read() if driver.stdout else ''}"
        return happened()

    wait_until(now, what)


def midway(place: Workplace, seed: int, epochs: int = EPOCHS) -> bool:
    """Whether a trial has finished an epoch, but not all of them."""
    return any(0 < len(t.history()) < epochs for t in trials(place, seed).values())


def output_of(driver: subprocess.Popen[str]) -> str:
    output, _ = driver.communicate(timeout=540)
    assert driver.returncode == 0, output[-5000:]
    return output


def require_complete(place: Workplace, seed: int, expected: Figures, epochs: int = EPOCHS) -> None:
    """The sweep came to what an undisturbed one does, and so do its runs in MLflow."""
    assert figures(place, seed) == expected
    (parent,) = [r for r in query.find_runs(run_name(place, seed)) if r.parent is None]
    runs = query.child_runs(parent.run_id)
    assert parent.status == "FINISHED" and [r.status for r in runs] == ["FINISHED"] * TRIALS
    for run in runs:
        history = query.metric_history(run.run_id, "validation_f1_micro")
        assert sorted(step for step, _ in history) == list(range(1, epochs + 1))
        recorded = [h["validation_f1_micro"] for h in expected[number_of(run)][0]]
        assert [value for _, value in sorted(history)] == recorded
        for file in ("config.json", "predictions/test.parquet", "bundle/weights.safetensors"):
            assert query.artifact_bytes(run.run_id, file)


def number_of(run: RunSummary) -> str:
    """A trial's number in its sweep."""
    return f"{int(run.tags[names.TRIAL]):02d}"


def run_name(place: Workplace, seed: int) -> str:
    folder = folder_of(place, seed)
    assert folder is not None
    return f"quick-{folder.name}"


_extracted: list[Path] = []  # features of the recordings of every workplace, once a test of this process has them


def extract(place: Workplace) -> None:
    """Prepare the recordings for it. What stored features are for holds here, too: they are extracted once."""
    local = place.home.is_dir()  # and not a URI
    if local and _extracted and not (place.home / "features").exists():
        shutil.copytree(_extracted[0], place.home / "features")
    place.call("jobs.extract", "--dataset", "folder", "--audio", str(place.music), "--features",
              "mel(n_mels=32,n_fft=1024,hop=512,frames=None)", "--seconds", "10", "--min-seconds", "3")  # fmt: skip
    if local and not _extracted:
        kept = Path(tempfile.mkdtemp(prefix="tonearm-tests-"))
        atexit.register(shutil.rmtree, kept, ignore_errors=True)
        _extracted.append(shutil.copytree(place.home / "features", kept / "features"))
