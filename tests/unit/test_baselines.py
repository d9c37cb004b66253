"""Baselines: summaries by hand, scikit-learn's own answers, and tracks of one group never on both sides."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import CLASSES, toy_spectrogram, toy_tracks, track, write_part
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.datasets.metadata import Metadata
from tonearm.features import Contrast, Mel, Representation
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.tasks import SingleLabel, Tabular
from tonearm.training.baselines import BaselineConfig, FittedBaseline, design_matrix, fit_baseline
from tonearm.training.config import DatasetRef
from tonearm.training.estimators import ClassWeights, Estimator, GradientBoosting, Logistic, Majority, Svm, group_folds

MEL = Mel(n_mels=32, n_fft=512, hop=256, frames=None)
ESTIMATORS = sorted(Estimator.registry)


def config_of(estimator: Estimator | None = None, **more: Any) -> BaselineConfig:
    fields: dict[str, Any] = {"features": (MEL,), "estimator": estimator or Majority(), "task": SingleLabel()} | more
    return BaselineConfig(dataset=DatasetRef(name="toy"), **fields)


def store_of(
    root: Path, feature: Representation, config: BaselineConfig, clips: Mapping[str, Sequence[FloatArray]]
) -> dict[str, FeatureStore]:
    """A store with some clips of each track, by the track's id."""
    uri = prepare_store(str(root), feature)
    keys = [track_key(track(i).content, config.clip) for i, arrays in clips.items() for _ in arrays]
    write_part(uri, keys, [values for arrays in clips.values() for values in arrays])
    return {feature.store_name(): FeatureStore(uri)}


def blobs(seed: int = 0, per_class: int = 20, spread: float = 0.6) -> tuple[FloatArray, np.ndarray, list[str]]:
    """Three classes in the plane, each track its own group."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(3), per_class)
    x = np.array([[0, 0], [3, 0], [0, 30]])[y] + rng.normal(0, [spread, 10 * spread], (len(y), 2))
    return x.astype(np.float32), y, [f"g{i}" for i in range(len(y))]


def fitted(
    estimator: Estimator, x: FloatArray, y: np.ndarray, groups: Sequence[str], outputs: int = 3
) -> FittedBaseline:
    return fit_baseline(config_of(estimator), x, y, groups, outputs)


# --- design matrix


def test_rows_are_summed_up_by_mean_and_deviation_over_all_clips(tmp_path: Path) -> None:
    config = config_of(columns=("year", "place"))
    rng = np.random.default_rng(3)
    first, second = rng.normal(-40, 9, (2, 32, 5)).astype(np.float32)
    other = rng.normal(-90, 1, (32, 7)).astype(np.float32)
    stores = store_of(tmp_path, MEL, config, {"t1": [first, second], "t2": [other]})
    metadata = Metadata(
        ["t2", "t0", "t1"], {"year": [1990, 3, 1985], "place": [[1.5, 2.5], [0, 0], [3.5, 4.5]], "x": ["a"] * 3}
    )
    x = design_matrix(config, [track("t1"), track("t2")], stores, metadata)
    assert x.shape == (2, 67) and x.dtype == np.float32
    for row, clips in zip(x, ([first, second], [other]), strict=True):
        stored = np.concatenate([c.astype(np.float16).astype(np.float64) for c in clips], axis=1)
        np.testing.assert_allclose(row[:32], stored.mean(axis=1), rtol=1e-6)
        np.testing.assert_allclose(row[32:64], stored.std(axis=1), rtol=1e-5)
    assert x[:, 64:].tolist() == [[1985, 3.5, 4.5], [1990, 1.5, 2.5]]


def test_features_follow_each_other_and_planes_do_too(tmp_path: Path) -> None:
    stereo = Contrast(channels="mid_side")
    config = config_of(features=(stereo, MEL))
    planes = np.stack([np.full((7, 4), 2.0), np.full((7, 4), 5.0)]).astype(np.float32)
    stores = store_of(tmp_path, stereo, config, {"t": [planes]})
    stores |= store_of(tmp_path, MEL, config, {"t": [np.full((32, 3), -8.0, dtype=np.float32)]})
    (x,) = design_matrix(config, [track("t")], stores, Metadata())
    assert x.tolist() == [2.0] * 7 + [5.0] * 7 + [0.0] * 14 + [-8.0] * 32 + [0.0] * 32


def test_normalisation_is_no_part_of_it(tmp_path: Path) -> None:
    config = config_of(features=(MEL.replace({"normalisation": "track"}),))
    stores = store_of(tmp_path, MEL, config, {"t": [np.full((32, 3), -8.0, dtype=np.float32)]})
    assert design_matrix(config, [track("t")], stores, Metadata())[0, 0] == -8


def test_unknown_facts_are_left_to_an_estimator_that_takes_them() -> None:
    metadata = Metadata(["a", "b"], {"year": [np.nan, 1990.0]})
    for estimator in (GradientBoosting(), Majority()):
        x = design_matrix(config_of(estimator, features=(), columns=("year",)), [track("a"), track("b")], {}, metadata)
        np.testing.assert_array_equal(x, [[np.nan], [1990.0]])


# --- learning


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_every_estimator_gives_probabilities_and_learns(kind: str, tmp_path: Path) -> None:
    config = config_of(Estimator.registry[kind]())
    tracks = toy_tracks(48)  # trees of scikit-learn's defaults have leaves of 20 tracks
    clips = {t.track_id: [toy_spectrogram(t.label, derive_seed(t.track_id))] for t in tracks}
    stores = store_of(tmp_path, MEL, config, clips)
    train, held = ([t for t in tracks if t.split == split] for split in ("train", "validation"))
    y, truth = (np.array([CLASSES.index(t.label) for t in part]) for part in (train, held))
    learnt = fit_baseline(config, design_matrix(config, train, stores, Metadata()), y, [t.group for t in train], 3)
    p = learnt.predict(design_matrix(config, held, stores, Metadata()))
    assert p.shape == (48, 3) and p.dtype == np.float32 and (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    accuracy = (p.argmax(axis=1) == truth).mean()
    assert accuracy == pytest.approx(1 / 3) if kind == "majority" else accuracy > 0.95


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_same_seed_gives_the_same_answer(kind: str) -> None:
    x, y, groups = blobs(spread=2.0)
    once, again = (fitted(Estimator.registry[kind](), x, y, groups) for _ in range(2))
    assert once.chosen == again.chosen
    assert np.array_equal(once.predict(x), again.predict(x))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_class_without_training_tracks_is_impossible_and_the_others_keep_their_places(kind: str) -> None:
    x, y, groups = blobs()
    p = fitted(Estimator.registry[kind](), x, np.array([0, 2, 3])[y], groups, outputs=5).predict(x)
    assert p.shape == (60, 5) and not p[:, [1, 4]].any() and (p[:, [0, 2, 3]] > 0).all()


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_two_classes_are_enough(kind: str) -> None:
    x, y, groups = blobs()
    two = y < 2
    own = [g for g, keep in zip(groups, two, strict=True) if keep]
    p = fitted(Estimator.registry[kind](), x[two], y[two], own, outputs=2).predict(x[two])
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert kind == "majority" or (p.argmax(axis=1) == y[two]).mean() > 0.9


def test_of_a_multi_hot_target_the_first_class_counts() -> None:
    x, y, groups = blobs()
    target = np.eye(3, dtype=np.float32)[y]
    target[y == 1, 2] = 1
    config = config_of(Logistic(), task=Tabular())
    several, one = (fit_baseline(config, x, t, groups, 3).predict(x) for t in (target, y))
    assert np.array_equal(several, one)


def test_the_majority_is_as_probable_as_it_is_frequent() -> None:
    x = np.zeros((4, 2), dtype=np.float32)
    p = fitted(Majority(), x, np.array([2, 0, 2, 2]), ["a"] * 4).predict(x[:2])
    assert p.tolist() == [[0.25, 0, 0.75]] * 2
    assert fitted(Majority(), x, np.array([1] * 4), ["a"] * 4).predict(x[:1]).tolist() == [[0, 1, 0]]


# --- scikit-learn


def test_the_svm_decides_as_scikit_learns_does() -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    x, y, groups = blobs(spread=2.0)
    new = blobs(seed=1, spread=3.0)[0]
    each: tuple[ClassWeights, ...] = ("none", "balanced")
    for weights in each:
        estimator = Svm(c=3.0, gamma=1.0, class_weights=weights)
        keep = (y > 0) | (np.arange(60) < 5)  # classes of unequal size
        theirs = make_pipeline(StandardScaler(), SVC(C=3.0, class_weight=None if weights == "none" else weights))
        decisions = theirs.fit(x[keep].astype(np.float64), y[keep]).decision_function(new.astype(np.float64))
        learnt = fitted(estimator, x[keep], y[keep], [groups[i] for i in np.flatnonzero(keep)])
        assert learnt.chosen == {"c": 3.0, "gamma": 1.0}
        p = learnt.predict(new)
        assert np.array_equal(p.argmax(axis=1), decisions.argmax(axis=1))
        # One factor turns decisions into log-odds.
        odds = (np.log(p[:, :1]) - np.log(p)) / (decisions[:, :1] - decisions + 1e-12)
        assert np.ptp(odds[:, 1:]) < 1e-2 and odds[0, 1] > 0


def test_what_is_not_given_is_chosen() -> None:
    x, y, groups = blobs(spread=2.0)
    assert fitted(Svm(c=7.0), x, y, groups).chosen["c"] == 7
    both = fitted(Svm(), x, y, groups).chosen
    assert both["c"] in (1, 3, 10, 30, 100) and both["gamma"] in (0.5, 1, 2)
    # A hundred stripes: only the narrowest kernel and the dearest errors can tell them apart.
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, (200, 1)).astype(np.float32)
    stripes = (np.floor(z[:, 0] * 5) % 2).astype(np.int64)
    chosen = fitted(Svm(), z, stripes, [str(i) for i in range(200)], outputs=2).chosen
    assert chosen == {"c": 100.0, "gamma": 2.0}


def test_of_equally_good_ones_the_smoothest_is_chosen() -> None:
    x, y, groups = blobs(spread=0.1)
    assert fitted(Svm(), x, y, groups).chosen == {"c": 1.0, "gamma": 0.5}


def test_gradient_boosting_has_scikit_learns_defaults() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, y, groups = blobs(spread=2.0)
    x[::7, 0] = np.nan
    theirs = HistGradientBoostingClassifier(random_state=0).fit(x.astype(np.float64), y)
    assert np.array_equal(
        fitted(GradientBoosting(), x, y, groups).predict(x), theirs.predict_proba(x).astype(np.float32)
    )


def test_gradient_boosting_stops_early_by_tracks_of_other_groups() -> None:
    x, y, groups = blobs(spread=2.0, per_class=60)
    learnt = fitted(GradientBoosting(early_stopping=True), x, y, groups)
    assert 1 <= learnt.chosen["iterations"] < 100
    # A class in one group stays with the training tracks: it can be predicted.
    alone = ["one" if label == 2 else g for g, label in zip(groups, y, strict=True)]
    p = fitted(GradientBoosting(early_stopping=True), x, y, alone).predict(x)
    assert (p[y == 2].argmax(axis=1) == 2).mean() > 0.7


def test_logistic_regression_is_scikit_learns_on_scaled_columns() -> None:
    from sklearn.linear_model import LogisticRegression

    x, y, groups = blobs(spread=2.0)
    wide = x.astype(np.float64)
    scaled = (wide - wide.mean(axis=0)) / wide.std(axis=0)
    theirs = LogisticRegression(C=0.1, max_iter=5000).fit(scaled, y).predict_proba(scaled)
    np.testing.assert_allclose(fitted(Logistic(c=0.1), x, y, groups).predict(x), theirs, atol=1e-5)


# --- groups


def test_no_group_is_in_two_folds_and_every_track_is_held_out_once() -> None:
    y = np.arange(90) % 4
    groups = [f"g{i // 5}" for i in range(90)]
    folds = group_folds(y, groups, 5, seed=1)
    assert len(folds) == 5
    assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(90))
    for learnt, held in folds:
        assert not {groups[i] for i in learnt} & {groups[i] for i in held}
        assert sorted([*learnt, *held]) == list(range(90))


def test_there_are_no_more_folds_than_groups_and_small_classes_raise_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(group_folds(np.array([0, 0, 0, 1]), ["a", "b", "b", "c"], 5, seed=0)) == 3


def test_the_svm_is_not_sure_of_what_it_only_knows_by_the_group() -> None:
    # Near-copies within a group, its class drawn by lot. With groups torn apart, inner folds would be all right, and
    # the probabilities near 1.
    rng = np.random.default_rng(5)
    own = rng.normal(0, 1, (30, 8))
    x = (np.repeat(own, 4, axis=0) + rng.normal(0, 1e-3, (120, 8))).astype(np.float32)
    y = np.repeat(rng.permutation(np.arange(30) % 3), 4)
    new = rng.normal(0, 1, (200, 8)).astype(np.float32)
    apart = fitted(Svm(), x, y, [f"g{i // 4}" for i in range(120)]).predict(new).max(axis=1).mean()
    torn = fitted(Svm(), x, y, [f"t{i}" for i in range(120)]).predict(new).max(axis=1).mean()
    assert apart < 0.45 < 0.75 < torn


def test_a_class_of_one_group_is_learnt_but_not_judged_by() -> None:
    x, y, groups = blobs()
    alone = ["one" if label == 2 else g for g, label in zip(groups, y, strict=True)]
    p = fitted(Svm(), x, y, alone).predict(x)
    assert (p.argmax(axis=1) == y).mean() > 0.95


# --- configs


def test_a_baseline_comes_back_from_json_and_is_known_by_its_values() -> None:
    config = config_of(Svm(c=3), features=(MEL, Contrast()), columns=("year",), seed=4)
    assert BaselineConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    others = [config.replace(c) for c in ({"estimator.c": None}, {"features": (MEL,)}, {"seed": 5}, {"columns": ()})]
    assert len({c.signature() for c in [config, *others]}) == 5


def test_the_kinds_are_those_that_are_promised() -> None:
    assert ESTIMATORS == ["gradient_boosting", "logistic", "majority", "svm"]
    assert dataclasses.asdict(GradientBoosting()) == {
        "learning_rate": 0.1, "iterations": 100, "early_stopping": False
    }  # fmt: skip
