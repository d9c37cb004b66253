"""An experiment with listeners as a page with a plot, in the home's reports and in MLflow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tonearm.comparison.document import Document, Section, Table, draw_plot, write_page
from tonearm.core import home, storage
from tonearm.core.figures import new_figure
from tonearm.core.text import slug
from tonearm.feedback.events import CHALLENGER, CHAMPION
from tonearm.feedback.outcomes import METRICS
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.retry import retry
from tonearm.workflows.abtest import AbTest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEANS = (
    "Each listener counts once, with his own mean: events of one listener are alike, and counted singly they find "
    "differences that are none. The intervals hold at all looks together, however often one looks."
)


def publish_abtest(found: AbTest) -> tuple[str, str]:
    """Write the page, and log figures and page to MLflow; the page's URI, and the run's id."""
    dataset = dataset_of(found)
    title = f"abtest-{slug(found.experiment)}"
    uri = storage.join(home.reports_home(dataset), f"{title}.html")
    table = Table(found.table()[0], found.table()[1:], note="; ".join(f"{n}: {w}" for n, w in METRICS.items()))
    plots = draw_plot(title, "Bands hold at all looks together; 0 is no difference.", looks_figure, found)
    section = Section("Challenger less champion", [MEANS], tables=[table], plots=plots)
    write_page(Document(f"{dataset}: {found.experiment}", found.sentences(), [section]), uri)
    run = retry(RunWriter.open, dataset, title)
    figures: dict[str, float] = {"ratio_p": found.ratio_p, "events": float(found.events)}
    figures |= {f"listeners_{arm}": float(n) for arm, n in zip((CHAMPION, CHALLENGER), found.listeners, strict=True)}
    for name, d in found.differences.items():
        figures |= {f"{name}/{CHAMPION}": d.first, f"{name}/{CHALLENGER}": d.second, f"{name}/difference": d.value,
                    f"{name}/low": d.low, f"{name}/high": d.high}  # fmt: skip
    retry(run.metrics, {name: value for name, value in figures.items() if math.isfinite(value)}, sum(found.listeners))
    retry(run.file, uri, "abtest")
    retry(run.tag, names.NOTE, "\n\n".join(found.sentences()))
    retry(run.end)
    return uri, run.run_id


def dataset_of(found: AbTest) -> str:
    """The data set of the challenger, else of the champion; ``feedback`` of models that are not registered."""
    for arm in (CHALLENGER, CHAMPION):
        for model, version in found.versions[arm]:
            if version and model.startswith(names.model_name("")):
                return model.removeprefix(names.model_name(""))
    return "feedback"


def looks_figure(found: AbTest) -> Figure:
    """A panel a metric: the difference, and its band, over the listeners so far."""
    figure = new_figure(11, 6.5)
    for axis, name in zip(figure.subplots(2, 2).flat, METRICS, strict=True):
        looks = found.looks[name]
        if looks:
            count, value, low, high = zip(*looks, strict=True)
            axis.fill_between(count, low, high, alpha=0.25, color="C0")
            axis.plot(count, value, color="C0")
            axis.set_ylim(min(0, *low[len(low) // 4 :]), max(0, *high[len(high) // 4 :]))
        axis.axhline(0, color="dimgrey", linewidth=1)
        axis.set_title(f"{name}{' (decides)' if name == found.decided_by else ''}", fontsize=10)
        axis.set_xlabel("listeners")
        axis.grid(alpha=0.3)
    return figure
