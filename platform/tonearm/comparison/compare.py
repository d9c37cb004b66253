"""Which configuration is better, by how much, how surely: candidates' scores, and paired tests on the same tracks."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_uppercase

import numpy as np

from tonearm.comparison.candidates import Candidate
from tonearm.comparison.classes import changes_by_class
from tonearm.comparison.contrast import ClassChange, PairedComparison, Side, adjusted, compare_sides
from tonearm.comparison.factors import Factor, factor
from tonearm.comparison.find import FoundCandidates, find_candidates
from tonearm.comparison.measure import ComparisonMetric
from tonearm.comparison.predictions import Predictions, aligned, common_tracks, load_predictions
from tonearm.comparison.rows import CandidateRow, make_candidate_row
from tonearm.core.errors import ConfigError
from tonearm.core.registry import unknown_name
from tonearm.core.text import command
from tonearm.datasets.manifest import Split
from tonearm.statistics.calibration import Reliability, reliability
from tonearm.tasks import SingleLabel, Tabular
from tonearm.tracking.query import metric_history

logger = logging.getLogger(__name__)

MAX_CURVES = 8
MAX_SIDES = 3
LARGE = 2_000_000  # predictions
MORE = (
    f"to compare it with another: {command('compare', 'RUN', 'OTHER_RUN')}, "
    "with runs' names or ids as MLflow shows them"
)


@dataclass(frozen=True)
class Options:
    """Options of a comparison.

    Attributes
    ----------
    top
        How many candidates of a sweep are compared: the best on validation.
    by, within
        A field whose values are compared, all else equal; and one within whose values it is done again.
    metric
        That decides; "" for the task's primary one.
    """

    top: int = 6
    by: str = ""
    within: str = ""
    metric: str = ""
    split: Split = "test"


@dataclass(frozen=True)
class Comparison:
    """Everything that a report shows.

    Attributes
    ----------
    answers
        Of the candidates that are compared, the best on validation first.
    pairs
        Each two of them.
    changes
        The difference on each class, by the names of the two sides: the best two, or the values of the field.
    reliability, curves
        By label: the diagram, and the validation metric by epoch of each run.
    """

    found: FoundCandidates
    options: Options
    measure: ComparisonMetric
    predictions: list[Predictions]
    rows: list[CandidateRow]
    pairs: list[PairedComparison]
    factor: Factor | None
    changes: dict[tuple[str, str], list[ClassChange]]
    reliability: dict[str, Reliability]
    curves: dict[str, list[list[tuple[int, float]]]]

    @property
    def compared_rows(self) -> list[CandidateRow]:
        """The table's rows of the candidates that are compared, in the order of ``predictions``."""
        return [next(r for r in self.rows if r.label == a.label) for a in self.predictions]

    @property
    def best_is(self) -> str:
        """What the first candidate is best of; names candidates that validated better but were not evaluated."""
        best, sign = self.compared_rows[0], 1 if self.predictions[0].task.maximise else -1
        others = [r for r in self.rows if not r.label and sign * r.validation > sign * best.validation]
        if not others:
            return "Best on validation"
        task, more = self.predictions[0].task, f", and {len(others) - 1} more" if len(others) > 1 else ""
        return (
            f"Best on validation among the evaluated ones ({others[0].name} validated better, {task.primary} "
            f"{others[0].validation:.3f}, but was excluded: {others[0].status}{more})"
        )


def compare(texts: Sequence[str], options: Options) -> Comparison:
    """Compare runs, or the trials of sweeps.

    Parameters
    ----------
    texts
        Run ids, names of runs or sweeps, or beginnings of them.

    Raises
    ------
    TrackingError
        If a run is not found.
    ConfigError
        If there is nothing to compare, or what was named cannot be compared.
    """
    found = find_candidates(texts)
    if len(found.candidates) < 2:
        raise ConfigError(f"there is one configuration only, {found.candidates[0].name}; {MORE}")
    if options.within and not options.by:
        raise ConfigError(f"within {options.within} needs by: name the field whose values are compared")
    most = len(found.candidates) if found.explicit else max(options.top, 2)
    evaluated = _evaluated(found, options, len(found.candidates) if options.by else most)
    trained = [a for a in evaluated if not a.candidate.is_ensemble]
    compared = [*trained[:most], *(a for a in evaluated if a.candidate.is_ensemble)]
    predictions = [dataclasses.replace(a, label=candidate_label(i)) for i, a in enumerate(compared)]
    measure = _measure(predictions[0], options.metric)
    logger.info(
        f"  {len(found.candidates)} configurations, {len(predictions)} of them compared on "
        f"{len(predictions[0].groups)} {options.split} tracks"
    )
    if sum(p.size for a in predictions for p, _ in a.seeds) > LARGE:
        logger.info("  with so many outputs the intervals take minutes")
    count = len(predictions) * (len(predictions) - 1) // 2
    pairs = adjusted(
        [compare_sides(_alone(a), _alone(b), measure, comparisons=count) for a, b in combinations(predictions, 2)]
    )
    if options.by and len(trained) < 2:
        raise ConfigError(f"by {options.by} compares trained configurations, of which there is one: {MORE}")
    by_field = factor(trained, options.by, options.within, measure) if options.by else None
    sides = by_field.sides[:MAX_SIDES] if by_field else [(_alone(predictions[0]), _alone(predictions[1]))]
    changes = {(one.name, two.name): changes_by_class(one, two) for one, two in sides}
    diagrams = {a.label: d for a in predictions if (d := _reliability(a)) is not None}
    rows = _rows(found, options, predictions, evaluated, diagrams, measure)
    curves = {a.label: _curves(a.candidate) for a in predictions[:MAX_CURVES]}
    return Comparison(found, options, measure, predictions, rows, pairs, by_field, changes, diagrams, curves)


def _ranked(candidates: Sequence[Candidate], split: Split) -> list[Candidate]:
    """The best on validation first: those that can be compared, then the ensembles that were chosen among them, then
    the others; last those without a score."""

    def key(c: Candidate) -> tuple[bool, bool, bool, float]:
        score = c.validation(split)
        return not c.is_complete(split), c.is_ensemble, not np.isfinite(score), -score if c.task.maximise else score

    return sorted(candidates, key=key)


def _evaluated(found: FoundCandidates, options: Options, most: int) -> list[Predictions]:
    """Predictions of so many of the candidates, the best on validation first, and of their ensembles."""
    predictions: list[Predictions] = []
    for candidate in _ranked(found.candidates, options.split):
        if (len(predictions) < most or candidate.is_ensemble) and candidate.is_complete(options.split):
            loaded = load_predictions(candidate, candidate_label(len(predictions)), options.split, found.notes)
            if loaded is not None:
                predictions.append(loaded)
    if len(predictions) < 2:
        endings = [run.ending for c in found.candidates for run in c.runs]
        counts = ", ".join(f"{endings.count(e)} {e}" for e in ("completed", "stopped", "failed", "running")
                         if e in endings)  # fmt: skip
        fix = "compare what they predicted on validation: split validation" if options.split == "test" else MORE
        raise ConfigError(
            f"{len(predictions)} of {len(found.candidates)} configurations kept predictions of the {options.split} "
            f"split with every seed ({counts} runs), two are needed; {fix}"
        )
    return predictions


def _rows(
    found: FoundCandidates, options: Options, compared: Sequence[Predictions], evaluated: Sequence[Predictions],
    diagrams: dict[str, Reliability], measure: ComparisonMetric,
) -> list[CandidateRow]:  # fmt: skip
    rows = []
    most_seeds = max(len({r.config.seed for r in c.runs}) for c in found.candidates)
    for candidate in _ranked(found.candidates, options.split):
        predicted = next((a for a in evaluated if a.candidate is candidate), None)
        label = next((a.label for a in compared if a.candidate is candidate), "")
        error = diagrams[label].error if label in diagrams else None
        rows.append(
            make_candidate_row(
                candidate, predicted, label, options.split, 1 if found.explicit else most_seeds, measure, error
            )
        )
    return sorted(rows, key=lambda row: not row.label)


def candidate_label(index: int) -> str:
    """A, B, ..., Z, A1, B1, ..."""
    turn, place = divmod(index, len(ascii_uppercase))
    return ascii_uppercase[place] + (str(turn) if turn else "")


def _measure(predictions: Predictions, name: str) -> ComparisonMetric:
    draw = np.arange(len(predictions.groups))
    if name and name != predictions.task.primary:
        outputs, target = predictions.seeds[0]
        metrics = predictions.task.metrics(outputs, target, predictions.groups)
        if name not in metrics:
            raise unknown_name("metric", name, sorted(metrics))
        predictions.metrics_of(draw, (name,))
    return ComparisonMetric.of(predictions.task, name)


def _alone(predictions: Predictions) -> Side:
    return Side(predictions.label, (predictions,))


def _reliability(predictions: Predictions) -> Reliability | None:
    """Of all seeds' statements together."""
    each = [predictions.task.confidences(p, t) for p, t in predictions.seeds]
    stated = [e for e in each if e is not None]
    if not stated:
        return None
    return reliability(np.concatenate([s for s, _ in stated]), np.concatenate([h for _, h in stated]))


def _curves(candidate: Candidate) -> list[list[tuple[int, float]]]:
    found = [metric_history(r.summary.run_id, f"validation_{candidate.task.primary}") for r in candidate.runs]
    return [sorted(curve) for curve in found if len(curve) > 1]


def agreement_pairs(predictions: Sequence[Predictions]) -> list[Predictions] | None:
    """The compared candidates on the tracks that all have; None if there are none, or the task is not one of several
    classes."""
    one_class = isinstance(predictions[0].task, SingleLabel | Tabular) and len(predictions[0].classes) > 1
    return aligned(predictions) if one_class and common_tracks([a.track_ids for a in predictions]) else None
