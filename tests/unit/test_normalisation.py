"""Normalisation by the training split: computed in training, kept in the bundle, applied in serving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.builders import CLASSES, tiny_config, toy_batches
from tonearm.core.errors import ConfigError, StoreError
from tonearm.features.normalisation import TrainingStatistics, normalise, pool_statistics, statistics
from tonearm.training.bundle import load_bundle
from tonearm.training.trial import TrialFolder, run_trial
from tonearm.training.windows import clip_windows

CONFIG = tiny_config({"feature.normalisation": "training", "optim.epochs": 1})


def test_pooled_statistics_are_those_of_all_values() -> None:
    rng = np.random.default_rng(0)
    clips = [rng.normal(m, d, (12, n)) for m, d, n in [(-60, 2, 5), (-20, 9, 40), (0, 1, 11)]]
    whole = np.concatenate([c.ravel() for c in clips])
    figures = np.array([(c.mean(), c.std(), c.size) for c in clips])
    pooled = pool_statistics(*figures.T)
    assert pooled.mean == pytest.approx(whole.mean()) and pooled.deviation == pytest.approx(whole.std())


def test_only_training_tracks_count(tmp_path: Path) -> None:
    batches = toy_batches(tmp_path, CONFIG)
    reader = batches.readers[""]
    values = [s.values.astype(np.float64).ravel() for t in batches.tracks("train") for s in reader.stored(t)]
    assert reader.fitted.mean == pytest.approx(np.concatenate(values).mean(), abs=1e-3)
    assert reader.fitted.deviation == pytest.approx(np.concatenate(values).std(), abs=1e-3)
    with pytest.raises(StoreError, match="no tracks"):
        reader.store.training_statistics([])


def test_windows_are_scaled_by_it_and_levels_between_tracks_stay(tmp_path: Path) -> None:
    batches = toy_batches(tmp_path, CONFIG)
    (inputs,) = [b.inputs for i, b in enumerate(batches.train(1)) if i == 0]
    assert abs(float(inputs.mean())) < 0.5 and 0.5 < float(inputs.std()) < 2
    values = np.full((4, 6), -40, dtype=np.float32)
    scaled = normalise(values, statistics(values), "training", 0, TrainingStatistics(-50, 5))
    np.testing.assert_allclose(scaled, 2)


def test_bundle_keeps_it(tmp_path: Path) -> None:
    batches = toy_batches(tmp_path, CONFIG)
    reader = batches.readers[""]
    folder = TrialFolder(str(tmp_path / "trial"))
    list(run_trial(CONFIG, batches, folder))
    bundle = load_bundle(folder.bundle_uri)
    assert bundle.scaling == reader.fitted and bundle.classes == CLASSES
    track = batches.tracks("validation")[0]
    from_bundle = clip_windows(reader.stored(track), bundle.config, bundle.config.representation, bundle.scaling)
    assert np.array_equal(
        from_bundle,
        clip_windows(reader.stored(track), CONFIG, CONFIG.representation, reader.fitted),
    )


def test_it_is_an_error_to_lack_it(tmp_path: Path) -> None:
    batches = toy_batches(tmp_path, CONFIG)
    reader = batches.readers[""]
    with pytest.raises(ConfigError, match="training split"):
        clip_windows(reader.stored(batches.tracks("validation")[0]), CONFIG, CONFIG.representation, None)
