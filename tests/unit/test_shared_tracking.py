"""Homes that share one tracking server: each trial's run is that of its own home."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import tiny_config
from tests.unit.test_results import history_of
from tonearm.sweeps.results import run_tags
from tonearm.sweeps.trial_runs import TrialRun, code_tag
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import child_runs
from tonearm.training.trial import TrialFolder

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize(("logged", "now"), [
    ([], []), ([], [0.5]), ([0.5], []), ([0.5], [0.4, 0.6]), ([0.5, 0.6], [0.5]), ([0.5, 0.6], [0.4, 0.6]),
])  # fmt: skip
def test_two_homes_on_one_tracking_server_leave_each_other_s_runs(
    tmp_path: Path, logged: list[float], now: list[float]
) -> None:
    """Both have the same space on the same data, so the sweep and its trials have the same signatures."""
    parent, config = RunWriter.open("homes", str(tmp_path)).run_id, tiny_config()
    theirs, ours = (TrialFolder(str(tmp_path / home / "trials" / "single" / "simple-1")) for home in "ab")

    def open_run(folder: TrialFolder, scores: list[float]) -> RunWriter:
        tags = {**run_tags(config, folder.uri), names.TRIAL: "0", **code_tag(folder, config)}
        opening = ("homes", "00", parent, {}, tags)
        run = TrialRun(folder, config, history_of(folder, scores), is_all=True).open(*opening)
        assert run.tags()[names.FOLDER] == folder.uri
        return run

    first = open_run(theirs, logged)
    for step, score in enumerate(logged, 1):
        first.metrics({"epoch/validation_f1_micro": score}, step)
    then = open_run(ours, now)
    assert {run.run_id for run in child_runs(parent)} == {first.run_id, then.run_id} and first.run_id != then.run_id
    assert open_run(ours, now).run_id == then.run_id and open_run(theirs, logged).run_id == first.run_id
    for step, score in enumerate(now, 1):
        then.metrics({"epoch/validation_f1_micro": score}, step)
    again = open_run(ours, [])
    assert (again.run_id == then.run_id) is (not now), "begun anew: its own run is replaced"
    assert {run.run_id for run in child_runs(parent)} == {first.run_id, again.run_id}


def test_a_moved_home_goes_on_with_its_run_on_a_tracking_server(tmp_path: Path) -> None:
    parent, config = RunWriter.open("moved", str(tmp_path)).run_id, tiny_config()
    runs = []
    for place, scores in (("a", [0.5]), ("b", [0.5, 0.6])):
        folder = TrialFolder(str(tmp_path / place / "trials" / "single" / "simple-1"))
        tags = {**run_tags(config, folder.uri), names.TRIAL: "0"}
        run = TrialRun(folder, config, history_of(folder, scores), True).open("moved", "00", parent, {}, tags)
        run.metrics({"epoch/validation_f1_micro": scores[-1]}, len(scores))
        runs.append(run.run_id)
    assert runs[0] == runs[1]
