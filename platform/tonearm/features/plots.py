"""Plots of stored representations, before normalisation."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tonearm.core.figures import new_figure, png
from tonearm.core.text import printable
from tonearm.core.types import FloatArray
from tonearm.features.base import Representation
from tonearm.features.store import FeatureStore

ROWS_OF_LABELS = 5
NAME_WIDTH = 34  # characters on a line above a column
PITCH_CLASSES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")


def spectrogram_page(stores: Mapping[str, FeatureStore], tracks: Sequence[tuple[str, str]]) -> bytes:
    """Draw a few tracks in all representations.

    Parameters
    ----------
    stores
        By the name to show, in the order to show.
    tracks
        Key and title of each; a row each.

    Returns
    -------
    The bytes of a PNG.
    """
    width, height = 3.6 * len(stores) + 0.6, 2.5 * len(tracks) + 0.5
    figure = new_figure(width, height)
    axes = figure.subplots(len(tracks), len(stores), squeeze=False)
    for row, (key, title) in enumerate(tracks):
        for column, (name, store) in enumerate(stores.items()):
            axis = axes[row][column]
            config = store.representation
            values = store.read(key).values.astype(np.float32)
            draw_representation(figure, axis, values, config)
            head = textwrap.fill(name, NAME_WIDTH) + "\n" if row == 0 else ""
            axis.set_title(head, fontsize=10, fontweight="bold")
            shown = printable(title, 60) if column == 0 else ""
            axis.text(0.0, 1.02, shown, transform=axis.transAxes, fontsize=8)
            if row == len(tracks) - 1:
                axis.set_xlabel("seconds", fontsize=8)
    return png(figure)


def draw_representation(figure: Any, axis: Any, values: FloatArray, config: Representation, start: float = 0.0) -> None:
    """Draw stored values of a clip, (freq_bins, frames) or two planes of these, that begins at ``start`` seconds."""
    planes = values if values.ndim == 3 else values[None]
    seconds = planes.shape[-1] * config.hop / config.sample_rate
    picture = np.concatenate(list(planes), axis=0)  # the first plane at the bottom
    if config.freq_bins == 1:
        _draw_waveform(axis, planes[:, 0], seconds, start)
        return
    image = axis.imshow(
        picture, origin="lower", aspect="auto", interpolation="nearest", cmap="magma",
        extent=(start, start + seconds, 0, picture.shape[0]),
    )  # fmt: skip
    axis.tick_params(labelsize=7)
    bar = figure.colorbar(image, ax=axis, pad=0.01)
    bar.ax.tick_params(labelsize=6)
    unit = {"dB": "dB", "ratio": "of the loudest", "cepstrum": "", "amplitude": ""}[config.unit]
    bar.set_label(unit, fontsize=7)
    rows = config.freq_bins
    centres = config.frequencies()
    if centres:
        places = np.linspace(0, rows - 1, ROWS_OF_LABELS).round().astype(int)
        names = [f"{centres[i]:.0f} Hz" if centres[i] < 1000 else f"{centres[i] / 1000:.1f} kHz" for i in places]
    elif config.unit == "ratio" and rows == len(PITCH_CLASSES):
        places, names = np.arange(0, rows, 2), list(PITCH_CLASSES[::2])
    else:
        places = np.arange(0, rows, max(1, rows // ROWS_OF_LABELS))
        names = [str(i + 1) for i in places]
    if len(planes) > 1:  # half the height each: only the ends, and which plane it is
        places, names = places[[0, -1]], [names[0], names[-1]]
        axis.set_ylabel("mid    side" if config.channels == "mid_side" else "left    right", fontsize=7)
        axis.axhline(rows, color="white", linewidth=0.8)
    ticks = [p + 0.5 + rows * plane for plane in range(len(planes)) for p in places]
    axis.set_yticks(ticks, names * len(planes))


def _draw_waveform(axis: Any, planes: FloatArray, seconds: float, start: float) -> None:
    """The range of the samples in each of a thousand steps: drawing every sample would take minutes."""
    steps = min(1000, planes.shape[1])
    edges = np.linspace(0, planes.shape[1], steps + 1).astype(int)[:-1]
    times = start + np.linspace(0, seconds, steps)
    for i, plane in enumerate(planes):
        low, high = np.minimum.reduceat(plane, edges), np.maximum.reduceat(plane, edges)
        axis.fill_between(times, low + 2 * i, high + 2 * i, linewidth=0.3)
    axis.tick_params(labelsize=7)
