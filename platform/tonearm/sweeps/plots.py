"""Plots of a sweep."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tonearm.core.figures import new_figure
from tonearm.sweeps.results import TrialResult, best_result
from tonearm.tasks.metrics import find_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_NAMED = 24  # trials whose index is written
NEAR = 0.04  # of an axis: indices that are nearer are written together
MAX_TOGETHER = 4
ROOM = 0.08  # of the span of the scores, above and below


def sweep_plot(results: Sequence[TrialResult], title: str, members: Collection[int] = ()) -> Figure:
    """All trials: their learning curves, and their best scores by model and learning rate.

    Which were stopped, which is the best, and which are in the ensemble, is marked.

    Parameters
    ----------
    results
        Those without a finished epoch are not drawn; at least one must have one.
    members
        Indices of the trials of an ensemble, or of the one that was chosen alone.
    """
    from matplotlib.ticker import MaxNLocator

    shown = [r for r in results if r.history]
    best = best_result(shown)
    primary = best.config.task.primary
    kinds = sorted({r.config.model.kind for r in shown})
    colours = {kind: f"C{i % 10}" for i, kind in enumerate(kinds)}
    figure = new_figure(11, 4.8)
    left, right = figure.subplots(1, 2)
    for r in shown:
        colour, whole = colours[r.config.model.kind], r.ending == "completed"
        epochs, scores = [h["epoch"] for h in r.history], [h[f"validation_{primary}"] for h in r.history]
        left.plot(epochs, scores, "-", color=colour, linewidth=2.6 if r is best else 1.2, alpha=0.9 if whole else 0.5,
                  marker="o" if whole else "x", markersize=6, markevery=[len(epochs) - 1])  # fmt: skip
        right.plot([r.config.optim.lr], [r.best], "o" if whole else "x", color=colour, markersize=7)
        if r.index in members:
            right.plot([r.config.optim.lr], [r.best], "s", color="black", fillstyle="none", markersize=12)
    right.plot([best.config.optim.lr], [best.best], "*", color="black", markersize=13)
    span = _span([h[f"validation_{primary}"] for r in shown for h in r.history], primary)
    left.set(xlabel="epoch", ylabel=f"validation {primary}", ylim=span, title="learning curves, by trial")
    last = max(len(r.history) for r in shown)
    left.set_xticks([tick for tick in MaxNLocator(integer=True).tick_values(1, last) if 1 <= tick <= last])
    left.set_xlim(1 - 0.06 * last, last + 0.25 * last)  # room for the indices at the ends
    right.set(xlabel="learning rate", ylabel=f"best validation {primary}", ylim=span, xscale="log", title="best epoch")
    rates = [r.config.optim.lr for r in shown]
    room = max(max(rates) / min(rates), 1.5) ** 0.25
    right.set_xlim(min(rates) / room**0.6, max(rates) * room)
    _rate_ticks(right, rates)
    if len(shown) <= MAX_NAMED:
        _write_indices(left, {r.index: (r.history[-1]["epoch"], r.history[-1][f"validation_{primary}"]) for r in shown})
        _write_indices(right, {r.index: (r.config.optim.lr, r.best or 0.0) for r in shown})
    for axis in (left, right):
        axis.grid(alpha=0.3)
    _legend(figure, right, colours, shown, len(members))
    figure.suptitle(f"{title}\nbest on validation: {best.name}: {primary} {best.best:.4g}", fontsize=11)
    return figure


def _span(scores: Sequence[float], metric: str) -> tuple[float, float]:
    """Ends of an axis: where the scores are, with room, within the metric's range."""
    low, high = min(scores), max(scores)
    room = ROOM * (high - low) or 0.05 * (abs(high) or 1.0)
    known = find_metric(metric)
    return max(low - room, known.low - room / 2), min(high + room, known.high + room / 2)


def _rate_ticks(axis: Any, rates: Sequence[float]) -> None:
    from matplotlib.ticker import FixedLocator, NullFormatter

    span = max(rates) / min(rates)
    digits: tuple[float, ...] = (1, 1.5, 2, 3, 5, 7) if span < 5 else (1, 2, 5) if span < 60 else (1,)
    axis.xaxis.set_major_locator(FixedLocator([digit * 10.0**power for power in range(-10, 3) for digit in digits]))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def _write_indices(axis: Any, places: Mapping[int, tuple[float, float]]) -> None:
    """Write each trial's index right of its point; those of points that lie on each other together."""
    to_axes = axis.transData + axis.transAxes.inverted()
    found: list[tuple[float, float, list[int]]] = []
    for index, place in places.items():
        x, y = to_axes.transform(place)
        near = (names for at, height, names in found if abs(at - x) < 2 * NEAR and abs(height - y) < NEAR)
        names = next(near, None)
        if names is None:
            found.append((x, y, [index]))
        else:
            names.append(index)
    for _, _, names in found:
        written = ", ".join(f"{i:02d}" for i in names[:MAX_TOGETHER]) + (" …" if len(names) > MAX_TOGETHER else "")
        axis.annotate(written, places[names[0]], fontsize=8, xytext=(6, 0), textcoords="offset points", va="center")


def _legend(figure: Figure, axis: Any, colours: Mapping[str, str], shown: Sequence[TrialResult], members: int) -> None:
    """What colours and marks mean, below both panels, where no trial is covered."""
    marks: list[tuple[str, dict[str, Any]]] = [(kind, {"color": colour}) for kind, colour in colours.items()]
    endings = {r.ending for r in shown}
    if len(endings) > 1 or "completed" not in endings:
        plain = {"color": "grey", "linestyle": ""}
        early = " or ".join(sorted(endings - {"completed"}, reverse=True))
        marks += [(word, {**plain, "marker": mark}) for word, mark in (("completed", "o"), (early, "x"))]
    marks.append(("best on validation", {"color": "black", "linestyle": "", "marker": "*", "markersize": 11}))
    if members:
        named = "in the ensemble" if members > 1 else "chosen"
        marks.append((named, {"color": "black", "linestyle": "", "marker": "s", "fillstyle": "none"}))
    handles = [axis.plot([], [], label=label, **style)[0] for label, style in marks]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), frameon=False)
