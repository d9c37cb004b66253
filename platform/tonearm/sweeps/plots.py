"""Plots of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tonearm.sweeps.results import TrialResult
from tonearm.tasks.metrics import find_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sweep_plot(results: Sequence[TrialResult], title: str) -> Figure:
    """All trials: their learning curves, and their best scores by model and learning rate."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullFormatter

    shown = [r for r in results if r.history]
    primary = shown[0].config.task.primary
    kinds = sorted({r.config.model.kind for r in shown})
    colours = {kind: f"C{i}" for i, kind in enumerate(kinds)}
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for r in shown:
        epochs = [h["epoch"] for h in r.history]
        scores = [h[f"validation_{primary}"] for h in r.history]
        left.plot(epochs, scores, "o-", markersize=3, color=colours[r.config.model.kind], alpha=0.8)
        left.annotate(f"{r.index:02d}", (epochs[-1], scores[-1]), fontsize=7, xytext=(3, 0), textcoords="offset points")
        size = 30 + 60 * (getattr(r.config.feature, "n_fft", 4096) / 4096)
        right.scatter(r.config.optim.lr, r.best, s=size, color=colours[r.config.model.kind], alpha=0.8)
        right.annotate(f"{r.index:02d}", (r.config.optim.lr, r.best or 0.0), fontsize=7, xytext=(5, 3),
                       textcoords="offset points")  # fmt: skip
    for kind in kinds:
        right.scatter([], [], color=colours[kind], label=kind)
    ends = find_metric(primary).axis([h[f"validation_{primary}"] for r in shown for h in r.history])
    left.set(xlabel="epoch", ylabel=f"validation {primary}", ylim=ends, title="learning curves, by trial")
    left.xaxis.get_major_locator().set_params(integer=True)
    right.set(xlabel="learning rate", ylabel=f"best validation {primary}", ylim=ends, xscale="log",
              title="best epoch (larger dots: longer windows)")  # fmt: skip
    right.xaxis.set_major_locator(FixedLocator([d * 10.0**e for e in range(-8, 2) for d in (1, 1.5, 2, 3, 5, 7)]))
    right.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_minor_formatter(NullFormatter())
    right.legend(loc="lower right")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.suptitle(title)
    return figure
