"""Plots of one training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tonearm.core.figures import new_figure
from tonearm.tasks.metrics import find_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curves(history: Sequence[dict[str, Any]], primary: str, title: str) -> Figure:
    """Losses and the primary metric by epoch, the epoch whose model was kept marked.

    Parameters
    ----------
    history
        The metrics of each epoch, as a trial yields them. The validation log loss is drawn where the task has one,
        since it is comparable with the training loss; epochs where a new ``round`` begins are marked, if there are.
    primary
        The task's primary metric, whose range the axis shows (:meth:`~tonearm.tasks.metrics.Metric.axis`).
    """
    epochs = [h["epoch"] for h in history]
    scores = [h[f"validation_{primary}"] for h in history]
    best = max(i for i, h in enumerate(history) if h["improved"])
    curves = {"training loss": [h["train_loss"] for h in history]}
    if all("validation_log_loss" in h for h in history):
        curves["validation log loss"] = [h["validation_log_loss"] for h in history]
    figure = new_figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    for label, losses in curves.items():
        left.plot(epochs, losses, "o-", label=label)
    left.set(xlabel="epoch", ylabel="loss")
    every = [loss for losses in curves.values() for loss in losses]
    if min(every) >= 0:
        left.set_ylim(0, 1.05 * max(every) or None)
    left.legend()
    right.plot(epochs, scores, "o-", color="tab:green")
    right.axvline(epochs[best], color="grey", linestyle=":", label=f"kept: epoch {epochs[best]}, {scores[best]:.4g}")
    right.set(xlabel="epoch", ylabel=f"validation {primary}")
    right.set_ylim(*find_metric(primary).axis(scores))
    right.legend()
    for axis in (left, right):
        for before, after in pairwise(history):
            if before.get("round") != after.get("round"):
                axis.axvline((before["epoch"] + after["epoch"]) / 2, color="grey", linewidth=0.8)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    figure.suptitle(title)
    return figure
