"""What is compared: configurations, each with its runs (seeds and folds), found in MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.core.errors import ConfigError, TrackingError
from tonearm.sweeps.results import ENDING, ERROR, configuration
from tonearm.tasks.base import Task
from tonearm.tracking import names
from tonearm.tracking.query import RunSummary, artifact_bytes, find_runs, leaves_of
from tonearm.training.baselines import BaselineConfig
from tonearm.training.config import TrialConfig

LONGEST_VALUE = 40  # characters of a name for people
FIRST_IN_A_NAME = ("model", "estimator")
NO_PART_OF_A_NAME = ("dataset.", "seed", "members", "start")


@dataclass(frozen=True)
class TrialRun:
    """One run of a configuration: of one seed and, in a cross-validation, of one fold."""

    summary: RunSummary
    config: TrialConfig | BaselineConfig

    @property
    def ending(self) -> str:
        """``completed``, ``stopped`` by the scheduler, ``failed``, or ``running``."""
        if self.summary.tags.get(ENDING):
            return self.summary.tags[ENDING]
        return "running" if self.summary.status == "RUNNING" else "failed"

    @property
    def error(self) -> str:
        """What it failed with."""
        return error_of(self.summary)

    @property
    def validation(self) -> float:
        """The best validation value of the primary metric; NaN where no epoch was finished."""
        return self.summary.metrics.get(f"best_{self.config.task.primary}", float("nan"))


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
    def completed(self) -> tuple[TrialRun, ...]:
        return tuple(r for r in self.runs if r.ending == "completed")

    @property
    def by_seed(self) -> dict[int, float]:
        """The validation score of each seed, the mean over its folds."""
        seeds: dict[int, list[float]] = {}
        for run in self.runs:
            if np.isfinite(run.validation):
                seeds.setdefault(run.config.seed, []).append(run.validation)
        return {seed: float(np.mean(values)) for seed, values in sorted(seeds.items())}

    @property
    def validation(self) -> float:
        """The mean over the seeds; NaN where there is none."""
        return float(np.mean(list(self.by_seed.values()))) if self.by_seed else float("nan")


@dataclass(frozen=True)
class Found:
    """What was named, and what it holds.

    Attributes
    ----------
    named
        The runs that were named.
    notes
        What was left out, and why.
    """

    named: list[RunSummary]
    candidates: list[Candidate]
    notes: list[str]


def find_candidates(texts: Sequence[str]) -> Found:
    """The configurations below some runs or sweeps.

    Parameters
    ----------
    texts
        Run ids, names of runs, or beginnings of them.

    Raises
    ------
    TrackingError
        If one is not found, or there is no trial below any of them.
    ConfigError
        If they are of different tasks or data sets.
    """
    named = [run for text in texts for run in find_runs(text)]
    leaves: dict[str, tuple[RunSummary, RunSummary]] = {}
    for run in named:
        for leaf in leaves_of(run.run_id) or [run]:
            leaves.setdefault(leaf.run_id, (leaf, run))
    runs: list[tuple[TrialRun, RunSummary]] = []
    notes: list[str] = []
    for leaf, origin in leaves.values():
        config = config_of(leaf)
        if config is None:
            notes.append(_without_config(leaf))
        else:
            runs.append((TrialRun(leaf, config), origin))
    if not runs:
        raise TrackingError(
            f"{', '.join(repr(t) for t in texts)} hold{'s' if len(texts) == 1 else ''} no trial with a config.json: "
            "name a sweep, a training or trials; what was trained by an older version is trained again by its command"
            + "".join(f"; {note}" for note in notes[:3])
        )
    kept = _of_one_question(runs, notes)
    return Found(named, _named(_configurations(kept, notes)), notes)


def error_of(run: RunSummary) -> str:
    """The last line of what a run failed with, if that was noted."""
    lines = run.tags.get(ERROR, "").strip().splitlines()
    return lines[-1] if lines else ""


def _without_config(run: RunSummary) -> str:
    if run.status == "FAILED":
        return f"{run.name} failed before its first epoch: {error_of(run) or 'no reason noted'}"
    return f"{run.name} holds no config.json, so it is no trial, unfinished, or of an older version: left out"


def config_of(run: RunSummary) -> TrialConfig | BaselineConfig | None:
    """The config that a run holds; None if it is no trial's.

    Raises
    ------
    TrackingError
        If it cannot be read.
    """
    data = artifact_bytes(run.run_id, "config.json")
    if data is None:
        return None
    try:
        values = json.loads(data)
        return (TrialConfig if "model" in values else BaselineConfig).from_dict(values)
    except (ValueError, TypeError, ConfigError) as error:
        raise TrackingError(f"the config.json of run {run.name} cannot be read: {error}") from error


def _question(run: TrialRun) -> tuple[str, str]:
    """What is asked of what data: runs of the same question can be compared."""
    task, data = run.config.task, run.config.dataset
    of = f" of {getattr(task, 'target', '')}" if getattr(task, "target", "") else ""
    return f"{task.kind}{of}", f"{data.name}{f' ({data.label})' if data.label else ''}"


def _of_one_question(runs: Sequence[tuple[TrialRun, RunSummary]], notes: list[str]) -> list[TrialRun]:
    """Of each named run the trials of its last stage's task and data, which must be the same ones for all."""
    asked: dict[str, tuple[str, str]] = {}
    named = {origin.run_id: origin.name for _, origin in runs}
    for run_id in named:
        own = [run for run, origin in runs if origin.run_id == run_id]
        asked[run_id] = _question(max(own, key=lambda run: run.summary.started))
        notes += [f"{run.summary.name} is a stage that learns {' on '.join(_question(run))}: left out"
                  for run in own if _question(run) != asked[run_id]]  # fmt: skip
    if len(set(asked.values())) > 1:
        told = "; ".join(f"{named[run_id]}: {' on '.join(question)}" for run_id, question in asked.items())
        raise ConfigError(f"these runs answer different questions ({told}): compare runs of one task and data set")
    return [run for run, origin in runs if _question(run) == asked[origin.run_id]]


def _configurations(runs: Sequence[TrialRun], notes: list[str]) -> list[list[TrialRun]]:
    """Runs that differ in seed or fold only, together; of the same seed and fold the last that completed."""
    found: dict[str, dict[tuple[int, str], TrialRun]] = {}
    for run in runs:
        own = found.setdefault(_configuration(run), {})
        place = (run.config.seed, run.config.dataset.fold)
        before = own.get(place)
        own[place] = run if before is None or run.ending == "completed" else before
        if before is not None:
            notes.append(f"{run.summary.name} was run more than once with seed {place[0]}: one of its runs counts")
    return [[own[place] for place in sorted(own)] for own in found.values()]


def _configuration(run: TrialRun) -> str:
    """What the runs of one configuration share."""
    return run.summary.tags.get(names.CONFIGURATION) or configuration(run.config)


def _named(configurations: Sequence[Sequence[TrialRun]]) -> list[Candidate]:
    values = [fields_of(runs[0].config) for runs in configurations]
    varied = varied_fields(values)
    titles = [name_of(own, varied) or _only_name(runs[0]) for own, runs in zip(values, configurations, strict=True)]
    return [
        Candidate(title if titles.count(title) == 1 else f"{title} [{_configuration(runs[0])[:6]}]", own, tuple(runs))
        for title, own, runs in zip(titles, values, configurations, strict=True)
    ]


def fields_of(config: TrialConfig | BaselineConfig) -> dict[str, Any]:
    """The flattened fields of a config; of a list its text."""
    flat = config.flatten()
    for path, value in flat.items():
        if isinstance(value, list):
            flat[path] = "; ".join(json.dumps(v) if isinstance(v, dict) else str(v) for v in value)
    return flat


def _only_name(run: TrialRun) -> str:
    config = run.config
    return (config.model if isinstance(config, TrialConfig) else config.estimator).brief()


def varied_fields(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The paths in which flattened configs differ.

    A field that only one kind of model has does not differ by being absent from others, nor by another kind's default:
    it does if configs of the same kinds differ in it.
    """
    paths = list(dict.fromkeys(p for c in configs for p in c if not p.startswith(NO_PART_OF_A_NAME)))
    kinds = []
    for path in paths:
        present = [c[path] for c in configs if path in c]
        either = path.startswith(FIRST_IN_A_NAME) and len(present) < len(configs)  # a network, or an estimator
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
    return sorted(found, key=lambda path: not path.startswith(FIRST_IN_A_NAME))


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Of each path its last part, or as much of its end as makes it unique; ``model.kind`` is ``model``."""
    own = {p: p.removesuffix(".kind").split(".") for p in paths}
    short = {}
    for path, parts in own.items():
        length = 1
        while length < len(parts) and sum(q[-length:] == parts[-length:] for q in own.values()) > 1:
            length += 1
        short[path] = ".".join(parts[-length:])
    return short


def name_of(values: Mapping[str, Any], varied: Sequence[str]) -> str:
    """The varied fields of a config for people: ``model time, n_fft 4096``."""
    short = short_names(varied)
    return ", ".join(f"{short[p]} {as_text(values[p])}" for p in varied if p in values)


def as_text(value: Any) -> str:
    """A field's value for people."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
