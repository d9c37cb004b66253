"""Addresses of MLflow's pages, printed since its own first page is about language models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs import mlflow_ui
from tests.builders import tiny_config
from tonearm.models import FreqConfig, TimeConfig
from tonearm.sweeps import Choice, LogUniform
from tonearm.sweeps.results import TrialResult
from tonearm.sweeps.trial_names import tuned_numbers
from tonearm.tasks import Regression, SingleLabel
from tonearm.tracking.log import RunWriter, client, experiment_id
from tonearm.tracking.pages import experiment_pages, page_of
from tonearm.tracking.views import STATE, save_view
from tonearm.training.trial import TrialFolder
from tonearm.workflows.mlflow_pages import describe_sweep, link_comparison, page_line, show_sweep, write_description

pytestmark = pytest.mark.usefixtures("database")


def test_every_experiment_with_runs_has_a_page_of_trainings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one_home: Path
) -> None:
    experiment_id("without a run")
    RunWriter.open("music", "a run").end()
    url = f"http://127.0.0.1:5000/#/experiments/{experiment_id('music')}/runs?workflowType=machine_learning"
    assert experiment_pages() == [("music", url)] and page_of("music") == url and page_of("absent") == ""

    save_view(experiment_id("music"), "demo-3f2a", "parent", ["params.`model.kind`"], "metrics.`best_f1_micro`")
    assert page_of("music") == f"{url}&viewStateShareKey=demo-3f2a"
    state = json.loads(client().get_experiment(experiment_id("music")).tags[f"{STATE}demo-3f2a"])
    assert state["orderByKey"] == "metrics.`best_f1_micro`" and not state["orderByAsc"]
    assert state["selectedColumns"] == ["metrics.`best_f1_micro`", "params.`model.kind`"]
    assert state["searchFilter"] == "tags.`mlflow.parentRunId` = 'parent'"
    url = page_of("music")

    started = []
    monkeypatch.setattr(mlflow_ui, "run_until_stopped", lambda command, environment: started.append(command) or 0)
    monkeypatch.setattr(mlflow_ui, "require_free_port", lambda host, port: None)
    with pytest.raises(SystemExit):
        mlflow_ui.main(host="127.0.0.1", port=5001)
    out = capsys.readouterr().out
    assert f"sqlite:///{one_home}/mlflow.db: http://127.0.0.1:5001" in out
    assert f"music  {url.replace('5000', '5001')}" in out and len(started) == 1


def test_a_sweep_opens_sorted_by_score_with_what_it_varies() -> None:
    parent = RunWriter.open("music", "demo-3f2a")
    over = {
        "optim.lr": LogUniform(1e-4, 1e-2), "optim.batch_size": Choice(8, 16), "optim.schedule": Choice("cosine", "no"),
        "model": Choice(TimeConfig(), FreqConfig()),
    }  # fmt: skip
    show_sweep(parent, "music", "demo-3f2a", SingleLabel(), over)
    state = json.loads(client().get_experiment(experiment_id("music")).tags[f"{STATE}demo-3f2a"])
    columns = state["selectedColumns"]
    assert columns[:2] == ["metrics.`best_f1_micro`", "metrics.`validation_f1_macro`"]
    assert {"metrics.`tuned.lr`", "metrics.`tuned.batch_size`", "params.`optim.schedule`", "params.`model.kind`",
            "tags.`tonearm.ending`"} <= set(columns)  # fmt: skip
    assert parent.run_id in state["searchFilter"]
    show_sweep(parent, "music", "demo-77aa", Regression(target="tempo"), over)  # an error: the least comes first
    state = json.loads(client().get_experiment(experiment_id("music")).tags[f"{STATE}demo-77aa"])
    assert state["orderByAsc"] and state["orderByKey"] == "metrics.`best_mae`"
    assert "viewStateShareKey=demo-77aa" in page_line("music") and page_line("absent") == ""


def test_numbers_that_a_sweep_varies_are_metrics() -> None:
    config = tiny_config({"optim.lr": 0.01, "optim.batch_size": 4})
    varied = {"optim.lr": None, "optim.batch_size": None, "optim.schedule": None, "model": None}
    assert tuned_numbers(config, varied) == {"tuned.lr": 0.01, "tuned.batch_size": 4.0}


def test_the_comparison_page_is_one_click_from_a_run_and_stays_so() -> None:
    run = RunWriter.open("music", "demo-3f2a")
    write_description(run, "First.")
    for _ in range(2):
        link_comparison(run, "1", "comparison/ab12/comparison.html")
    write_description(run, "Second.")
    note = run.tags()["mlflow.note.content"]
    page = f"#/experiments/1/runs/{run.run_id}/artifacts/comparison/ab12/comparison.html?workflowType=machine_learning"
    assert note == f"[Comparison page]({page})\n\nSecond."


def test_a_sweep_says_what_it_came_to_and_how_to_go_on(tmp_path: Path) -> None:
    config, folder = tiny_config(), TrialFolder(str(tmp_path))
    history = [{"epoch": 1, "best": 0.75}]
    results = [
        TrialResult(0, "00 time lr=0.1", config, folder, history, "completed", 0.75),
        TrialResult(1, "01 time lr=0.2", config, folder, history, "stopped", 0.5),
    ]
    text = describe_sweep("demo", "demo-3f2a", "music", results, selectable=True)
    assert "**trial 00 time lr=0.1**, f1_micro **0.75**. 2 trials: 1 completed, 1 stopped" in text
    assert "`tonearm compare demo-3f2a`" in text and "`tonearm select demo-3f2a`" in text
    assert "tonearm select" not in describe_sweep("demo", "demo-3f2a", "music", results, selectable=False)
