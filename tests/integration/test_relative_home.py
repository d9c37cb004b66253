"""A home that is relative or not set, as of every ``make demo``, whose trials work elsewhere; one copied, one moved."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT, Workplace
from tests.integration.quick_sweep import ONE_AT_A_TIME, extract
from tonearm.sweeps.results import ENDING
from tonearm.tracking import names, query
from tonearm.tracking.log import client
from tonearm.tracking.overview import overview

pytestmark = pytest.mark.integration

EPOCHS = 4


@pytest.mark.parametrize("given", ["home", None], ids=["relative", "unset"])
def test_trials_write_to_the_one_database_while_they_run(
    place: Workplace, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.home.parent
    if not (place.home / "data").exists():
        extract(place)
        (folder / ".tonearm").symlink_to(place.home)  # what is meant where nothing is set
    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    environment = {**place.environment, "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"}
    if given is None:
        del environment["TONEARM_HOME"]
    else:
        environment["TONEARM_HOME"] = given
    seed = "1" if given else "2"
    command = place.command("jobs.sweep", "tests.integration.spaces:learning", "--dataset", "music", "--seed", seed,
                            "--trials", "2", "--epochs", str(EPOCHS), *(() if given else ONE_AT_A_TIME))  # fmt: skip
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "not in MLflow" not in done.stdout, "the driver had to write what the trials should have written"

    name = done.stdout.split("tonearm compare ")[1].split()[0]
    (parent,) = query.find_runs(name)
    runs = query.child_runs(parent.run_id)
    assert [r.tags[names.TRIAL] for r in runs] == ["0", "1"] and all(r.tags[ENDING] == "completed" for r in runs)
    for run in runs:
        api = client()
        losses = sorted(api.get_metric_history(run.run_id, "epoch/train_loss"), key=lambda m: m.step)
        assert [m.step for m in losses] == list(range(1, EPOCHS + 1))
        took = api.get_metric_history(run.run_id, "epoch/seconds")
        assert run.ended is not None and run.ended - run.started >= 1000 * sum(m.value for m in took[1:])
        assert run.started <= losses[0].timestamp < losses[-1].timestamp <= run.ended, "epochs at their own times"
        assert run.tags[names.SOURCE] == "tonearm sweep" and "lr" in run.tags[names.NOTE]
        (dataset,) = api.get_run(run.run_id).inputs.dataset_inputs
        assert dataset.dataset.name == "music" and str(place.home) in dataset.dataset.source
        assert "round" not in run.metrics
        assert {"system/cpu_utilization_percentage", "system/process_peak_memory_megabytes"} <= run.metrics.keys()
    ray_folder = Path(place.environment["RAY_TMPDIR"])
    elsewhere = [p for top in (folder, ray_folder) for p in top.rglob("mlflow.db") if p.parent != place.home]
    assert [p for p in elsewhere if not p.samefile(place.home / "mlflow.db")] == []


def test_copy_is_a_home_of_its_own_and_a_moved_one_goes_on(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    name = max((r for r in overview().runs if r.parent is None), key=lambda r: r.started).name
    assert "promoted to champion" in place.call("jobs.select", name)
    folder = place.home.parent
    copy, moved = folder / "copy", folder / "elsewhere" / "moved"

    def job(home: Path, *arguments: str) -> str:
        environment = {**place.environment, "TONEARM_HOME": str(home)}
        done = subprocess.run(place.command(*arguments), cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    shutil.copytree(place.home, copy)
    before = _files(place.home)
    output = job(copy, "jobs.sweep", "tests.integration.spaces:learning", "--dataset", "music", "--seed", "2",
                 "--trials", "2", "--epochs", str(EPOCHS))  # fmt: skip
    assert f"moved or copied from {place.home}" in output and "2/2 trials" not in output
    assert _files(place.home) == before, "the copy has written to the place that it was copied from"
    assert _files(copy) != before

    moved.parent.mkdir()
    shutil.move(place.home, moved)
    recording = sorted(place.music.glob("bass/*.ogg"))[0]
    output = job(moved, "jobs.predict", str(recording))
    assert f"moved or copied from {place.home}" in output and "bass" in output
    assert not place.home.exists()


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file but the database, which is opened by this process, too."""
    found = {
        str(p.relative_to(folder)): p.stat() for p in folder.rglob("*") if p.is_file() and "mlflow.db" not in p.name
    }
    return {name: (status.st_size, status.st_mtime_ns) for name, status in found.items()}
