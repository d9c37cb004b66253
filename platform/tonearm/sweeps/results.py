"""What became of the trials: read from their folders, and completed in MLflow, as often as it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tonearm.core import storage
from tonearm.tracking.log import RunWriter
from tonearm.training.bundle import DESCRIPTION, WEIGHTS
from tonearm.training.config import TrialConfig
from tonearm.training.plots import learning_curves
from tonearm.training.trial import TrialFolder

ENDING = "tonearm.ending"
ERROR = "tonearm.error"


@dataclass(frozen=True)
class TrialResult:
    """One trial of a sweep.

    Attributes
    ----------
    ending
        ``completed``, ``stopped`` (by the scheduler), or ``failed``, with ``error``.
    best
        The best validation value of the task's primary metric; None if no epoch was finished.
    """

    index: int
    name: str
    config: TrialConfig
    folder: TrialFolder
    history: list[dict[str, Any]]
    ending: str
    best: float | None
    error: str = ""


def read_result(index: int, name: str, config: TrialConfig, folder: TrialFolder, error: str = "") -> TrialResult:
    """Read a trial's folder."""
    history, ended = folder.history(), folder.ended()
    best = history[-1]["best"] if history else None
    return TrialResult(index, name, config, folder, history, ended["how"] if ended else "failed", best, error)


def finish_run(result: TrialResult, experiment: str, parent: str, tags: dict[str, str]) -> None:
    """Bring a trial's run to its end: missing metrics, plots, predictions, bundle, status. Done once; then a no-op.

    The driver does this, since a trial that the scheduler stops, or that dies, has no time to.
    """
    run = RunWriter.open(experiment, result.name, parent, result.config.flatten(), tags)
    if run.tags().get(ENDING) == result.ending != "failed":
        run.end()
        return
    task = result.config.task
    logged = run.steps(f"validation_{task.primary}")
    for metrics in result.history:
        if metrics["epoch"] not in logged:
            run.metrics({k: v for k, v in metrics.items() if k not in ("epoch", "replayed")}, metrics["epoch"])
    if result.error:
        run.tag(ERROR, result.error[-5000:])
    if result.history:
        validation = result.folder.validation()
        curves = learning_curves(result.history, task.primary, result.name, task.maximise)
        run.figure("learning_curves.png", curves)
        predictions, target, title = validation.probabilities, validation.target, f"{result.name}, validation"
        for name, figure in task.figures(predictions, target, validation.classes, title).items():
            run.figure(f"{name}_validation.png", figure)
        run.file(storage.join(result.folder.uri, "validation.parquet"), "predictions")
        for file in (WEIGHTS, DESCRIPTION):
            run.file(storage.join(result.folder.bundle_uri, file), "bundle")
        run.metrics({f"best_{task.primary}": result.best or 0.0, "epochs": float(len(result.history))})
    run.tag(ENDING, result.ending)  # last: it says that all above is there
    run.end("FAILED" if result.ending == "failed" else "FINISHED")
