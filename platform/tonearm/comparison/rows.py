"""The table of a comparison: a row a candidate, also of those that are not evaluated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.comparison.candidates import Candidate
from tonearm.comparison.measure import ComparisonMetric
from tonearm.comparison.predictions import Predictions
from tonearm.datasets.manifest import Split
from tonearm.statistics.intervals import Interval, bootstrap_interval
from tonearm.tracking import names
from tonearm.training.evaluate import CELLS_OF_ALL_RESAMPLES, RESAMPLES, score_runs


@dataclass(frozen=True)
class CandidateRow:
    """A candidate in the table.

    Attributes
    ----------
    label
        A letter, or "" if it is not among those that are compared.
    status
        ``""`` if it was evaluated, else why not; and which seeds or folds it lacks.
    seeds, folds
        How many were evaluated; of a candidate that was not, how many its validation score is of.
    validation, deviation
        Mean and deviation over the seeds of the primary metric; NaN where there is none, or a single seed.
    scores
        Of each headline metric the mean over seeds, their deviation (NaN of a single seed), and the interval over
        groups of tracks (None where the candidate is not among those that are compared).
    tracks
        On how many it was evaluated.
    seconds
        Of a completed run and of the training of its members, the mean; NaN if none is complete, or it is unknown.
    calibration_error
        Expected calibration error; None where predictions are no probabilities.
    """

    label: str
    name: str
    status: str
    seeds: int
    folds: int
    validation: float
    deviation: float
    scores: dict[str, tuple[float, float, Interval | None]]
    tracks: int
    parameters: int | None
    seconds: float
    calibration_error: float | None


def make_candidate_row(
    candidate: Candidate, evaluated: Predictions | None, label: str, split: Split, most_seeds: int,
    measure: ComparisonMetric, calibration_error: float | None,
) -> CandidateRow:  # fmt: skip
    """A candidate's row.

    Parameters
    ----------
    evaluated
        Its predictions, if it was evaluated.
    label
        "" if it is not among those that are compared.
    most_seeds
        Of any candidate.
    """
    by_seed = candidate.by_seed(split)
    seeds = len(evaluated.seeds) if evaluated is not None else len(by_seed)
    weights = [r.summary.tags[names.PARAMETERS] for r in candidate.runs if names.PARAMETERS in r.summary.tags]
    reasons = [
        _status(candidate, evaluated is not None, split),
        *(_lacks(candidate, most_seeds) if candidate.is_complete(split) else []),
    ]
    return CandidateRow(
        label, candidate.name, "; ".join(t for t in reasons if t), seeds,
        len({r.config.dataset.fold for r in candidate.runs}), candidate.validation(split),
        deviation(list(by_seed.values())), _scores(evaluated, bool(label), measure) if evaluated is not None else {},
        len(evaluated.groups) if evaluated is not None else 0, int(float(weights[0])) if weights else None,
        float(np.mean([r.seconds for r in candidate.completed])) if candidate.completed else float("nan"),
        calibration_error,
    )  # fmt: skip


def deviation(values: Sequence[float]) -> float:
    """Over seeds; NaN of fewer than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _scores(
    predictions: Predictions, intervals: bool, measure: ComparisonMetric
) -> dict[str, tuple[float, float, Interval | None]]:
    task = predictions.task
    metrics = tuple(dict.fromkeys((measure.name, *task.headline)))
    each = [task.selected_metrics(metrics, p, t, predictions.groups) for p, t in predictions.seeds]
    found: dict[str, Interval] = {}
    if intervals:
        found |= score_runs(task, predictions.seeds, predictions.groups).intervals
        if measure.name not in found:
            found[measure.name] = _interval(predictions, measure.name)
    return {
        name: (float(np.mean([e[name] for e in each])), deviation([e[name] for e in each]), found.get(name))
        for name in metrics
    }


def _interval(predictions: Predictions, name: str) -> Interval:
    """Of a metric that is none of the task's headline ones."""
    cells = sum(p.size for p, _ in predictions.seeds)
    resamples = int(np.clip(CELLS_OF_ALL_RESAMPLES // max(cells, 1), *RESAMPLES))
    bounds = predictions.task.metric(name).bounds
    if len(set(predictions.groups)) < 2:
        return Interval(predictions.metrics_of(np.arange(len(predictions.groups)), (name,))[name], *bounds)
    return bootstrap_interval(
        lambda draw: predictions.metrics_of(draw, (name,))[name], predictions.groups, resamples=resamples, bounds=bounds
    )


def _status(candidate: Candidate, evaluated: bool, split: Split) -> str:
    """Why a candidate is not evaluated; "" if it is."""
    if candidate.is_ensemble and split == "validation":
        return "chosen on these tracks: evaluated on test only"
    count, endings = len(candidate.runs), Counter(run.ending for run in candidate.runs)
    done = endings["completed"] + (endings["stopped"] if split == "validation" else 0)
    reasons = []
    if endings["failed"]:
        errors = [run.error for run in candidate.runs if run.ending == "failed" and run.error]
        reasons.append(f"{_of(endings['failed'], count)}failed: {errors[0] if errors else 'no reason recorded'}")
    if endings["stopped"] and (done in (0, count) or split == "validation"):
        reasons.append("stopped early" + ("" if split == "validation" else ", not compared on test"))
    elif endings["stopped"]:
        reasons.append(f"{_seeds_done(candidate)} tested: the others were stopped, so it is not evaluated")
    if endings["running"]:
        reasons.append(f"{_of(endings['running'], count)}still running")
    if not reasons and not evaluated:
        reasons.append("not among the best on validation" if endings["completed"] else "not evaluated")
    return "; ".join(reasons)


def _of(some: int, count: int) -> str:
    return f"{some} of {count} runs " if count > 1 else ""


def _seeds_done(candidate: Candidate) -> str:
    """How many seeds are complete, in all their folds: ``2 of 3 seeds``."""
    seeds = {r.config.seed for r in candidate.runs}
    lacking = {r.config.seed for r in candidate.runs if r.ending != "completed"}
    return f"{len(seeds - lacking)} of {len(seeds)} seeds"


def _lacks(candidate: Candidate, most_seeds: int) -> list[str]:
    """Which folds and seeds it lacks that others have: its validation score is a mean over fewer."""
    if candidate.is_ensemble:
        return ["members chosen on validation, of all trials and seeds; not ranked"]
    seeds = {r.config.seed for r in candidate.runs}
    places = {(r.config.seed, r.config.dataset.fold) for r in candidate.runs}
    folds = max((int(fold.rpartition("/")[2]) for _, fold in places if fold), default=1)
    reasons = []
    if len(places) < len(seeds) * folds:
        reasons.append(f"{len(places)} of {len(seeds) * folds} folds only: ranked by these")
    if len(seeds) < most_seeds:
        reasons.append(f"{len(seeds)} of {most_seeds} seeds only: ranked by these")
    return reasons
