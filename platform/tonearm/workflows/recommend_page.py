"""A contest of recommenders as a page and a plot, in the data set's reports and in MLflow."""

from __future__ import annotations

from tonearm.comparison.document import Document, Section, Table, draw_plot, write_page
from tonearm.core import home, storage
from tonearm.core.best_effort import best_effort
from tonearm.recommend.contest import COLUMNS, Contest
from tonearm.recommend.contest_plot import contest_figure
from tonearm.tracking.log import RunWriter
from tonearm.tracking.retry import retry
from tonearm.workflows.figures import publish_figure

PAGE, PLOT, FOLDER = "recommend.html", "recommend.png", "recommend"
MEANS = (
    "Recall: share of what is right that is in the list. nDCG: earlier places count more. Hit rate: lists with any "
    "that is right. Cosine: how near what is shown is to the query, in the model's space. Never shown: share of the "
    "catalogue that is in no list. Gini: 0 if all are shown equally often. Diversity: how far those of a list are from "
    "each other. Novelty: bits; what few listen to has many."
)


def publish_contest(contest: Contest, dataset: str, model: str, run_id: str = "") -> str:
    """Write ``recommend.html`` and ``recommend.png``, and log them; the page's URI, "" if it could not be written.

    Parameters
    ----------
    model
        Whose neighbours they are.
    run_id
        To log to; "": none.
    """
    folder = home.reports_home(dataset)
    uri = storage.join(folder, PAGE)
    written = best_effort(uri, _write, contest, dataset, model, uri)
    if run_id:
        run = RunWriter(run_id)
        publish_figure(PLOT, folder, run, contest_figure, contest)
        if written:
            retry(run.file, uri, FOLDER)
    return uri if written else ""


def _write(contest: Contest, dataset: str, model: str, uri: str) -> bool:
    summary = [f"{contest.queries} queries of the test split in {contest.rows} rows; a query's artist and recording "
               f"are never recommended for it. Right is what has its {contest.by}."]  # fmt: skip
    summary += [contest.note.capitalize() + "."] if contest.note else []
    table = Table(("", *COLUMNS), [tuple(row) for row in contest.cells()])
    plots = draw_plot("recommend", "Bars are intervals of 95 %, drawn by artists.", contest_figure, contest)
    section = Section("What is found, and what is ever shown", [MEANS], tables=[table], plots=plots)
    write_page(Document(f"{dataset}: {model} as a recommender", summary, [section]), uri)
    return True
