"""A picture or a report that fails is told in one line and left out; what it shows is there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from matplotlib.figure import Figure

from tests.unit.test_comparison_document import Page, document
from tests.unit.test_results import result_of, trial
from tonearm.comparison.document import draw_plot, write_document, write_page
from tonearm.core.best_effort import best_effort
from tonearm.core.figures import new_figure
from tonearm.sweeps.results import ENDING, finish_run
from tonearm.tracking.log import RunWriter, client
from tonearm.tracking.query import child_runs
from tonearm.workflows.figures import publish_figure


def fails(*_: Any, **__: Any) -> NoReturn:
    raise ValueError("no\npicture today")


@pytest.fixture(params=["made", "drawn"])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No figure can be made, or none can be drawn."""
    monkeypatch.setattr(Figure, "__init__" if request.param == "made" else "savefig", fails)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, "tonearm")
    return lambda: [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]


def test_a_failure_is_one_line(told: Callable[[], list[str]]) -> None:
    assert best_effort("the picture", fails, 1) is None and best_effort("it", lambda x: x, 3) == 3
    assert told() == ["  the picture could not be made and is left out: ValueError: no picture today"]


def test_who_stops_a_run_is_heeded_and_so_is_what_must_be_raised() -> None:
    def stop() -> NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        best_effort("it", stop)
    with pytest.raises(ValueError, match="picture"):
        best_effort("it", fails, unless=lambda error: isinstance(error, ValueError))


@pytest.mark.usefixtures("database", "broken")
def test_a_trial_is_complete_without_its_pictures(tmp_path: Path, told: Callable[[], list[str]]) -> None:
    parent = RunWriter.open("pictures", tmp_path.name).run_id  # one for each way to fail
    finish_run(result_of(trial(tmp_path)), "pictures", parent, {})
    (found,) = child_runs(parent)
    assert (found.status, found.tags[ENDING]) == ("FINISHED", "completed")
    kept = {f.path for folder in ("", "bundle", "predictions") for f in client().list_artifacts(found.run_id, folder)}
    assert {"predictions/validation.parquet", "bundle/bundle.json"} <= kept
    assert not any(name.endswith(".png") for name in kept)
    assert any("learning_curves.png" in line for line in told())


@pytest.mark.usefixtures("database", "broken")
def test_a_workflow_publishes_what_it_can(tmp_path: Path, told: Callable[[], list[str]]) -> None:
    run = RunWriter.open("pictures", f"of {tmp_path.name}")
    publish_figure("sweep.png", str(tmp_path), run, lambda: new_figure(1, 1))
    assert list(tmp_path.glob("*.png")) == [] and any("sweep.png" in line for line in told())


@pytest.mark.usefixtures("database")
def test_a_folder_that_cannot_be_written_costs_the_file_alone(tmp_path: Path, told: Callable[[], list[str]]) -> None:
    (tmp_path / "reports").write_text("a file")
    run = RunWriter.open("pictures", "another")
    publish_figure("sweep.png", str(tmp_path / "reports"), run, lambda: new_figure(1, 1))
    assert [f.path for f in client().list_artifacts(run.run_id)][-1] == "sweep.png" and len(told()) == 1


def test_a_report_is_written_without_its_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Callable[[], list[str]]
) -> None:
    whole = document()
    assert draw_plot("scores", "caption", fails) == []
    monkeypatch.setattr(Figure, "savefig", fails)
    files = write_document(whole, str(tmp_path))
    assert sorted(Path(f).name for f in files) == ["comparison.html", "comparison.md"]
    text = (tmp_path / "comparison.html").read_text("utf-8")
    assert Page(text).open == [] and "a note" in text and "<img" not in text
    assert "scores.png" not in (tmp_path / "comparison.md").read_text("utf-8")
    write_page(whole, str(tmp_path / "page.html"))
    assert len(told()) == 3
