"""The configurations below the runs that a person names, found in MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonearm.comparison.candidates import (
    LEADING_KINDS,
    Candidate,
    TrialRun,
    flat_fields,
    last_error_line,
    name_of,
    varied_fields,
)
from tonearm.core.errors import ConfigError, TrackingError
from tonearm.sweeps.means import mean_name
from tonearm.sweeps.results import AnyConfig, configuration_signature
from tonearm.tracking import names
from tonearm.tracking.query import RunSummary, artifact_bytes, find_runs, leaf_runs
from tonearm.training.baselines import BaselineConfig
from tonearm.training.config import EnsembleConfig, MeanConfig, TrialConfig


@dataclass(frozen=True)
class FoundCandidates:
    """The named runs, and the candidates below them.

    Attributes
    ----------
    named
        The runs that were named.
    notes
        What was left out, and why.
    explicit
        Whether single runs were named, which hold no others: then all of them are compared.
    """

    named: list[RunSummary]
    candidates: list[Candidate]
    notes: list[str]
    explicit: bool


@dataclass(frozen=True)
class _Leaf:
    """A run that holds no others, the run that was named, and how it was named."""

    run: TrialRun
    origin: RunSummary
    text: str

    @property
    def state(self) -> tuple[str, str, str]:
        """Code, data, and what a person named: runs that differ here are not of one candidate.

        Folds have data of their own each: there the data are those of the whole training. A sweep that is named twice
        over, such as in two databases, is no reason to part its runs.
        """
        data = self.run.config.dataset
        whole = self.origin.tags.get(names.DATA, "") if data.fold else data.data_signature
        return self.code, whole, "" if names.SWEEP in self.origin.tags else self.text

    @property
    def code(self) -> str:
        """``code 1a2b...``: what decides results, which other commits may leave as it was; of runs of earlier versions,
        which did not note that, and of means the commit: ``commit 3c4d...``."""
        tags = self.run.summary.tags
        code, commit = tags.get(names.CODE, ""), tags.get(names.COMMIT, "")
        return f"code {code}" if code else f"commit {commit or 'unknown'}"


def find_candidates(texts: Sequence[str]) -> FoundCandidates:
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
    named = [(run, text) for text in texts for run in find_runs(text)]
    below: dict[str, tuple[RunSummary, RunSummary, str]] = {}
    for run, text in named:
        for leaf in leaf_runs(run.run_id):
            below.setdefault(leaf.run_id, (leaf, run, text))
    seconds = {leaf.tags.get(names.CONFIG, ""): leaf for leaf, _, _ in below.values()}
    leaves, notes = [], list[str]()
    for leaf, origin, text in below.values():
        if names.SWEEP in origin.tags and names.TRIAL not in leaf.tags:
            if names.ENSEMBLE not in leaf.tags:
                notes.append(f"{leaf.name} was trained before the sweep, as a part of its networks: no candidate")
                continue
            if leaf.tags[names.ENSEMBLE] != origin.tags.get(names.ENSEMBLE):
                notes.append(f"{leaf.name} was chosen before {origin.tags.get(names.ENSEMBLE, 'another')}: left out")
                continue
        config = config_of(leaf)
        if config is None:
            notes.append(_without_config(leaf))
        else:
            leaves.append(_Leaf(TrialRun(leaf, config, _upstream_seconds(leaf, config, seconds)), origin, text))
    if not leaves:
        raise TrackingError(
            f"{', '.join(repr(t) for t in texts)} hold{'s' if len(texts) == 1 else ''} no trial with a config.json: "
            "name a sweep, a training or trials; what was trained by an older version is trained again by its command"
            + "".join(f"; {note}" for note in notes[:3])
        )
    kept = _of_one_question(leaves, notes)
    runs = [run for run, _ in named]
    explicit = all(run.run_id in below for run in runs)
    return FoundCandidates(runs, _named(_configurations(kept, notes)), notes, explicit)


def _without_config(run: RunSummary) -> str:
    if run.status == "FAILED":
        return f"{run.name} failed before its first epoch: {last_error_line(run) or 'no reason noted'}"
    return f"{run.name} holds no config.json, so it is no trial, unfinished, or of an older version: left out"


def config_of(run: RunSummary) -> AnyConfig | None:
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
        if "model" in values:
            return TrialConfig.from_dict(values)
        if "estimator" in values:
            return BaselineConfig.from_dict(values)
        return (EnsembleConfig if "weights" in values else MeanConfig).from_dict(values)
    except (ValueError, TypeError, ConfigError) as error:
        raise TrackingError(f"the config.json of run {run.name} cannot be read: {error}") from error


def _upstream_seconds(run: RunSummary, config: AnyConfig, known: Mapping[str, RunSummary]) -> float:
    """Of the training of all that a network is made of, and of what that is made of."""
    members = () if isinstance(config, BaselineConfig) else config.members
    if not members:
        return 0.0
    if any(m.trial not in known for m in members) and run.parent:  # a single trial was named: its siblings
        known = {**{leaf.tags.get(names.CONFIG, ""): leaf for leaf in leaf_runs(run.parent)}, **known}
    seconds: dict[str, float] = {}  # of each part once, though several members may stand on it
    ahead = [m.trial for m in members]
    while ahead:
        trial = ahead.pop()
        if trial in seconds:
            continue
        part = known.get(trial)
        own = config_of(part) if part is not None else None
        if part is None or own is None:
            return float("nan")
        seconds[trial] = part.metrics.get("seconds", float("nan"))
        ahead += [] if isinstance(own, BaselineConfig) else [m.trial for m in own.members]
    return sum(seconds.values())


def _question(run: TrialRun) -> tuple[str, str]:
    """Task and data set of a run: runs that share both can be compared."""
    task, data = run.config.task, run.config.dataset
    of = f" of {getattr(task, 'target', '')}" if getattr(task, "target", "") else ""
    return f"{task.kind}{of}", f"{data.name}{f' ({data.label})' if data.label else ''}"


def _of_one_question(leaves: Sequence[_Leaf], notes: list[str]) -> list[_Leaf]:
    """Of each named run the trials of its last stage's task and data, which must be the same ones for all."""
    questions: dict[str, tuple[str, str]] = {}
    named = {leaf.origin.run_id: leaf.origin.name for leaf in leaves}
    for run_id in named:
        own = [leaf.run for leaf in leaves if leaf.origin.run_id == run_id]
        questions[run_id] = _question(max(own, key=lambda run: run.summary.started))
        notes += [f"{run.summary.name} is a stage that learns {' on '.join(_question(run))}: left out"
                  for run in own if _question(run) != questions[run_id]]  # fmt: skip
    if len(set(questions.values())) > 1:
        differing = "; ".join(f"{named[run_id]}: {' on '.join(question)}" for run_id, question in questions.items())
        raise ConfigError(
            f"these runs are of different tasks or data sets ({differing}): compare runs of one task and data set"
        )
    kept = [leaf for leaf in leaves if _question(leaf.run) == questions[leaf.origin.run_id]]
    primaries = sorted({leaf.run.config.task.primary for leaf in kept})
    if len(primaries) > 1:
        notes.append(
            f"on validation some runs were ranked by {', others by '.join(primaries)}: their order there means nothing"
        )
    return kept


def _configurations(leaves: Sequence[_Leaf], notes: list[str]) -> list[list[_Leaf]]:
    """Runs that differ in seed or fold only, together; of the same seed and fold the newest that completed."""
    found: dict[tuple[str, ...], dict[tuple[int, str], list[_Leaf]]] = {}
    for leaf in leaves:
        place = (leaf.run.config.seed, leaf.run.config.dataset.fold)
        found.setdefault((_configuration(leaf), *leaf.state), {}).setdefault(place, []).append(leaf)
    for own in found.values():
        notes += [f"{same[0].run.summary.name} was run {len(same)} times with seed {seed}: "
                  f"{'the last that completed' if _last(same).run.ending == 'completed' else 'the last'} counts"
                  for (seed, _), same in own.items() if len(same) > 1]  # fmt: skip
    return [[_last(own[place]) for place in sorted(own)] for own in found.values()]


def _last(same: Iterable[_Leaf]) -> _Leaf:
    return max(same, key=lambda leaf: (leaf.run.ending == "completed", leaf.run.summary.started))


def _configuration(leaf: _Leaf) -> str:
    """What the runs of one configuration share."""
    return leaf.run.summary.tags.get(names.CONFIGURATION) or configuration_signature(leaf.run.config)


#: What may distinguish candidates of one name.
TRAITS: tuple[tuple[str, Callable[[_Leaf], str]], ...] = (
    ("", lambda leaf: _configuration(leaf)[:6]),
    ("", lambda leaf: " ".join(word[:7] for word in leaf.code.split())),
    ("data ", lambda leaf: leaf.state[1][:6] or "unknown"),
    ("run ", lambda leaf: leaf.text),
)


def _named(configurations: Sequence[Sequence[_Leaf]]) -> list[Candidate]:
    values = [flat_fields(leaves[0].run.config) for leaves in configurations]
    varied = varied_fields([v for v, leaves in zip(values, configurations, strict=True) if not _is_ensemble(leaves[0])])
    titles = [_title(leaves[0], v, varied) for v, leaves in zip(values, configurations, strict=True)]
    trials = [leaves[0].run.summary.tags.get(names.TRIAL, "") for leaves in configurations]
    if all(len(leaves) == 1 for leaves in configurations):  # each is one trial: called as its run is
        titles = [f"{int(i):02d} {title}" if i.isdigit() else title for i, title in zip(trials, titles, strict=True)]
    namesakes = {title: [leaves[0] for t, leaves in zip(titles, configurations, strict=True) if t == title]
                 for title in titles}  # fmt: skip
    return [
        Candidate(title + _difference(leaves[0], namesakes[title]), own, tuple(leaf.run for leaf in leaves))
        for title, own, leaves in zip(titles, values, configurations, strict=True)
    ]


def _is_ensemble(leaf: _Leaf) -> bool:
    return isinstance(leaf.run.config, EnsembleConfig)


def _difference(leaf: _Leaf, namesakes: Sequence[_Leaf]) -> str:
    """What distinguishes a candidate from others of the same name: `` [commit abc, data 12ab]``."""
    traits = [f"{word}{of(leaf)}" for word, of in TRAITS if len({of(other) for other in namesakes}) > 1]
    return f" [{', '.join(traits)}]" if traits else ""


def _title(leaf: _Leaf, values: Mapping[str, Any], varied: Sequence[str]) -> str:
    """Its kind and the values that distinguish a candidate; of an ensemble, or where nothing does, what it is."""
    config = leaf.run.config
    if not _is_ensemble(leaf) and any(path in values for path in varied):
        return name_of(values, tuple(dict.fromkeys((*LEADING_KINDS, *varied))))
    if isinstance(config, MeanConfig):
        return mean_name(config)
    return (config.model if isinstance(config, TrialConfig) else config.estimator).brief()
