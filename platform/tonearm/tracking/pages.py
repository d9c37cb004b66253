"""Addresses in MLflow's pages, in their view of trainings: by themselves they open in one for language models."""

from __future__ import annotations

from tonearm.tracking.identity import find_experiment
from tonearm.tracking.log import client

LOCAL = "http://127.0.0.1:5000"  # where tonearm mlflow shows them by default


def experiment_page(experiment_id: str, server: str = LOCAL) -> str:
    """The page of an experiment's runs."""
    return f"{server}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"


def experiment_pages(server: str = LOCAL) -> list[tuple[str, str]]:
    """Name and page of every experiment that has a run, the last changed first."""
    api = client()
    found = api.search_experiments(order_by=["last_update_time DESC"])
    return [
        (str(e.name), experiment_page(str(e.experiment_id), server))
        for e in found
        if api.search_runs([str(e.experiment_id)], max_results=1)
    ]


def page_of(name: str, server: str = LOCAL) -> str:
    """The page of a data set's experiment; "" if there is none."""
    found = find_experiment(client(), name)
    return experiment_page(str(found.experiment_id), server) if found else ""
