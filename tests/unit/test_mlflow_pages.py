"""Addresses of MLflow's pages, printed since its own first page is about language models."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import mlflow_ui
from tonearm.tracking.log import RunWriter, experiment_id
from tonearm.tracking.pages import experiment_pages, page_of

pytestmark = pytest.mark.usefixtures("database")


def test_every_experiment_with_runs_has_a_page_of_trainings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one_home: Path
) -> None:
    experiment_id("without a run")
    RunWriter.open("music", "a run").end()
    url = f"http://127.0.0.1:5000/#/experiments/{experiment_id('music')}/runs?workflowType=machine_learning"
    assert experiment_pages() == [("music", url)] and page_of("music") == url and page_of("absent") == ""

    started = []
    monkeypatch.setattr(mlflow_ui, "run_until_stopped", lambda command, environment: started.append(command) or 0)
    monkeypatch.setattr(mlflow_ui, "require_free_port", lambda host, port: None)
    with pytest.raises(SystemExit):
        mlflow_ui.main(host="127.0.0.1", port=5001)
    out = capsys.readouterr().out
    assert f"sqlite:///{one_home}/mlflow.db: http://127.0.0.1:5001" in out
    assert f"music  {url.replace('5000', '5001')}" in out and len(started) == 1
