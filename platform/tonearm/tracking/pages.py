"""Addresses in MLflow's pages, in their view of trainings: by themselves they open in one for language models."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from tonearm.core import home
from tonearm.tracking import names
from tonearm.tracking.identity import find_experiment
from tonearm.tracking.log import client

if TYPE_CHECKING:
    from mlflow.entities import Experiment

LOCAL = "http://127.0.0.1:5000"  # where tonearm mlflow shows them by default


def experiment_page(experiment: Experiment, server: str = LOCAL) -> str:
    """The page of an experiment's runs, in the view that its last sweep or training left."""
    view = experiment.tags.get(names.VIEW)
    shown = f"&viewStateShareKey={quote(view)}" if view else ""
    return f"{server}/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning{shown}"


def run_page(experiment_id: str, run_id: str, server: str = LOCAL) -> str:
    """The page of a run; in that of a sweep its trials are named."""
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"


def web_server() -> str:
    """The address of MLflow's pages, without a password: of the tracking server, or where we show a database."""
    uri = home.tracking_uri().rstrip("/")
    if not uri.startswith(("http://", "https://")):
        return LOCAL
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def experiment_pages(server: str = LOCAL) -> list[tuple[str, str]]:
    """Name and page of every experiment that has a run, the last changed first."""
    api = client()
    found = api.search_experiments(order_by=["last_update_time DESC"])
    return [
        (str(e.name), experiment_page(e, server))
        for e in found
        if api.search_runs([str(e.experiment_id)], max_results=1)
    ]


def page_of(name: str, server: str = LOCAL) -> str:
    """The page of a data set's experiment; "" if there is none."""
    found = find_experiment(client(), name)
    return experiment_page(found, server) if found else ""
