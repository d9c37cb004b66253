"""Plots of how candidates came about: learning curves, calibration, importance of fields, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tonearm.comparison.importance import WIDE, Importance
from tonearm.comparison.plots import BLACK, BLUE, COLOURS, GREY, MARKERS, WIDTH, axis_of_names
from tonearm.comparison.rows import CandidateRow
from tonearm.core.figures import new_figure
from tonearm.statistics.calibration import Reliability
from tonearm.sweeps.trial_names import field_text, short_names
from tonearm.tasks.metrics import find_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_AXES = 8
COLUMNS = 3
MAX_TICK_LENGTH = 16
MIN_LABEL_DISTANCE = 0.06  # of the span of an axis
FEW_STATEMENTS = 5  # of a bin: fewer say little of what is so


def curves_plot(curves: Mapping[str, Sequence[Sequence[tuple[int, float]]]], metric: str) -> Figure:
    """The validation metric by epoch: a thin line a run, a colour a candidate."""
    from matplotlib.ticker import MaxNLocator

    drawn = new_figure(WIDTH, 4.2)
    axis = drawn.subplots()
    for i, (label, runs) in enumerate(curves.items()):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        for k, run in enumerate(runs):
            epochs, values = zip(*run, strict=True)
            axis.plot(epochs, values, color=colour, linewidth=1, alpha=0.8, marker=marker, markersize=4,
                      markevery=max(1, len(run) // 8), label=label if k == 0 else None)  # fmt: skip
    axis.set(xlabel="epoch", ylabel=f"validation {metric}")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axis.grid(alpha=0.3)
    return drawn


def reliability_plot(diagrams: Mapping[str, Reliability]) -> Figure:
    """Stated probability against what was so, a panel a candidate; the diagonal is perfect.

    Of fewer than :data:`FEW_STATEMENTS` the points are hollow, and no line leads there.
    """
    columns = min(COLUMNS, len(diagrams))
    lines = -(-len(diagrams) // columns)
    drawn = new_figure(0.6 + 2.6 * columns, 0.5 + 2.8 * lines)
    panels = np.atleast_1d(drawn.subplots(lines, columns, sharey=True, squeeze=False)).ravel()
    for axis, (label, d) in zip(panels, diagrams.items(), strict=False):
        some, few = d.count >= FEW_STATEMENTS, (d.count > 0) & (d.count < FEW_STATEMENTS)
        axis.bar((d.edges[:-1] + d.edges[1:]) / 2, d.count / d.count.sum(), width=0.9 / len(d.count), color=GREY,
                 alpha=0.4)  # fmt: skip
        axis.plot([0, 1], [0, 1], color=BLACK, linestyle=":", linewidth=1)
        axis.plot(d.confidence[some], d.accuracy[some], "o-", color=BLUE, markersize=5)
        axis.plot(d.confidence[few], d.accuracy[few], "o", color=BLUE, markersize=5, markerfacecolor="white")
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        axis.set_title(f"{label}: ECE {d.error:.3f}", fontsize=10)
        axis.grid(alpha=0.3)
    for axis in panels[len(diagrams) :]:
        axis.set_visible(False)
    drawn.supxlabel("stated probability", fontsize=10)
    drawn.supylabel("share that was so; bars: share of statements", fontsize=10)
    return drawn


def importance_plot(found: Sequence[Importance]) -> Figure:
    """Loss of R² of the predicted scores when each field is shuffled."""
    drawn = new_figure(WIDTH, 1.2 + 0.4 * len(found))
    axis = drawn.subplots()
    axis.barh(range(len(found)), [f.loss for f in found], xerr=[f.deviation for f in found], color=BLUE,
              error_kw={"ecolor": BLACK, "capsize": 3})  # fmt: skip
    axis_of_names(axis, [f.name for f in found])
    axis.axvline(0, color=BLACK, linewidth=0.8)
    axis.set(xlabel="loss of R² of predicted validation scores")
    axis.grid(axis="x", alpha=0.3)
    return drawn


def parallel_plot(
    configs: Sequence[Mapping[str, Any]], varied: Sequence[str], scores: Sequence[float], metric: str
) -> Figure:
    """A line a configuration through its values of the varied fields to its score; the best are drawn last."""
    from matplotlib import colormaps

    paths = list(varied)[:MAX_AXES]
    short = short_names(varied)
    drawn = new_figure(max(WIDTH, 1.5 + 1.35 * len(paths)), 4.6)
    axis = drawn.subplots()
    rows = [i for i, s in enumerate(scores) if np.isfinite(s)]
    maximise = find_metric(metric).maximise
    order = sorted(rows, key=lambda i: scores[i] if maximise else -scores[i])
    places = [_places([configs[i].get(p) for i in rows]) for p in paths]
    score_place, score_ticks = _scaled([scores[i] for i in rows])
    low, high = min(scores[i] for i in rows), max(scores[i] for i in rows)
    colours = colormaps["cividis" if maximise else "cividis_r"]
    for i in order:
        at = rows.index(i)
        heights = [place[at] for place, _ in places] + [score_place[at]]
        colour = colours((scores[i] - low) / ((high - low) or 1.0))
        axis.plot(range(len(heights)), heights, color=colour, linewidth=1.6, alpha=0.85)
    for x, (_, ticks) in enumerate([*places, (score_place, score_ticks)]):
        axis.axvline(x, color=BLACK, linewidth=0.8)
        for height, text in ticks:
            axis.annotate(text, (x, height), xytext=(4, 0), textcoords="offset points", fontsize=8, va="center",
                          bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8})  # fmt: skip
    axis.set_xticks(range(len(paths) + 1), [*(short[p] for p in paths), f"validation\n{metric}"], fontsize=9)
    axis.set(yticks=[], ylim=(-0.06, 1.06), xlim=(-0.15, len(paths) + 0.55))
    for side in axis.spines.values():
        side.set_visible(False)
    return drawn


def _places(values: Sequence[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """Of each value its height on an axis, 0..1, and the axis's ticks."""
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values) and len(set(values)) > 5:
        return _scaled(values)
    text = {v: "none" if v is None else str(v) for v in values}
    numeric = all(isinstance(v, int | float) for v in values)
    levels = sorted(text) if numeric else sorted(text, key=lambda v: text[v])
    height = {level: i / max(1, len(levels) - 1) if len(levels) > 1 else 0.5 for i, level in enumerate(levels)}
    shown = {level: text[level] if level is None else field_text(level) for level in levels}
    ticks = [(height[v], t if len(t) <= MAX_TICK_LENGTH else t[: MAX_TICK_LENGTH - 1] + "…") for v, t in shown.items()]
    return [height[v] for v in values], ticks


def _scaled(values: Sequence[float]) -> tuple[list[float], list[tuple[float, str]]]:
    """The same of numbers, each where it lies between the least and the largest, which alone are written."""
    numbers = np.array(values, dtype=np.float64)
    wide = numbers.min() > 0 and numbers.max() / numbers.min() >= WIDE
    scale = np.log(numbers) if wide else numbers
    span = float(np.ptp(scale)) or 1.0
    ends = [(0.0, f"{numbers.min():.3g}"), (1.0, f"{numbers.max():.3g}")]
    return ((scale - scale.min()) / span).tolist(), ends


def cost_plot(rows: Sequence[CandidateRow], metric: str) -> Figure | None:
    """Score against seconds of training and against weights; the line joins what nothing cheaper beats."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    costs = {
        "seconds of training, a run": {r.label: r.seconds for r in rows if np.isfinite(r.seconds) and r.seconds > 0},
        "parameters": {r.label: float(r.parameters) for r in rows if r.parameters},
    }
    costs = {name: found for name, found in costs.items() if len(found) > 1}
    if not costs:
        return None
    scores = {r.label: r.scores[metric][0] for r in rows}
    drawn = new_figure(WIDTH if len(costs) > 1 else 5, 3.8)
    for axis, (name, found) in zip(drawn.subplots(1, len(costs), squeeze=False)[0], costs.items(), strict=True):
        front = pareto_front(found, scores, find_metric(metric).maximise)
        axis.plot([found[f] for f in front], [scores[f] for f in front], color=GREY, linewidth=1, linestyle="--")
        for label, cost in found.items():
            axis.plot([cost], [scores[label]], "o", color=BLUE if label in front else GREY, markersize=6)
        for labels in overlapping_labels(found, scores):
            axis.annotate(", ".join(labels), (found[labels[0]], scores[labels[0]]), xytext=(5, 4),
                          textcoords="offset points", fontsize=9)  # fmt: skip
        axis.set(xlabel=name, ylabel=find_metric(metric).label)
        if max(found.values()) / min(found.values()) > WIDE:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axis.xaxis.set_minor_formatter(NullFormatter())
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.margins(0.12)
        axis.grid(alpha=0.3)
    return drawn


def overlapping_labels(cost: Mapping[str, float], score: Mapping[str, float]) -> list[list[str]]:
    """Labels whose points are so near to each other that they would be written on one another, together."""
    high, low = max(score[k] for k in cost), min(score[k] for k in cost)
    dearest, cheapest = np.log(max(cost.values())), np.log(min(cost.values()))
    found: list[list[str]] = []
    for label in sorted(cost, key=lambda k: (cost[k], score[k])):
        for labels in found:
            up = abs(score[label] - score[labels[0]]) <= MIN_LABEL_DISTANCE * (high - low)
            across = abs(np.log(cost[label] / cost[labels[0]])) <= MIN_LABEL_DISTANCE * (dearest - cheapest)
            if up and across:
                labels.append(label)
                break
        else:
            found.append([label])
    return found


def pareto_front(cost: Mapping[str, float], score: Mapping[str, float], maximise: bool) -> list[str]:
    """Those that nothing at most as dear beats, the cheapest first."""
    sign = 1 if maximise else -1
    front: list[str] = []
    for label in sorted(cost, key=lambda k: (cost[k], -sign * score[k])):
        if not front or sign * score[label] > sign * score[front[-1]]:
            front.append(label)
    return front
