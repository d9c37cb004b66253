"""Plots of a workflow, in the data set's reports and in MLflow. None of them can fail what it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tonearm.core import storage
from tonearm.core.best_effort import best_effort
from tonearm.core.figures import draw_png
from tonearm.tracking.log import RunWriter
from tonearm.tracking.retry import retry

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def publish_figure(name: str, folder: str, run: RunWriter, draw: Callable[..., Figure], *args: Any) -> None:
    """Draw a plot, write it to a folder and log it; what fails is told and left out.

    Parameters
    ----------
    name
        Of the file: ``"sweep.png"``.
    """
    data = best_effort(name, draw_png, draw, *args)
    if data is not None:
        best_effort(storage.join(folder, name), storage.write_bytes, storage.join(folder, name), data)
        retry(run.picture, name, data)
