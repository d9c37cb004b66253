"""Which configuration is better, by how much, how surely: candidates' scores, and paired tests on the same tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_uppercase

import numpy as np

from tonearm.core.calibration import Reliability, reliability
from tonearm.core.errors import ConfigError
from tonearm.core.registry import unknown_name
from tonearm.core.statistics import Interval
from tonearm.datasets.manifest import Split
from tonearm.sweeps.candidates import Candidate, Found, find_candidates
from tonearm.sweeps.comparison_answers import Answers, aligned, load_answers
from tonearm.sweeps.comparison_contrast import ClassChange, Contrast, Measure, Side, adjusted, class_changes, contrast
from tonearm.sweeps.comparison_factors import Factor, factor
from tonearm.tracking import names
from tonearm.tracking.query import history_of
from tonearm.training.evaluate import score_runs

MOST_CURVES = 8
MOST_SIDES = 3
LARGE = 2_000_000  # predictions
MORE = "to compare it with another: python -m jobs.compare RUN OTHER_RUN, with runs' names or ids as MLflow shows them"


@dataclass(frozen=True)
class Options:
    """What is asked of a comparison.

    Attributes
    ----------
    top
        Of a sweep, so many candidates are compared: the best on validation.
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
class Row:
    """A candidate in the table.

    Attributes
    ----------
    label
        A letter, or "" if it is not among those that are compared.
    status
        ``""`` if it was judged, else why not.
    seeds, folds
        How many ran.
    validation, deviation
        Mean and deviation over the seeds of the primary metric; NaN where there is none.
    scores
        Of each headline metric the mean over seeds, their deviation, and the interval over groups of tracks (None
        where the candidate is not among those that are compared).
    tracks
        On how many it was judged.
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


@dataclass(frozen=True)
class Comparison:
    """Everything that a report tells.

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

    found: Found
    options: Options
    measure: Measure
    answers: list[Answers]
    rows: list[Row]
    pairs: list[Contrast]
    factor: Factor | None
    changes: dict[tuple[str, str], list[ClassChange]]
    reliability: dict[str, Reliability]
    curves: dict[str, list[list[tuple[int, float]]]]

    @property
    def compared_rows(self) -> list[Row]:
        """The table's rows of the candidates that are compared, in the order of ``answers``."""
        return [next(r for r in self.rows if r.label == a.label) for a in self.answers]


def compare(texts: Sequence[str], options: Options, say: Callable[[str], None] = print) -> Comparison:
    """Compare runs, or the trials of sweeps.

    Parameters
    ----------
    texts
        Run ids, names of runs or sweeps, or beginnings of them.
    say
        Told of progress.

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
        raise ConfigError(f"--within {options.within} needs --by FIELD: which field's values are to be compared?")
    explicit = all(not _has_children(run.run_id, found) for run in found.named)
    most = len(found.candidates) if explicit else max(options.top, 2)
    judged = _judged(found, options, len(found.candidates) if options.by else most)
    answers = judged[:most]
    measure = _measure(answers[0], options.metric)
    say(f"  {len(found.candidates)} configurations, {len(answers)} of them compared on {len(answers[0].groups)} "
        f"{options.split} tracks")  # fmt: skip
    if sum(p.size for a in answers for p, _ in a.seeds) > LARGE:
        say("  with so many outputs the intervals take minutes")
    pairs = adjusted([contrast(_alone(a), _alone(b), measure) for a, b in combinations(answers, 2)])
    asked = factor(judged, options.by, options.within, measure) if options.by else None
    sides = asked.sides[:MOST_SIDES] if asked else [(_alone(answers[0]), _alone(answers[1]))]
    changes = {(one.name, two.name): class_changes(one, two) for one, two in sides}
    diagrams = {a.label: d for a in answers if (d := _reliability(a)) is not None}
    rows = [_row(c, found, options, answers, judged, diagrams, measure) for c in _ranked(found.candidates)]
    curves = {a.label: _curves(a.candidate) for a in answers[:MOST_CURVES]}
    return Comparison(found, options, measure, answers, rows, pairs, asked, changes, diagrams, curves)


def _has_children(run_id: str, found: Found) -> bool:
    return all(run.summary.run_id != run_id for c in found.candidates for run in c.runs)


def _ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The best on validation first, those without a score last."""

    def key(c: Candidate) -> tuple[bool, float]:
        return not np.isfinite(c.validation), -c.validation if c.task.maximise else c.validation

    return sorted(candidates, key=key)


def _judged(found: Found, options: Options, most: int) -> list[Answers]:
    """Answers of so many of the candidates, the best on validation first."""
    answers: list[Answers] = []
    for candidate in _ranked(found.candidates):
        if len(answers) < most:
            loaded = load_answers(candidate, letter(len(answers)), options.split, found.notes)
            if loaded is not None:
                answers.append(loaded)
    if len(answers) < 2:
        endings = [run.ending for c in found.candidates for run in c.runs]
        told = ", ".join(f"{endings.count(e)} {e}" for e in ("completed", "stopped", "failed", "running")
                         if e in endings)  # fmt: skip
        fix = "compare what they predicted on validation: --split validation" if options.split == "test" else MORE
        raise ConfigError(
            f"{len(answers)} of {len(found.candidates)} configurations kept predictions of the {options.split} split "
            f"({told} runs), two are needed; {fix}"
        )
    return answers


def letter(index: int) -> str:
    """A, B, ..., Z, A1, B1, ..."""
    turn, place = divmod(index, len(ascii_uppercase))
    return ascii_uppercase[place] + (str(turn) if turn else "")


def _measure(answers: Answers, name: str) -> Measure:
    draw = np.arange(len(answers.groups))
    if name and name != answers.task.primary:
        predictions, target = answers.seeds[0]
        known = answers.task.metrics(predictions, target, answers.groups)
        if name not in known:
            raise unknown_name("metric", name, sorted(known))
        answers.metrics_of(draw, (name,))
    return Measure.of(answers.task, name)


def _alone(answers: Answers) -> Side:
    return Side(answers.label, (answers,))


def _reliability(answers: Answers) -> Reliability | None:
    """Of all seeds' statements together."""
    each = [answers.task.confidences(p, t) for p, t in answers.seeds]
    stated = [e for e in each if e is not None]
    if not stated:
        return None
    return reliability(np.concatenate([s for s, _ in stated]), np.concatenate([h for _, h in stated]))


def _curves(candidate: Candidate) -> list[list[tuple[int, float]]]:
    found = [history_of(r.summary.run_id, f"validation_{candidate.task.primary}") for r in candidate.runs]
    return [sorted(curve) for curve in found if len(curve) > 1]


def _row(
    candidate: Candidate, found: Found, options: Options, compared: Sequence[Answers], judged: Sequence[Answers],
    diagrams: dict[str, Reliability], measure: Measure,
) -> Row:  # fmt: skip
    own = next((a for a in judged if a.candidate is candidate), None)
    label = own.label if own is not None and any(a is own for a in compared) else ""
    seconds = [r.summary.metrics["seconds"] for r in candidate.runs if "seconds" in r.summary.metrics]
    weights = [int(float(r.summary.tags[names.PARAMETERS])) for r in candidate.runs if names.PARAMETERS in
               r.summary.tags]  # fmt: skip
    by_seed = list(candidate.by_seed.values())
    return Row(
        label, candidate.name, _status(candidate, own is not None, options),
        len({r.config.seed for r in candidate.runs}), len({r.config.dataset.fold for r in candidate.runs}),
        candidate.validation, float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else 0.0,
        _scores(own, bool(label), measure) if own is not None else {}, len(own.groups) if own is not None else 0,
        weights[0] if weights else None, float(np.mean(seconds)) if seconds else float("nan"),
        diagrams[label].error if label in diagrams else None,
    )  # fmt: skip


def _scores(answers: Answers, intervals: bool, measure: Measure) -> dict[str, tuple[float, float, Interval | None]]:
    task = answers.task
    wanted = tuple(dict.fromkeys((measure.name, *task.headline)))
    each = [task.some_metrics(wanted, p, t, answers.groups) for p, t in answers.seeds]
    pooled = score_runs(task, answers.seeds, answers.groups).intervals if intervals else {}
    return {
        name: (
            float(np.mean([e[name] for e in each])),
            float(np.std([e[name] for e in each], ddof=1)) if len(each) > 1 else 0.0,
            pooled.get(name),
        )
        for name in wanted
    }


def _status(candidate: Candidate, judged: bool, options: Options) -> str:
    endings = [run.ending for run in candidate.runs]
    failed = [run for run in candidate.runs if run.ending == "failed"]
    told = []
    if failed:
        error = next((run.error for run in failed if run.error), "no reason recorded")
        told.append(f"{len(failed)} of {len(endings)} runs failed: {error}" if len(endings) > 1 else f"failed: {error}")
    if "stopped" in endings:
        told.append("stopped early" + ("" if options.split == "validation" else ", not tested"))
    if "running" in endings:
        told.append("still running")
    if not told and not judged:
        told.append("not among the best on validation" if "completed" in endings else "not judged")
    return "; ".join(told)


def agreement_pairs(answers: Sequence[Answers]) -> list[Answers] | None:
    """The compared candidates on the tracks that all have, if their answers are one of several classes; else None."""
    task = answers[0].task
    return aligned(answers) if task.uses_labels and len(answers[0].classes) > 1 else None
