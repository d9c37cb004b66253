"""Results of the trials: read from their folders, and completed in MLflow; safe to repeat."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonearm.core import home, storage
from tonearm.core.best_effort import best_effort
from tonearm.core.text import command
from tonearm.models import count_parameters
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.sweeps.trial_runs import TrialRun
from tonearm.tracking import names
from tonearm.tracking.log import LogEntry, RunWriter, numeric_values
from tonearm.training.baselines import BaselineConfig
from tonearm.training.bundle import DESCRIPTION, WEIGHTS, load_bundle
from tonearm.training.config import DatasetRef, EnsembleConfig, MeanConfig, TrialConfig
from tonearm.training.plots import learning_curves
from tonearm.training.trial import TrialFolder
from tonearm.training.whole_trial import whole_trial

AnyConfig = TrialConfig | BaselineConfig | MeanConfig
ENDING = "tonearm.ending"
ENDINGS = ("completed", "stopped", "failed")
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

    @property
    def folder_name(self) -> str:
        """The last part of its folder: what files and commands know it by."""
        return self.folder.uri.rstrip("/").rpartition("/")[2]


def read_result(
    index: int, name: str, config: TrialConfig, folder: TrialFolder, error: str = "", ending: str = ""
) -> TrialResult:
    """Read a trial's folder. How it ended is what the folder says, unless ``ending`` is given."""
    history, how = folder.history(), ending or (folder.ended() or {}).get("how", "failed")
    best = history[-1]["best"] if history else None
    return TrialResult(index, name, config, folder, history, how, best, error)


def result_in_sweep(ledger: Ledger, proposal: Proposal, error: str = "") -> TrialResult:
    """Read a trial of a sweep as it is now, also where another sweep has trained it further."""
    ending, folder = ledger.ending(proposal) or "failed", ledger.trial(proposal)
    if ending == "stopped" and not folder.history():
        ending, error = (
            "failed",
            error or "its folder was deleted, or another job trains it anew: give the command again",
        )
    return read_result(proposal.index, proposal.name, proposal.config, folder, error, ending)


def trained_enough(result: TrialResult) -> bool:
    """Whether a trial was not stopped before half of its epochs: what it could be is not known earlier."""
    return result.ending == "completed" or 2 * len(result.history) >= result.config.optim.max_epochs


def best_results(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Those of which the best single trial is one: that no scheduler stopped; where there are none those that were
    trained enough, else all."""
    done = [r for r in results if r.best is not None]
    return [r for r in done if r.ending != "stopped"] or [r for r in done if trained_enough(r)] or done


def best_result(results: Sequence[TrialResult]) -> TrialResult:
    """The best single trial in reports of a sweep, which has read no predictions: of :func:`best_results` by the
    validation score that ranked them, the first of equals. A selection chooses by calibrated predictions."""
    chosen = best_results(results)
    sign = 1.0 if chosen[0].config.task.maximise else -1.0
    return max(chosen, key=lambda r: (sign * (r.best or 0.0), -r.index))


def reason(result: TrialResult) -> str:
    """Why a trial failed, in a line."""
    return result.error.strip().splitlines()[-1] if result.error.strip() else "no epoch was finished"


def describe(result: TrialResult) -> str:
    """A trial in one line: what distinguishes it, and what it came to."""
    line = f"trial {result.name}"
    if result.ending == "failed":
        return f"{line}: failed: {reason(result)}"
    seconds = sum(h["epoch_seconds"] for h in result.history)
    return (
        f"{line}: {result.config.task.primary} {result.best:.3f}, {result.ending} after {len(result.history)} epochs, "
        f"{seconds:.0f} s"
    )


def run_tags(config: AnyConfig, folder: str) -> dict[str, str]:
    """The tags by which a training's run is found and compared."""
    return {
        names.DATA: config.dataset.data_signature,
        names.CONFIG: config.signature(),
        names.CONFIGURATION: configuration_signature(config),
        names.SEED: str(config.seed),
        names.FOLD: config.dataset.fold,
        names.FOLDER: folder,
    }


def configuration_signature(config: AnyConfig) -> str:
    """What is the same for all seeds and folds of one configuration."""
    # A member is another trial for each seed; its kind is recorded in the model config.
    changes: dict[str, Any] = {"seed": 0, "dataset": DatasetRef(name=config.dataset.name, label=config.dataset.label)}
    if isinstance(config, TrialConfig | MeanConfig) and not isinstance(config, EnsembleConfig):
        changes["members"] = tuple(dataclasses.replace(m, trial="") for m in config.members)
    return config.replace(changes).signature()


def finish_run(
    result: TrialResult, experiment: str, parent: str, tags: dict[str, str], splits: Mapping[str, int] | None = None,
    tuned: Mapping[str, float] | None = None, trained: bool = True,
) -> str:  # fmt: skip
    """Bring a trial's run to its end: missing metrics, plots, predictions, bundle, status. Done once; then a no-op.

    The driver does this, since a trial that the scheduler stops, or that dies, cannot. A trial that another sweep has
    trained gets a run below this one, too, with its own times.

    Parameters
    ----------
    splits
        The tracks of each split.
    tuned
        The numbers that the sweep varies, by metric.
    trained
        Whether it was trained for this sweep, so that its figures should have come from itself.

    Returns
    -------
    What people must know: that nothing had come from the trial itself. "" if all is well.
    """
    times = {epoch: int(1000 * seconds) for epoch, seconds in result.folder.times().items()}
    begun = [times[h["epoch"]] - int(1000 * h["epoch_seconds"]) for h in result.history[:1] if h["epoch"] in times]
    started = begun[0] if begun else None
    own = TrialRun(result.folder, result.config, result.history)
    run = own.open(experiment, result.name, parent, result.config.flatten(), tags, started)
    is_there = run.status() == "FINISHED" and run.tags().get(ENDING) == result.ending
    if is_there and run.values().get("epochs", 0.0) == len(result.history):  # others may train further what was stopped
        return ""
    with whole_trial(result.folder) as kept:
        return _complete_run(run, result, kept, times, splits or {}, tuned or {}, trained)


def _complete_run(
    run: RunWriter, result: TrialResult, kept: TrialFolder, times: Mapping[int, int], splits: Mapping[str, int],
    tuned: Mapping[str, float], trained: bool,
) -> str:  # fmt: skip
    history = kept.history()  # another sweep may have trained it further since
    result = dataclasses.replace(result, history=history, best=history[-1]["best"] if history else None)
    log_config(run, result.config, splits)
    run.metrics({name: value for name, value in tuned.items() if not run.steps(name)})
    missing = log_history(run, result.config, result.history, times)
    if result.error or ERROR in run.tags():  # one that failed before and was run again has no error any more
        run.tag(ERROR, result.error[-5000:])
    if history and kept.kept_epoch() is None:
        run.end("KILLED")
        return f"trial {result.name}: a process was killed while it wrote the model, which is written when it goes on"
    if history:
        # What was stopped early is one of many: MLflow draws its curves, and its predictions are there.
        plots = result.ending != "stopped"
        log_outcome(run, result.name, result.config, kept, result.history, plots)
    run.tag(names.NOTE, described(result))
    run.tag(ENDING, result.ending)  # last: it marks that all above is there
    late = bool(result.history) and missing == len(result.history)  # one that is stopped may leave its last epoch
    run.end("FAILED" if result.ending == "failed" else "FINISHED", max(times.values(), default=None) if late else None)
    if not late or not trained:
        return ""
    return f"trial {result.name}: its epochs were not in MLflow when it ended; they are now, without the machine's load"


def described(result: TrialResult) -> str:
    """A trial, how it ended (to MLflow what was stopped is finished, too) and how to go on, in Markdown."""
    epochs = f"after {len(result.history)} of {result.config.optim.max_epochs} epochs"
    how = {"completed": f"Completed {epochs}", "stopped": f"Stopped early by the scheduler, {epochs}"}
    best = "" if result.best is None else f": best {result.config.task.primary} {result.best:.4g} on validation"
    text = f"Trial {result.name}. {how.get(result.ending, f'Failed {epochs}')}{best}."
    if result.best is None:
        return text
    compare = command("compare", result.folder_name)
    bundle = command("serve", "--model", result.folder.bundle_uri)
    return f"{text}\n\nHow to go on:\n- serve this model: `{bundle}`\n- compare it with others: `{compare} ...`"


def log_config(run: RunWriter, config: AnyConfig, splits: Mapping[str, int]) -> None:
    """The whole config, of which MLflow's parameters hold no more than the beginning of long texts; and its data."""
    run.text("config.json", json.dumps(config.to_dict(), indent=1))
    data = config.dataset
    run.dataset(data.name, data.data_signature, home.data_home(data.name), splits)


def metrics_to_log(config: TrialConfig | BaselineConfig, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What is logged of an epoch's metrics, nothing twice: the learning rate where it is another than the parameter,
    the round after the first. They are curves; the best score so far, which runs are sorted by, is none."""
    left_out = ("epoch", "replayed", "best", "lr", "round", "improved", "epoch_seconds")
    kept = {k: v for k, v in metrics.items() if k not in left_out}
    if "epoch_seconds" in metrics:
        kept["seconds"] = metrics["epoch_seconds"]
    if metrics.get("round"):
        kept["round"] = metrics["round"]
    if isinstance(config, TrialConfig) and metrics.get("lr", config.optim.lr) != config.optim.lr:
        kept["lr"] = metrics["lr"]
    best = {f"best_{config.task.primary}": metrics["best"]} if "best" in metrics else {}
    return {**{f"{names.EPOCH}{k}": v for k, v in kept.items()}, **best}


def log_history(
    run: RunWriter, config: TrialConfig | BaselineConfig, history: Sequence[dict[str, Any]],
    times: Mapping[int, int] | None = None,
) -> int:  # fmt: skip
    """Log the metrics of every epoch that is not logged yet, with its time in milliseconds since 1970 if that is known;
    how many these were."""
    logged = run.steps(f"{names.EPOCH}validation_{config.task.primary}")
    missing = [m for m in history if m["epoch"] not in logged]
    now = int(1000 * time.time())
    run.log([LogEntry(numeric_values(metrics_to_log(config, m)), step=m["epoch"],
                      time=(times or {}).get(m["epoch"], now)) for m in missing])  # fmt: skip
    return len(missing)


def log_outcome(
    run: RunWriter, name: str, config: TrialConfig | BaselineConfig, folder: TrialFolder,
    history: Sequence[dict[str, Any]], plots: bool = True,
) -> None:  # fmt: skip
    """What a training left: its size and time, predictions, plots of validation with its name, and its best model.

    Nobody sorts trials by their scores on test: these are told by a comparison that asks for them, from predictions."""
    task = config.task
    last, best = history[-1], f"best_{task.primary}"
    if last["epoch"] not in run.steps(best):  # logged by an earlier version under another name
        run.metrics({best: float(last["best"])}, last["epoch"])
    kept = next((h for h in reversed(history) if h.get("improved")), last)
    of_kept = {k: v for k, v in kept.items() if k == "train_loss" or k.startswith("validation_")}
    run.metrics(of_kept, kept["epoch"])  # a table shows the last value of a metric: not the last epoch's, then
    run.metrics({"epochs": float(len(history)), "kept_epoch": float(kept["epoch"]),
                 "seconds": sum(float(h["epoch_seconds"]) for h in history)})  # fmt: skip
    if plots and len(history) > 1:
        curves = best_effort("learning_curves.png", learning_curves, history, task.primary, name)
        if curves is not None:
            run.figure("learning_curves.png", curves)
    for split in ("validation", "test"):
        uri = folder.predictions_uri(split)
        if not storage.exists(uri):
            continue
        run.file(uri, "predictions")
        if not plots or split == "test":
            continue
        found = folder.predictions(split)
        shown = (found.probabilities, found.target, found.classes, f"{name}, {split}")
        for plot, figure in (best_effort(f"the {split} plots of {name}", task.figures, *shown) or {}).items():
            run.figure(f"{plot}_{split}.png", figure)
    if isinstance(config, TrialConfig):
        run.tag(names.PARAMETERS, str(count_parameters(load_bundle(folder.bundle_uri).network)))
        for file in (WEIGHTS, DESCRIPTION):
            run.file(storage.join(folder.bundle_uri, file), "bundle")
