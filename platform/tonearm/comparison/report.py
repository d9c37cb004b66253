"""The report of a comparison, for a reader with five minutes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tonearm.comparison.background import background
from tonearm.comparison.classes import class_measure
from tonearm.comparison.compare import Comparison
from tonearm.comparison.contrast import (
    SIGNIFICANCE_LEVEL,
    ClassChange,
    PairedComparison,
    format_p_value,
    format_value,
    format_with_interval,
    signed,
)
from tonearm.comparison.differing import differing_section
from tonearm.comparison.document import Document, Plot, Section, Table, draw_plot
from tonearm.comparison.plots import classes_plot, differences_plot, pairs_plot, scores_plot
from tonearm.comparison.rows import CandidateRow
from tonearm.statistics.intervals import Interval

MAX_ROWS = 40


def report(comparison: Comparison) -> Document:
    """The whole report: the summary, the table, pairs, fields, classes and tracks, and how it came about."""
    config = comparison.predictions[0].candidate.runs[0].config
    label = f" ({config.dataset.label})" if config.dataset.label else ""
    sections = [
        _table_section(comparison), _pairs_section(comparison), _factor_section(comparison),
        _classes_section(comparison), differing_section(comparison.predictions), *background(comparison),
    ]  # fmt: skip
    title = (
        f"{config.dataset.name}{label}: {len(comparison.predictions)} of {len(comparison.rows)} configurations compared"
    )
    return Document(title, summary(comparison), [s for s in sections if s is not None])


def summary(comparison: Comparison) -> list[str]:
    """The result in two or three sentences."""
    best, measure = comparison.predictions[0], comparison.measure
    scores = [_named_score(row, measure.name) for row in comparison.compared_rows]
    pairs = [c for c in comparison.pairs if best.label in (c.first, c.second)]
    lines = [
        f"{comparison.best_is} is {scores[0]} in {comparison.options.split} {measure.name}, "
        f"{pairs[0].tracks} tracks of {pairs[0].groups}."
    ]
    if len(pairs) == 1:
        lines += [f"The other is {scores[1]}.", f"{pairs[0].verdict()}."]
    else:
        lines.append(_standing(best.label, pairs))
    lines += _advice(comparison)
    if comparison.factor is not None:
        lines += [f"{c.verdict()}." for c in comparison.factor.contrasts if not c.within][:3]
    return lines


def _named_score(row: CandidateRow, metric: str) -> str:
    mean, _, interval = row.scores[metric]
    ends = f" [{format_value(interval.low, mean)}, {format_value(interval.high, mean)}]" if interval is not None else ""
    return f"{row.label} ({row.name}): {format_value(mean)}{ends}"


def _advice(comparison: Comparison) -> list[str]:
    """Which one to use, where another one has the higher score on test."""
    best, measure = comparison.predictions[0].label, comparison.measure
    if comparison.options.split != "test":
        return []
    mean = {row.label: row.scores[measure.name][0] for row in comparison.compared_rows}
    sign = 1 if measure.maximise else -1
    higher = [label for label, value in mean.items() if sign * value > sign * mean[best]]
    beaten = {c.second if c.gain > 0 else c.first for c in comparison.pairs if c.significant}
    if not higher or best in beaten:
        return []
    have = "has" if len(higher) == 1 else "have"
    return [
        f"{', '.join(higher)} {have} the better figure on test, but no difference is shown: use {best}, which was "
        "chosen without looking at test, or the cheapest of them."
    ]


def _standing(label: str, pairs: Sequence[PairedComparison]) -> str:
    """How the best one compares with all others."""
    kinds: dict[str, list[str]] = {"better than": [], "worse than": [], "not shown to differ from": []}
    for c in pairs:
        other, gain = (c.second, c.gain) if c.first == label else (c.first, -c.gain)
        kinds["not shown to differ from" if not c.significant else "better than" if gain > 0 else "worse than"].append(
            other
        )
    standings = [f"{kind} {', '.join(others)}" for kind, others in kinds.items() if others]
    alone = (
        " Not every candidate has two seeds: another seed may differ."
        if any(not c.seed_variance for c in pairs)
        else ""
    )
    return f"It is {'; '.join(standings)} (paired tests on the same tracks, corrected for all pairs).{alone}"


def _cell(value: tuple[float, float, Interval | None] | None, several: bool) -> str:
    if value is None:
        return ""
    mean, deviation, interval = value
    text = format_value(mean) + (f" ± {format_value(deviation, mean)}" if several and np.isfinite(deviation) else "")
    return text + (
        f" [{format_value(interval.low, mean)}, {format_value(interval.high, mean)}]" if interval is not None else ""
    )


def candidates_table(comparison: Comparison) -> Table:
    """A row a candidate, the best on validation first; then chance and the trivial prediction."""
    measure, task = comparison.measure, comparison.predictions[0].task
    metrics = list(dict.fromkeys((measure.name, *task.headline)))
    columns = ["", "configuration", f"validation {task.primary}", *(f"{comparison.options.split} {m}" for m in metrics),
               "tracks", "seeds", "parameters", "seconds", "ECE", "note"]  # fmt: skip
    rows = [_table_row(r, metrics) for r in comparison.rows]
    padding = [""] * 6
    chance = task.chance(len(comparison.predictions[0].classes))
    if chance is not None:
        shown = [format_value(chance) if m == task.primary else "" for m in metrics]
        rows.append(["", "chance", "", *shown, *padding])
    for run in comparison.found.named:
        known = {**{k.removeprefix("heldout/"): v for k, v in run.metrics.items()}, **run.metrics}
        trivial = [known.get(f"test_trivial_{m}") for m in metrics]
        if any(v is not None for v in trivial) and comparison.options.split == "test":
            rows.append(["", task.trivial_name, "", *("" if v is None else format_value(v) for v in trivial), *padding])
            break
    note = (
        "±: deviation over seeds; [ ]: 95 % interval over groups of tracks, not over seeds; seconds: training of one "
        "run; ECE: expected calibration error, 0 is best."
    )
    return Table(columns, rows, note)


def _table_row(row: CandidateRow, metrics: Sequence[str]) -> list[str]:
    several = row.seeds > 1
    validation = (row.validation, row.deviation, None) if np.isfinite(row.validation) else None
    return [
        row.label, row.name, _cell(validation, several), *(_cell(row.scores.get(m), several) for m in metrics),
        str(row.tracks or ""), f"{row.seeds}" + (f" x {row.folds} folds" if row.folds > 1 else ""),
        f"{row.parameters:,}".replace(",", " ") if row.parameters else "",
        f"{row.seconds:.0f}" if np.isfinite(row.seconds) else "",
        "" if row.calibration_error is None else f"{row.calibration_error:.3f}", row.status,
    ]  # fmt: skip


def _table_section(comparison: Comparison) -> Section:
    measure, task = comparison.measure, comparison.predictions[0].task
    each = [[task.metrics(p, t, a.groups)[measure.name] for p, t in a.seeds] for a in comparison.predictions]
    chance = task.chance(len(comparison.predictions[0].classes)) if measure.name == task.primary else None
    caption = (
        f"{comparison.options.split} {measure.name} (diamonds) with its 95 % interval over groups of tracks; orange "
        "dots are single seeds. Intervals that overlap may still belong to candidates that differ: see the pairs."
    )
    plots = draw_plot("scores", caption, scores_plot, comparison.compared_rows, measure.name, each, chance)
    return Section("Candidates", (), _compared_first(candidates_table(comparison), len(comparison.rows)), plots)


def _compared_first(whole: Table, candidates: int) -> list[Table]:
    """The rows of those that are compared, chance and the trivial prediction; then a table of all others."""
    rows = whole.rows[:candidates]
    compared, others = [row for row in rows if row[0]], [row for row in rows if not row[0]]
    tables = [Table(whole.columns, [*compared, *whole.rows[candidates:]], whole.note)]
    if others:
        tables.append(Table(whole.columns, others, folded=f"{len(others)} more, which are not compared"))
    return tables


def paired_comparisons_table(contrasts: Sequence[PairedComparison]) -> Table:
    """A row a paired comparison."""
    others = list(dict.fromkeys(name for c in contrasts for name in c.others))
    within, discordant = any(c.within for c in contrasts), any(c.discordant for c in contrasts)
    columns = [*(["within"] if within else []), "first", "second", f"difference of {contrasts[0].measure.name}", "p",
               "Holm", *(["McNemar, tracks as independent"] if discordant else []), *others, "tracks"]  # fmt: skip
    rows = []
    for c in contrasts:
        counts = (
            ""
            if c.discordant is None
            else f"{c.discordant[0]} : {c.discordant[1]}, p {format_p_value(c.discordant[2])}"
        )
        more = [format_with_interval(c.others[name]) if name in c.others else "" for name in others]
        rows.append([*([c.within or "all"] if within else []), c.first, c.second, format_with_interval(c.difference),
                     format_p_value(c.p), format_p_value(c.adjusted), *([counts] if discordant else []), *more,
                     f"{c.tracks} of {c.groups}"])  # fmt: skip
    note = (
        "Differences are first - second with their 95 % intervals, over other tracks and, of candidates with several "
        "seeds, other seeds; Holm: p adjusted for all rows of this table."
    )
    if discordant:
        note += (
            " McNemar: tracks that only the first : only the second has right; it takes tracks of one artist for "
            "independent, which they are not: p beside it is the one to trust."
        )
    return Table(columns, rows, note)


def _pairs_section(comparison: Comparison) -> Section:
    pairs = comparison.pairs
    order = sorted(pairs, key=lambda c: (c.adjusted, c.p))
    text = [f"{c.verdict()}." for c in order[:3]] if len(pairs) > 1 else []
    plots: list[Plot] = []
    if len(comparison.predictions) > 2:
        labels = [a.label for a in comparison.predictions]
        caption = (
            f"By how much the candidate of the row is better than that of the column in {comparison.measure.name} "
            "(blue: better; red: worse). Strong colours and stars: a difference is shown (* p < 0.05, ** < 0.01, "
            "*** < 0.001, adjusted by Holm); pale: none is shown, whatever the figure."
        )
        plots = draw_plot("pairs", caption, pairs_plot, pairs, labels)
    return Section("Which is better, on the same tracks", text, [paired_comparisons_table(pairs)], plots)


def _factor_section(comparison: Comparison) -> Section | None:
    found = comparison.factor
    if found is None:
        return None
    text = [f"{c.verdict()}." for c in found.contrasts]
    if found.matched:
        but = f" but {', '.join(found.confounders)}" if found.confounders else ""
        text.append(
            f"Each side is the mean over the candidates that have a partner equal in every other varied field{but}."
        )
    else:
        text.append(
            f"Caution: no two candidates differ in {found.field} alone, so each side is the mean of all its "
            "candidates: what else differs may be why. A grid search would hold all else equal."
        )
    if found.co_varying:
        text.append(f"With {found.field} moves {', '.join(found.co_varying)}: differences are of all of them.")
    counts = "; ".join(
        f"{within or 'all'}: {one} x {first}, {two} x {second}"
        for (first, second, within), (one, two) in found.candidates.items()
    )
    caption = (
        "Differences with their 95 % intervals; filled blue: shown (Holm p < 0.05), grey: not shown. To the right of 0 "
        f"the first has the larger {comparison.measure.name}."
    )
    plots = draw_plot("factor", caption, differences_plot, found.contrasts)
    text.append(f"Candidates on each side: {counts}.")
    equal = found.matched and not found.confounders
    title = f"Does {found.field} matter" + (", all else equal?" if equal else "? (Not all else is equal)")
    return Section(title, text, [paired_comparisons_table(found.contrasts)], plots)


def _classes_section(comparison: Comparison) -> Section | None:
    found = [(names, changes) for names, changes in comparison.changes.items() if changes]
    if not found:
        return None
    what = class_measure(comparison.predictions[0].task)
    text, tables, plots = [], [], []
    for i, ((one, two), changes) in enumerate(found, start=1):
        sure = [c for c in changes if c.adjusted < SIGNIFICANCE_LEVEL]
        named = ", ".join(f"{c.name} ({format_with_interval(c.difference)})" if c.difference else c.name for c in sure)
        text.append(
            f"{one} - {two}: a difference is shown on {named}." if sure else
            f"{one} - {two}: on no class a difference is shown, once all {len(changes)} are considered."
        )  # fmt: skip
        tables.append(_classes_table(changes, f"{what}, {one} - {two}"))
        caption = (
            f"{what}: {one} - {two}, of each class (its number of tracks in brackets), with 95 % intervals; dark: "
            "shown after correction for all classes."
        )
        plots += draw_plot(f"classes_{i}", caption, classes_plot, changes, (one, two), what)
    return Section("On which classes", text, tables, plots)


def _classes_table(changes: Sequence[ClassChange], what: str) -> Table:
    largest = sorted(changes, key=lambda c: (c.adjusted, -abs(c.value)))[:MAX_ROWS]
    rows = [
        [c.name, str(c.tracks),
         format_with_interval(c.difference) if c.difference else f"{signed(c.value)} (one group)",
         format_p_value(c.p), format_p_value(c.adjusted)]
        for c in largest
    ]  # fmt: skip
    rest = f" And {len(changes) - len(rows)} more." if len(changes) > len(rows) else ""
    return Table(["class", "tracks", "difference", "p", "Holm"], rows, f"{what}; Holm over all classes.{rest}")
