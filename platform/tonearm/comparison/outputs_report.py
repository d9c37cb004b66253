"""The report on stored outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from tonearm.comparison.contrast import SIGNIFICANCE_LEVEL, format_p_value, format_value, format_with_interval
from tonearm.comparison.document import Document, Section, Table, draw_plot
from tonearm.comparison.outputs import OVERALL, PRIMARY, Agreement, PairQuestion, PairResult
from tonearm.comparison.plots import agreement_plot, pair_differences_plot

MAX_ROWS = 60
METHODS = (
    "Two models differ on a track if the class of the largest output differs; kappa (Cohen 1960) is the agreement "
    "beyond that of chance; divergence is Jensen and Shannon's (Lin 1991), in bits, 0 to 1.",
    "Pairs are compared on the same tracks: p is that of a randomisation test, intervals are paired bootstraps "
    "(Hesterberg 2015), Holm's adjusted p is for all rows of a question. The result of a question is how often "
    "the members' answers differ; the other measures stand beside it. The tracks' artists are unknown here, "
    "so each track is its own group: if artists have several tracks, intervals are too narrow and p too small.",
    "Without labels it is unknown which is right: models may differ because one of them is poor.",
)


def outputs_report(
    name: str, agreement: Agreement, questions: Sequence[tuple[PairQuestion, Sequence[PairResult]]]
) -> Document:
    """Which models agree, and the results of the questions.

    Parameters
    ----------
    name
        Of the file.
    """
    lines, sections = [], []
    for i, (question, found) in enumerate(questions):
        places = [a for a in found if a.place != OVERALL]
        shown = [a for a in found if a.place == OVERALL] or places
        details = [(a.what, f"{sentence(question, a, [p for p in places if p.what == a.what and p is not a])}.")
                for a in shown]  # fmt: skip
        lines += [text for what, text in details if what == PRIMARY]
        sections.append(_question_section(question, found, i, [text for what, text in details if what != PRIMARY]))
    if not questions:
        lines.append(_extremes(agreement))
    count = len(agreement.names)
    title = f"{name}: agreement of {count} models on {agreement.tracks} tracks"
    return Document(title, lines, [*sections, _matrix_section(agreement), Section("Methods", METHODS)])


def sentence(question: PairQuestion, found: PairResult, places: Sequence[PairResult] = ()) -> str:
    """The result of a question in words.

    Parameters
    ----------
    places
        The same measure at the single places, where there are several.
    """
    a, b, c, d = _names(question, found.place)
    verdict = {0: "differ as much as", 1: "differ more than", -1: "differ less than"}[_direction(found)]
    unless = ", as far as these tracks can show" if not _direction(found) else ""
    text = (
        f"{found.what[0].upper()}{found.what[1:]}: {a} and {b} {verdict} {c} and {d}{unless}: "
        f"{format_value(found.first)} "
        f"against {format_value(found.second)}, difference {format_with_interval(found.difference)}, "
        f"p {'' if found.p < 0.001 else '= '}{format_p_value(found.p)} (Holm {format_p_value(found.adjusted)})"
    )
    kinds = {word: [x.place for x in places if _direction(x) == sign] for sign, word in
             ((1, "more"), (-1, "less"), (0, "not shown to differ"))}  # fmt: skip
    details = [f"{word} for {', '.join(each)}" for word, each in kinds.items() if each]
    return text + (f"; {'; '.join(details)}" if details else "")


def _direction(found: PairResult) -> int:
    """1 for more, -1 for less, 0 where no difference is shown."""
    return 0 if found.adjusted >= SIGNIFICANCE_LEVEL else 1 if found.difference.value > 0 else -1


def _names(question: PairQuestion, place: str) -> tuple[str, str, str, str]:
    if place in question.places:
        return question.places[place]
    one, two = question.text.split(";")
    (a, b), (c, d) = one.split(","), two.split(",")
    return a.strip(), b.strip(), c.strip(), d.strip()


def _question_section(question: PairQuestion, found: Sequence[PairResult], number: int, text: Sequence[str]) -> Section:
    a, b, c, d = _names(question, OVERALL)
    rows = [
        [x.what, x.place, format_value(x.first), format_value(x.second), format_with_interval(x.difference),
         format_p_value(x.p), format_p_value(x.adjusted)]
        for x in found
    ]  # fmt: skip
    columns = ["measure", "of", f"{a}, {b}", f"{c}, {d}", "difference", "p", "Holm"]
    caption = (
        f"{a} with {b}, less {c} with {d}: to the right of 0 the first two differ more. Lines: 95 % intervals; filled: "
        "shown (Holm p < 0.05)."
    )
    plots = draw_plot(f"differences_{number + 1}", caption, pair_differences_plot, _by_measure(found))
    note = "'all': of each track the mean over the others. Averages are of the two models' probabilities."
    return Section(f"Do {a} and {b} differ more than {c} and {d}?", text, [Table(columns, rows, note)], plots)


def _by_measure(found: Sequence[PairResult]) -> Mapping[str, Sequence[PairResult]]:
    return {what: [x for x in found if x.what == what] for what in dict.fromkeys(x.what for x in found)}


def _matrix_section(agreement: Agreement) -> Section:
    order = sorted(combinations(range(len(agreement.names)), 2), key=lambda ij: agreement.equal[ij])
    rows = [
        [agreement.names[i], agreement.names[j], f"{1 - agreement.equal[i, j]:.3f}", f"{agreement.kappa[i, j]:.3f}",
         f"{agreement.divergence[i, j]:.3f}"]
        for i, j in order[:MAX_ROWS]
    ]  # fmt: skip
    caption = "Light: the two models give the same answer; dark: they do not."
    plots = draw_plot("agreement", caption, agreement_plot, agreement.names, agreement.equal, agreement.kappa)
    columns = ["", "", "share of different answers", "kappa", "Jensen-Shannon divergence, bits"]
    note = "The most different first."
    if len(order) > len(rows):
        note += f" And {len(order) - len(rows)} more."
    return Section("Who answers like whom", (), [Table(columns, rows, note)], plots)


def _extremes(agreement: Agreement) -> str:
    values = np.where(np.tri(len(agreement.names), k=-1, dtype=bool), agreement.equal, np.nan)
    most, least = (np.unravel_index(f(values), values.shape) for f in (np.nanargmax, np.nanargmin))
    one, two = ((agreement.names[int(i)], agreement.names[int(j)], values[i, j]) for i, j in (most, least))
    return (
        f"Most alike are {one[0]} and {one[1]} (equal predictions on {one[2]:.1%} of {agreement.tracks} tracks), least "
        f"alike {two[0]} and {two[1]} ({two[2]:.1%})."
    )
