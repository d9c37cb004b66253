"""The mean of trials as a run: whole, repeatable, and ended whatever happens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.builders import tiny_config
from tonearm.core.errors import ConfigError
from tonearm.datasets.manifest import Split
from tonearm.sweeps import means
from tonearm.sweeps.means import log_mean
from tonearm.sweeps.results import ENDING
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import artifact_bytes, child_runs
from tonearm.training.config import EnsembleConfig, MeanConfig, Member
from tonearm.training.predictions import TrackPredictions, parse_predictions

pytestmark = pytest.mark.usefixtures("database")

BASE = tiny_config()
MEMBERS = (Member(name="00", trial="abc", bundle="nowhere"), Member(name="03", trial="def", bundle="nowhere"))
MEAN = MeanConfig(dataset=BASE.dataset, members=MEMBERS, task=BASE.task)
ENSEMBLE = EnsembleConfig(dataset=BASE.dataset, members=MEMBERS, task=BASE.task, weights=(2.0, 1.0))


def predictions() -> dict[Split, TrackPredictions]:
    share = np.eye(3, dtype=np.float32)
    found = TrackPredictions(["t0", "t1", "t2"], ["a", "b", "c"], np.array([0, 1, 1]), share, ("x", "y", "z"))
    return {"validation": found, "test": found}


def test_mean_is_logged_once_with_its_predictions_and_scores(tmp_path: Path) -> None:
    parent = RunWriter.open("means", "sweep").run_id
    for _ in range(2):
        log_mean("ensemble of 00", ENSEMBLE, predictions(), str(tmp_path / "ensemble-abc"), parent)
    (run,) = child_runs(parent)
    assert run.status == "FINISHED" and run.tags[ENDING] == "completed" and run.tags[names.ENSEMBLE] == "ensemble-abc"
    assert run.metrics["best_f1_micro"] == run.metrics["heldout/test_f1_micro"] == pytest.approx(2 / 3)
    assert names.PARAMETERS not in run.tags, "nobody knows how large members are that lie nowhere"
    kept = parse_predictions(artifact_bytes(run.run_id, "predictions/test.parquet") or b"")
    assert kept.track_ids == ["t0", "t1", "t2"] and kept.probabilities.tolist() == np.eye(3).tolist()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_interrupted_mean_is_not_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    parent = RunWriter.open("means", f"interrupted by {stop.__name__}").run_id

    def interrupt(*_: object) -> None:
        raise stop

    with monkeypatch.context() as patch:
        patch.setattr(means, "write_predictions", interrupt)
        with pytest.raises(stop):
            log_mean("mean-abc", MEAN, predictions(), str(tmp_path), parent)
    assert [r.status for r in child_runs(parent)] == ["KILLED"]
    log_mean("mean-abc", MEAN, predictions(), str(tmp_path), parent)
    assert [r.status for r in child_runs(parent)] == ["FINISHED"]


@pytest.mark.parametrize("weights", [(), (1.0,), (1.0, 0.0), (1.0, 2.0, 3.0)])
def test_each_member_has_a_weight(weights: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="2 members have the weights"):
        ENSEMBLE.replace({"weights": weights})
