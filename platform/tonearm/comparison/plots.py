"""Plots of who is better: scores, differences, classes, agreement. Colours are told apart by the colour-blind, too
(Okabe and Ito 2008)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tonearm.comparison.contrast import SIGNIFICANCE_LEVEL, ClassChange, PairedComparison, format_value, signed
from tonearm.comparison.outputs import PairResult
from tonearm.comparison.rows import CandidateRow
from tonearm.core.figures import new_figure
from tonearm.core.text import printable
from tonearm.tasks.metrics import find_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PINK, SKY, RED, BLACK, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999999",
)  # fmt: skip
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED, BLACK, GREY)
MARKERS = "osD^vPX*"
WIDTH = 8.0  # inches
WRAP = 38  # characters of a name in a plot
MAX_CLASSES = 24
NOT_SHOWN = 0.25  # opacity of a difference that may be noise
MAX_NAMES_WRITTEN = 12  # in the cells of a matrix
STARS = ((0.001, "***"), (0.01, "**"), (SIGNIFICANCE_LEVEL, "*"))


def titled(label: str, name: str, width: int = WRAP) -> str:
    """A candidate's letter and name on as many lines as it takes, three at most."""
    lines = textwrap.wrap(f"{label}  {name}" if name else label, width)
    return "\n".join(lines[:3]) + (" …" if len(lines) > 3 else "")


def scores_plot(
    rows: Sequence[CandidateRow], metric: str, each: Sequence[Sequence[float]], chance: float | None
) -> Figure:
    """The score of each candidate with its interval; dots are the seeds.

    Parameters
    ----------
    rows
        Of the candidates that are compared.
    each
        Of each of them the scores of its seeds.
    """
    drawn = new_figure(WIDTH, 1.3 + 0.62 * len(rows))
    axis = drawn.subplots()
    for y, (row, seeds) in enumerate(zip(rows, each, strict=True)):
        mean, _, interval = row.scores[metric]
        if interval is not None:
            axis.plot([interval.low, interval.high], [y, y], color=BLUE, linewidth=2)
        axis.plot([mean], [y], "D", color=BLUE, markersize=7)
        if len(seeds) > 1:
            axis.plot(seeds, [y + 0.2] * len(seeds), "o", color=ORANGE, markersize=4)
    if chance is not None:
        axis.axvline(chance, color=GREY, linestyle=":", label=f"chance {format_value(chance)}")
        axis.legend(loc="upper left", bbox_to_anchor=(0, 1.0), frameon=False, fontsize=9)
    axis.set_yticks(range(len(rows)), [titled(r.label, r.name) for r in rows], fontsize=9)
    axis.set(xlabel=_axis_label(metric), ylim=(len(rows) - 0.5, -0.8))
    axis.grid(axis="x", alpha=0.3)
    return drawn


def _axis_label(name: str) -> str:
    metric = find_metric(name)
    return f"{metric.label} ({metric.better} is better)"


def differences_plot(contrasts: Sequence[PairedComparison]) -> Figure:
    """Each difference with its interval, filled where it is shown."""
    drawn = new_figure(WIDTH, 1.2 + 0.42 * len(contrasts))
    axis = drawn.subplots()
    for y, c in enumerate(contrasts):
        colour = BLUE if c.significant else GREY
        axis.plot([c.difference.low, c.difference.high], [y, y], color=colour, linewidth=2)
        axis.plot([c.difference.value], [y], "o", color=colour, markerfacecolor=colour if c.significant else "white")
    axis.axvline(0, color=BLACK, linewidth=0.8)
    titles = [f"{c.first} - {c.second}" + (f", {c.within}" if c.within else "") for c in contrasts]
    axis.set_yticks(range(len(contrasts)), ["\n".join(textwrap.wrap(t, 46)) for t in titles], fontsize=9)
    measure = contrasts[0].measure
    axis.set(xlabel=f"difference of {_axis_label(measure.name)}", ylim=(len(contrasts) - 0.5, -0.5))
    axis.grid(axis="x", alpha=0.3)
    return drawn


def pairs_plot(pairs: Sequence[PairedComparison], labels: Sequence[str]) -> Figure:
    """By how much the row is better than the column; stars by the adjusted p, pale where no difference is shown.

    The colours reach as far as the widest interval does to a side: of what may be noise none is the deepest.
    """
    place = {label: i for i, label in enumerate(labels)}
    values, text = np.full((len(labels), len(labels)), np.nan), {}
    strength = np.full(values.shape, NOT_SHOWN)
    for c in pairs:
        i, j = place[c.first], place[c.second]
        values[i, j], values[j, i] = c.gain, -c.gain
        text[i, j] = text[j, i] = next((stars for p, stars in STARS if c.adjusted < p), "")
        if c.significant:
            strength[i, j] = strength[j, i] = 1.0
    size = 2.6 + 0.62 * len(labels)
    drawn = new_figure(size + 2.2, size)
    axis = drawn.subplots()
    widths = [(c.difference.high - c.difference.low) / 2 for c in pairs]
    reach = max(float(np.nanmax(np.abs(values))), *widths) or 1.0
    image = axis.imshow(values, cmap="RdBu", vmin=-reach, vmax=reach, alpha=strength)
    for (i, j), stars in text.items():
        if len(labels) <= MAX_NAMES_WRITTEN:
            dark = abs(values[i, j]) > 0.6 * reach and strength[i, j] == 1.0
            written = "\n".join([_short(values[i, j]), *([stars] if stars else [])])
            colour = "white" if dark else "black"
            axis.text(j, i, written, ha="center", va="center", fontsize=8, color=colour)
    axis.set_xticks(range(len(labels)), labels)
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="than this one", ylabel="this one is better by")
    drawn.colorbar(image, ax=axis, label=f"gain in {pairs[0].measure.name}", shrink=0.8)
    return drawn


def _short(value: float) -> str:
    return signed(value) if abs(value) >= 0.001 or value == 0 else f"{value:+.0e}"


def classes_plot(changes: Sequence[ClassChange], names: tuple[str, str], metric: str) -> Figure:
    """The difference on each class's tracks with its interval; of many classes those of the largest change."""
    shown = list(changes)
    if len(shown) > MAX_CLASSES:
        largest = sorted(shown, key=lambda c: -abs(c.value))[:MAX_CLASSES]
        shown = [c for c in shown if c in largest]
    drawn = new_figure(WIDTH, 1.4 + 0.3 * len(shown))
    axis = drawn.subplots()
    for y, c in enumerate(shown):
        sure = c.adjusted < SIGNIFICANCE_LEVEL
        axis.barh(y, c.value, color=BLUE if sure else SKY, alpha=1.0 if sure else 0.6)
        if c.difference is not None:
            axis.plot([c.difference.low, c.difference.high], [y, y], color=BLACK, linewidth=1)
    axis.axvline(0, color=BLACK, linewidth=0.8)
    ticks = [f"{printable(c.name, 30)} ({c.tracks})" for c in shown]
    axis.set_yticks(range(len(shown)), ticks, fontsize=9)
    axis.set(xlabel=f"{metric} of {names[0]} - {names[1]}", ylim=(len(shown) - 0.4, -0.6))
    axis.grid(axis="x", alpha=0.3)
    return drawn


def agreement_plot(labels: Sequence[str], equal: np.ndarray, kappa: np.ndarray) -> Figure:
    """The share of equal predictions below the diagonal, Cohen's kappa above it.

    Parameters
    ----------
    equal, kappa
        (models, models).
    """
    count = len(labels)
    long = max(len(label) for label in labels)
    cell = 0.62 if count <= MAX_NAMES_WRITTEN else 0.26
    size = 1.6 + cell * count + 0.07 * long
    drawn = new_figure(size + 1.2, size)
    axis = drawn.subplots()
    values = np.where(np.tri(count, k=-1, dtype=bool), equal, kappa)
    values[np.diag_indices(count)] = np.nan
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    image = axis.imshow(values, cmap="cividis", vmin=low, vmax=high)
    for i in range(count):
        for j in range(count):
            if i != j and count <= MAX_NAMES_WRITTEN and np.isfinite(values[i, j]):
                dark = values[i, j] < (low + high) / 2
                axis.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=8,
                          color="white" if dark else "black")  # fmt: skip
    letters = long <= 3
    axis.set_xticks(range(count), labels, rotation=0 if letters else 90, fontsize=9 if letters else 8)
    axis.set_yticks(range(count), labels, fontsize=9 if letters else 8)
    axis.set_title("below the diagonal: share of equal predictions; above: kappa", fontsize=9)
    drawn.colorbar(image, ax=axis, shrink=0.8)
    return drawn


def axis_of_names(axis: Any, names: Sequence[str]) -> None:
    """Names on the left, the first on top."""
    axis.set_yticks(range(len(names)), [titled(n, "") for n in names], fontsize=9)
    axis.set_ylim(len(names) - 0.5, -0.5)


def pair_differences_plot(found: Mapping[str, Sequence[PairResult]]) -> Figure:
    """A panel a measure: the difference of two pairs for each place, with its interval."""
    places = list(dict.fromkeys(x.place for each in found.values() for x in each))
    height = 1.5 + 0.34 * len(places)
    lines = -(-len(found) // 2)
    drawn = new_figure(WIDTH + 1, height * lines)
    panels = drawn.subplots(lines, min(2, len(found)), sharey=True, squeeze=False).ravel()
    for axis, (what, each) in zip(panels, found.items(), strict=False):
        for x in each:
            y, shown = places.index(x.place), x.adjusted < SIGNIFICANCE_LEVEL
            colour = BLUE if shown else GREY
            axis.plot([x.difference.low, x.difference.high], [y, y], color=colour, linewidth=2)
            axis.plot([x.difference.value], [y], "o", color=colour, markerfacecolor=colour if shown else "white")
        axis.axvline(0, color=BLACK, linewidth=0.8)
        axis.set_title("\n".join(textwrap.wrap(what, 44)), fontsize=9)
        axis_of_names(axis, [p or "difference" for p in places])
        axis.grid(axis="x", alpha=0.3)
    for axis in panels[len(found) :]:
        axis.set_visible(False)
    drawn.supxlabel("difference of the two pairs", fontsize=10)
    return drawn
