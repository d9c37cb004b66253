"""Plots of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tonearm.core.figures import new_figure
from tonearm.core.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TALLEST = 40.0  # inches
NAME_WIDTH = 32  # characters of a class


def confusion_plot(confusion: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """A confusion matrix: counts written, colours by the share of the true class, paler where it has few tracks.

    Parameters
    ----------
    confusion
        Counts (classes, classes): rows are the truth.
    """
    size = 3.0 + 0.45 * len(classes)
    figure = new_figure(size + 1, size)
    axis = figure.subplots()
    tracks = confusion.sum(axis=1)
    share = confusion / np.maximum(tracks, 1)[:, None]
    sure = (tracks / (tracks + 1))[:, None]  # one track says little of its class, and looks like it
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1, alpha=np.broadcast_to(sure, share.shape))
    for row in range(len(classes)):
        for column in range(len(classes)):
            if confusion[row, column]:
                colour = "white" if share[row, column] * sure[row, 0] > 0.55 else "black"
                axis.text(column, row, str(confusion[row, column]), ha="center", va="center", color=colour)
    names = [printable(name, NAME_WIDTH) for name in classes]
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), [f"{name} ({count})" for name, count in zip(names, tracks, strict=True)])
    axis.set(xlabel="predicted", ylabel="truth (its tracks)", title=title)
    figure.colorbar(image, ax=axis, label="share of the true class; paler: few tracks", shrink=0.8)
    return figure


def bar_plot(values: Mapping[str, float], label: str, title: str) -> Figure:
    """A horizontal bar for each name, the largest on top; values within 0..1."""
    ordered = sorted(values.items(), key=lambda item: (item[1], item[0]))
    figure = new_figure(7, min(TALLEST, 1.5 + 0.2 * len(ordered)))
    axis = figure.subplots()
    axis.barh(range(len(ordered)), [value for _, value in ordered], color="tab:blue")
    axis.set_yticks(range(len(ordered)), [printable(name, NAME_WIDTH) for name, _ in ordered], fontsize=8)
    axis.set(xlabel=label, xlim=(0, 1), ylim=(-0.6, len(ordered) - 0.4), title=title)
    axis.grid(alpha=0.3, axis="x")
    return figure


def scatter_plot(predicted: np.ndarray, target: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Predicted against true values (tracks, targets), one panel a target, with the diagonal of perfect predictions."""
    figure = new_figure(0.5 + 4.2 * len(names), 4.4)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for i, (axis, name) in enumerate(zip(panels, names, strict=True)):
        ends = [min(target[:, i].min(), predicted[:, i].min()), max(target[:, i].max(), predicted[:, i].max())]
        axis.plot(ends, ends, color="grey", linestyle=":")
        axis.plot(target[:, i], predicted[:, i], ".", alpha=0.6)
        shown = printable(name, NAME_WIDTH)
        axis.set(xlabel=f"true {shown}", ylabel=f"predicted {shown}")
        axis.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


def cosine_plot(values: np.ndarray, title: str) -> Figure:
    """How many tracks have which cosine of predicted and true vector, -1..1, the mean marked."""
    figure = new_figure(6, 3.6)
    axis = figure.subplots()
    axis.hist(values, bins=np.linspace(-1, 1, 81).tolist())
    axis.axvline(float(values.mean()), color="grey", linestyle=":", label=f"mean {values.mean():.3f}")
    axis.set(xlabel="cosine of predicted and true vector", ylabel="tracks", title=title)
    axis.legend()
    return figure
