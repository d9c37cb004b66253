"""A home that is relative or not set, as of every ``make demo``: trials find it, whose working folders are others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT, Workplace
from tests.integration.quick_sweep import extract
from tonearm.sweeps.results import ENDING
from tonearm.tracking import names, query
from tonearm.tracking.log import client

pytestmark = pytest.mark.integration

EPOCHS = 4


@pytest.mark.parametrize("given", ["home", None], ids=["relative", "unset"])
def test_trials_write_to_the_one_database_while_they_run(
    place: Workplace, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.home.parent
    if not place.home.exists():
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
                            "--trials", "2", "--epochs", str(EPOCHS))  # fmt: skip
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "not in MLflow" not in done.stdout, "the driver had to write what the trials should have written"

    name = done.stdout.split("tonearm compare ")[1].split()[0]
    (parent,) = query.find_runs(name)
    runs = query.child_runs(parent.run_id)
    assert [r.tags[names.TRIAL] for r in runs] == ["0", "1"] and all(r.tags[ENDING] == "completed" for r in runs)
    for run in runs:
        api = client()
        losses = sorted(api.get_metric_history(run.run_id, "train_loss"), key=lambda m: m.step)
        assert [m.step for m in losses] == list(range(1, EPOCHS + 1))
        took = api.get_metric_history(run.run_id, "epoch_seconds")
        assert run.ended is not None and run.ended - run.started >= 1000 * sum(m.value for m in took[1:])
        assert run.started <= losses[0].timestamp < losses[-1].timestamp <= run.ended, "epochs at their own times"
        assert {"system/cpu_utilization_percentage", "system/process_peak_memory_megabytes"} <= run.metrics.keys()
    ray_folder = Path(place.environment["RAY_TMPDIR"])
    elsewhere = [p for top in (folder, ray_folder) for p in top.rglob("mlflow.db") if p.parent != place.home]
    assert [p for p in elsewhere if not p.samefile(place.home / "mlflow.db")] == []
