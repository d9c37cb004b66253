"""Baselines that cannot work, and data that they cannot learn from: every reason is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import track, write_part
from tonearm.core.errors import ConfigError, DatasetError, StoreError, TonearmError, TrainingError, UnknownNameError
from tonearm.datasets.metadata import Metadata
from tonearm.features import Mel
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.tasks import SingleLabel
from tonearm.training.baselines import BaselineConfig, design_matrix, fit_baseline
from tonearm.training.config import DatasetRef
from tonearm.training.estimators import Estimator, GradientBoosting, Logistic, Majority, Svm

MEL = Mel(n_mels=4, n_fft=512, hop=256)
TRACKS = [track("a"), track("b"), track("c")]


def config_of(estimator: Estimator | None = None, **more: Any) -> BaselineConfig:
    fields: dict[str, Any] = {"columns": ("year",)} | more
    return BaselineConfig(dataset=DatasetRef(name="toy"), estimator=estimator or Svm(), task=SingleLabel(), **fields)


# --- configs


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "svm", "c": 0.0}, "estimator.c is 0.0: it must be positive and finite"),
        ({"kind": "svm", "gamma": -1}, "estimator.gamma is -1"),
        ({"kind": "svm", "c": float("inf")}, "estimator.c is inf"),
        ({"kind": "svm", "class_weights": "even"}, "'even' is none of 'none', 'balanced'"),
        ({"kind": "logistic", "c": float("nan")}, "estimator.c is nan"),
        ({"kind": "logistic", "c": None}, "expected float"),
        ({"kind": "gradient_boosting", "learning_rate": 0}, "estimator.learning_rate is 0"),
        ({"kind": "gradient_boosting", "iterations": 0}, "estimator.iterations is 0"),
        ({"kind": "majority", "c": 1.0}, "Majority has no field 'c'"),
    ],
)
def test_an_estimator_that_cannot_work_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Estimator.from_dict(values)
    assert message in str(error.value)


def test_an_unknown_estimator_comes_with_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown estimator 'svn'. Did you mean 'svm'"):
        Estimator.from_dict({"kind": "svn"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": ()}, "features and columns are both empty"),
        ({"columns": ("year", "tempo", "year")}, "columns name the same one twice"),
        ({"features": (MEL, MEL.replace({"normalisation": "track"}))}, "features name the same one twice"),
        ({"features": ("mel",)}, "features"),
    ],
)
def test_inputs_that_cannot_work_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(**fields)


# --- design matrix


def test_a_store_or_a_track_that_is_missing_is_named(tmp_path: Path) -> None:
    config = config_of(features=(MEL,), columns=())
    with pytest.raises(StoreError, match=rf"no store of mel\(.*{MEL.store_name()}.*extract it first"):
        design_matrix(config, TRACKS, {}, Metadata())
    uri = prepare_store(str(tmp_path), MEL)
    keys = [track_key(t.content, config.clip) for t in TRACKS]
    write_part(uri, keys[:2], [np.ones((4, 9), dtype=np.float32)] * 2)
    with pytest.raises(StoreError, match=f"track key {keys[2]} is not in the store"):
        design_matrix(config, TRACKS, {MEL.store_name(): FeatureStore(uri)}, Metadata())


@pytest.mark.parametrize("estimator", [Svm(), Logistic()])
def test_an_unknown_fact_is_refused_by_its_name(estimator: Estimator) -> None:
    metadata = Metadata(["a", "b", "c"], {"year": [1990.0, np.nan, np.nan]})
    message = rf"'year' is unknown \(NaN\) for 2 of 3 tracks, e.g. 'b', which {estimator.kind} cannot take"
    with pytest.raises(DatasetError, match=message):
        design_matrix(config_of(estimator), TRACKS, {}, metadata)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1.0, np.inf, 2.0], "'year' is beyond what float32 holds for 1 of 3 tracks, e.g. 'b'"),
        ([1.0, 1.0, -1e39], "'year' is beyond what float32 holds for 1 of 3 tracks, e.g. 'c'"),
        (["x", "y", "z"], "'year' is text"),
    ],
)
def test_what_is_no_number_is_refused(column: list[Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        design_matrix(config_of(GradientBoosting()), TRACKS, {}, Metadata(["a", "b", "c"], {"year": column}))


def test_what_is_not_known_is_refused() -> None:
    metadata = Metadata(["a", "b"], {"tempo": [100.0, 90.0]})
    with pytest.raises(DatasetError, match="no metadata column 'year'"):
        design_matrix(config_of(), TRACKS, {}, metadata)
    with pytest.raises(DatasetError, match=r"1 tracks have no row, e.g. 'c'"):
        design_matrix(config_of(columns=("tempo",)), TRACKS, {}, metadata)
    with pytest.raises(DatasetError, match="no tracks"):
        design_matrix(config_of(columns=("tempo",)), [], {}, metadata)


# --- learning

X = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
Y = np.arange(12) % 3
OWN = [f"g{i}" for i in range(12)]
TO_STOP = GradientBoosting(early_stopping=True)


@pytest.mark.parametrize(
    ("estimator", "target", "groups", "message"),
    [
        (Svm(), np.zeros(12, dtype=np.int64), OWN, "12 training tracks are of 1 class.*svm needs at least 2"),
        (Logistic(), np.ones(12, dtype=np.int64), OWN, "logistic needs at least 2"),
        (Svm(), Y, ["one"] * 12, r"12 training tracks of 1 group\(s\) and 3 classes cannot be split"),
        (Svm(c=1.0, gamma=1.0), Y, ["one"] * 12, "cannot be split"),
        (Svm(), Y, [f"g{y}" for y in Y], "no class has tracks in two groups"),
        (TO_STOP, Y, [f"g{y}" for y in Y], "none can be held out: set early_stopping=False"),
        (TO_STOP, Y, ["one"] * 12, "cannot be split"),
        (Majority(), Y[:5], OWN, "12 rows, 5 targets and 12 groups"),
        (Majority(), Y, OWN[:7], "12 rows, 12 targets and 7 groups"),
        (Majority(), Y + 1, OWN, r"no class of 3 for each track: an estimator learns classes"),
        (Majority(), Y - 1, OWN, "no class of 3"),
        (Majority(), Y.astype(np.float32), OWN, "the target, float32"),
        (Majority(), np.full((12, 3), 0.5), OWN, "no class of 3"),
        (Majority(), np.zeros((12, 3)), OWN, "no class of 3"),
        (Majority(), np.ones((12, 4)), OWN, "no class of 3"),
    ],
)
def test_what_cannot_be_learnt_from_is_named(
    estimator: Estimator, target: np.ndarray, groups: list[str], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        fit_baseline(config_of(estimator), X, target, groups, 3)


def test_a_regression_that_does_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tonearm.training.estimators.MAX_ITERATIONS", 1)
    with pytest.raises(TrainingError, match="with c 100 has not converged in 1 iterations: lower c"):
        fit_baseline(config_of(Logistic(c=100.0)), X, Y, OWN, 3)


def test_other_columns_than_were_learnt_are_refused() -> None:
    learnt = fit_baseline(config_of(Majority()), X, Y, OWN, 3)
    for x in (X[:, :1], X[0]):
        with pytest.raises(TonearmError, match="the baseline learnt 2 columns"):
            learnt.predict(x)
