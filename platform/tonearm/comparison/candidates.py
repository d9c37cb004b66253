"""What is compared: configurations, each with its runs (seeds and folds), and what people call them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.datasets.manifest import Split
from tonearm.sweeps.means import mean_name
from tonearm.sweeps.results import ENDING, ERROR, AnyConfig
from tonearm.sweeps.trial_names import LEADING_PREFIXES, field_text, name_of_fields, short_names
from tonearm.tasks.base import Task
from tonearm.tracking.query import RunSummary
from tonearm.training.config import EnsembleConfig, MeanConfig

LEADING_KINDS = ("model.kind", "estimator.kind")
IGNORED_PREFIXES = ("dataset.", "seed", "members", "start")


@dataclass(frozen=True)
class TrialRun:
    """One run of a configuration: of one seed and, in a cross-validation, of one fold.

    Attributes
    ----------
    upstream_seconds
        Seconds that training the frozen parts of its network took, and theirs; NaN where they are not known.
    """

    summary: RunSummary
    config: AnyConfig
    upstream_seconds: float = 0.0

    @property
    def ending(self) -> str:
        """``completed``, ``stopped`` by the scheduler, ``failed``, or ``running``."""
        if self.summary.tags.get(ENDING):
            return self.summary.tags[ENDING]
        return {"FINISHED": "completed", "RUNNING": "running", "SCHEDULED": "running"}.get(
            self.summary.status, "failed"
        )

    @property
    def error(self) -> str:
        """What it failed with."""
        return last_error_line(self.summary)

    @property
    def validation(self) -> float:
        """The best validation value of the primary metric; NaN where no epoch was finished."""
        return self.summary.metrics.get(f"best_{self.config.task.primary}", float("nan"))

    @property
    def seconds(self) -> float:
        """Of its training and of what it is made of; NaN where that is not known."""
        return self.summary.metrics.get("seconds", float("nan")) + self.upstream_seconds


@dataclass(frozen=True)
class Candidate:
    """A configuration.

    Attributes
    ----------
    name
        What distinguishes it from the others, for people.
    values
        Its flattened fields.
    runs
        By seed and fold.
    """

    name: str
    values: dict[str, Any]
    runs: tuple[TrialRun, ...]

    @property
    def task(self) -> Task:
        return self.runs[0].config.task

    @property
    def is_ensemble(self) -> bool:
        """Whether it was chosen on validation among the others: it has no fields of its own, and no rank there."""
        return isinstance(self.runs[0].config, EnsembleConfig)

    @property
    def completed(self) -> tuple[TrialRun, ...]:
        return tuple(r for r in self.runs if r.ending == "completed")

    def is_complete(self, split: Split) -> bool:
        """Whether every run reached the split: the mean of only the unstopped runs would be biased, and so would be
        that of an ensemble on the split that it was chosen on."""
        if self.is_ensemble and split == "validation":
            return False
        endings = ("completed",) if split == "test" else ("completed", "stopped")
        return all(run.ending in endings for run in self.runs)

    def by_seed(self, split: Split) -> dict[int, float]:
        """The validation score of each seed, the mean over its folds.

        Of the completed runs, if there are any; on the validation split, of the stopped ones as well.
        """
        counted = self.runs if split == "validation" or not self.completed else self.completed
        seeds: dict[int, list[float]] = {}
        for run in counted:
            if np.isfinite(run.validation):
                seeds.setdefault(run.config.seed, []).append(run.validation)
        return {seed: float(np.mean(values)) for seed, values in sorted(seeds.items())}

    def validation(self, split: Split) -> float:
        """The mean over the seeds; NaN where there is none."""
        seeds = self.by_seed(split)
        return float(np.mean(list(seeds.values()))) if seeds else float("nan")


def last_error_line(run: RunSummary) -> str:
    """The last line of what a run failed with, if that was noted."""
    lines = run.tags.get(ERROR, "").strip().splitlines()
    return lines[-1] if lines else ""


def flat_fields(config: AnyConfig) -> dict[str, Any]:
    """The flattened fields of a config; of a list its text."""
    flat = config.flatten()
    if isinstance(config, MeanConfig):
        flat["model.kind"] = mean_name(config)
    for path, value in flat.items():
        if isinstance(value, list):
            flat[path] = "; ".join(json.dumps(v) if isinstance(v, dict) else str(v) for v in value)
    return flat


def varied_fields(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The paths in which flattened configs differ.

    A field that only one kind of model has does not differ by being absent from others, nor by another kind's default:
    it does if configs of the same kinds differ in it.
    """
    paths = list(dict.fromkeys(p for c in configs for p in c if not p.startswith(IGNORED_PREFIXES)))
    kinds = []
    for path in paths:
        present = [c[path] for c in configs if path in c]
        either = path.startswith(LEADING_PREFIXES) and len(present) < len(configs)  # a network, or an estimator
        if path.endswith(".kind") and (either or len(set(present)) > 1):
            kinds.append(path)
    found = []
    for path in paths:
        values: dict[tuple[Any, ...], set[Any]] = {}
        for c in configs:
            if path in c:
                context = tuple(c.get(k) for k in kinds if path != k and path.startswith(k.removesuffix("kind")))
                values.setdefault(context, set()).add(c[path])
        if path in kinds or any(len(v) > 1 for v in values.values()):
            found.append(path)
    return sorted(found, key=lambda path: not path.startswith(LEADING_PREFIXES))


def name_of(values: Mapping[str, Any], varied: Sequence[str], short: Mapping[str, str] | None = None) -> str:
    """The varied fields of a config for people, as trials are named: ``time n_fft=4096``.

    Being cut, it may be the same for different configs: nothing may be told apart by it.

    Parameters
    ----------
    short
        The fields' short names, where others are varied besides; default: those of all ``varied``, so that a field has
        one name, whichever of them a config has.
    """
    own = {p: values[p] for p in varied if p in values}
    leading = [field_text(own.pop(p)) for p in tuple(own) if p in LEADING_KINDS]
    return name_of_fields(leading, own, short_names(varied) if short is None else short)
