"""How MLflow's page of an experiment opens: the runs of one sweep or training, sorted by score, with the columns that
matter. MLflow keeps such a view as a tag of the experiment, which an address names (tried with MLflow 3.17)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tonearm.tracking import names
from tonearm.tracking.log import client

STATE = "mlflow.sharedViewState."  # and a key: MLflow's tag of an experiment
MAX_COLUMNS = 16
MAX_TAG = 5000  # characters


def metric_column(name: str) -> str:
    """A metric as MLflow's table names it."""
    return f"metrics.`{name}`"


def param_column(name: str) -> str:
    """A parameter as MLflow's table names it."""
    return f"params.`{name}`"


def save_view(
    experiment_id: str, key: str, parent: str, columns: Sequence[str], order_by: str, ascending: bool = False
) -> None:
    """Keep a view of the runs below a run, and make it the one that the experiment opens in.

    Parameters
    ----------
    key
        By which an address names it.
    parent
        Id of the run whose children are shown.
    columns
        Beside name and time, in their order, the most important first: :func:`metric_column`, :func:`param_column`.
    order_by
        One of them.
    ascending
        Whether the smallest comes first.
    """
    shown = list(dict.fromkeys([order_by, *columns]))[:MAX_COLUMNS]
    state = {
        "searchFilter": f"tags.`{names.PARENT_RUN}` = '{parent}'", "orderByKey": order_by, "orderByAsc": ascending,
        "startTime": "ALL", "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs",
        "selectedColumns": shown, "columnOrder": [],
    }  # fmt: skip
    text = json.dumps(state)
    if len(text) <= MAX_TAG:
        api = client()
        api.set_experiment_tag(experiment_id, f"{STATE}{key}", text)
        api.set_experiment_tag(experiment_id, names.VIEW, key)
