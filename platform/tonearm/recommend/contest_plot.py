"""The plot of a contest of recommenders: what each finds, and how much of the catalogue it ever shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonearm.core.figures import new_figure
from tonearm.recommend.contest import Contest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = ("recall", "nDCG", "hit rate", "share of the catalogue ever shown")


def contest_figure(contest: Contest) -> Figure:
    """A row a system, the model's in colour; bars are intervals of 95 %, by artists."""
    names = list(contest.systems)[::-1]
    figure = new_figure(11, 1.6 + 0.4 * len(names))
    axes = figure.subplots(1, len(PANELS), sharey=True)
    for axis, panel in zip(axes, PANELS, strict=True):
        for place, name in enumerate(names):
            quality, colour = contest.systems[name], "C0" if name == next(iter(contest.systems)) else "dimgrey"
            measured = {"recall": quality.recall, "nDCG": quality.ndcg, "hit rate": quality.hit_rate}.get(panel)
            value = quality.coverage if measured is None else measured.value
            if measured is not None:
                axis.plot([measured.low, measured.high], [place, place], color=colour, linewidth=2)
            axis.plot([value], [place], "o", color=colour, markersize=7)
            axis.annotate(f"{value:.2f}", (value, place), xytext=(0, 6), textcoords="offset points", ha="center",
                          fontsize=8, color=colour)  # fmt: skip
        axis.set_title(panel, fontsize=10)
        axis.set_xlim(-0.04, 1.04)
        axis.set_ylim(-0.6, len(names) - 0.3)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(names)), names)
    figure.suptitle(f"{contest.k} of the same {contest.by}, artists apart: {contest.queries} queries", fontsize=11)
    return figure
