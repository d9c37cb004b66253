"""Plots of one model. Figures are made without pyplot, whose global state threads would share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curves(history: Sequence[dict[str, Any]], primary: str, title: str) -> Figure:
    """Losses and the primary metric by epoch, the epoch whose model was kept marked."""
    from matplotlib.figure import Figure

    epochs = [h["epoch"] for h in history]
    scores = [h[f"validation_{primary}"] for h in history]
    best = max(i for i, h in enumerate(history) if h["improved"])
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [h["train_loss"] for h in history], "o-", label="training loss")
    left.plot(epochs, [h["validation_log_loss"] for h in history], "o-", label="validation log loss")
    left.set(xlabel="epoch", ylabel="nats", ylim=(0, None))
    left.legend()
    right.plot(epochs, scores, "o-", color="tab:green")
    right.axvline(epochs[best], color="grey", linestyle=":", label=f"kept: epoch {epochs[best]}, {scores[best]:.3f}")
    right.set(xlabel="epoch", ylabel=f"validation {primary}", ylim=(0, 1))
    right.legend(loc="lower right")
    for axis in (left, right):
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


def confusion_plot(confusion: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """A confusion matrix: counts written, colours by the share of the true class."""
    from matplotlib.figure import Figure

    size = 3.0 + 0.45 * len(classes)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axis = figure.subplots()
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(classes)):
        for column in range(len(classes)):
            if confusion[row, column]:
                colour = "white" if share[row, column] > 0.5 else "black"
                axis.text(column, row, str(confusion[row, column]), ha="center", va="center", color=colour)
    axis.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axis.set_yticks(range(len(classes)), classes)
    axis.set(xlabel="predicted", ylabel="truth", title=title)
    figure.colorbar(image, ax=axis, label="share of the true class", shrink=0.8)
    return figure
