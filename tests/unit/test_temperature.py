"""Temperature: predictions become as sure as they are right, and no decision changes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.test_task_contract import EXAMPLES
from tonearm.tasks import SingleLabel
from tonearm.tasks.pooling import softmax
from tonearm.tasks.temperature import apply_temperature, fit_temperature


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_a_network_becomes_as_sure_as_it_is_right(sharpness: float) -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 1, (1200, 3))
    target = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)  # drawn with the probabilities of the logits
    said = softmax((sharpness * logits).astype(np.float32))
    found = fit_temperature(SingleLabel(), said, target)
    assert found == pytest.approx(sharpness, rel=0.15)
    calibrated = apply_temperature(SingleLabel(), said, found)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(calibrated.argmax(axis=1), said.argmax(axis=1))


def test_few_tracks_hardly_change_a_temperature() -> None:
    right = np.eye(3, dtype=np.float32) * 0.6 + 0.1
    assert 0.6 < fit_temperature(SingleLabel(), right, np.arange(3)) < 1
    assert fit_temperature(SingleLabel(), np.tile(right, (100, 1)), np.tile(np.arange(3), 100)) < 0.4


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_temperature_changes_no_decision_of_any_task(name: str) -> None:
    example = EXAMPLES[name]
    predictions, task = example.task.pool(example.logits(2)), example.task
    assert apply_temperature(task, predictions, 1.0) is predictions
    found = fit_temperature(task, predictions, example.target)
    assert 0.25 <= found <= 4
    for temperature in (0.5, 2.0):
        changed = apply_temperature(task, predictions, temperature)
        assert changed.dtype == np.float32 and changed.shape == predictions.shape and np.isfinite(changed).all()
        before, after = (task.track_scores(p, example.target) for p in (predictions, changed))
        if task.maximise:  # hits stay hits; squared errors change
            np.testing.assert_array_equal(before, after)
        if found == 1.0 and task.kind in ("regression", "embedding"):
            assert changed is predictions
