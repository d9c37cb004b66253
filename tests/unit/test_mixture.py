"""Members of unlike kind answer together: calibrated first, then weighted by what their mixture loses."""

from __future__ import annotations

import numpy as np
import pytest

from tonearm.core.types import FloatArray
from tonearm.ensembles.combine import Mixture, fit_mixture, weighted_mean
from tonearm.tasks import MultiLabel, Regression, SingleLabel

TASK = SingleLabel()


def member(truth: np.ndarray, skill: float, sharpness: float = 1.0, seed: int = 0, classes: int = 4) -> FloatArray:
    """Probabilities; ``skill`` separates the true class, ``sharpness`` says how sure they claim to be."""
    logits = np.random.default_rng(seed).normal(0, 1, (len(truth), classes))
    logits[np.arange(len(truth)), truth] += skill
    powers = np.exp(sharpness * skill * logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def truth_of(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, count)


def loss(predictions: FloatArray, truth: np.ndarray) -> float:
    return TASK.metrics(predictions, truth)["log_loss"]


def test_the_better_member_counts_more_and_the_mixture_loses_less_than_each() -> None:
    truth, later = truth_of(400), truth_of(2000, seed=2)
    good, poor = (2.0, 3), (0.7, 4)
    mixture = fit_mixture(TASK, [member(truth, s, seed=n) for s, n in (good, poor)], truth)
    assert mixture.weights[0] > 0.6 > 0.4 > mixture.weights[1] > 0 and sum(mixture.weights) == pytest.approx(1)
    fresh = [member(later, s, seed=n + 10) for s, n in (good, poor)]
    assert loss(mixture.predict(TASK, fresh), later) < min(loss(f, later) for f in fresh)


def test_a_member_that_is_far_too_sure_does_no_harm() -> None:
    """An SVM that claims certainty, in equal parts, drowns a calibrated member."""
    truth, later = truth_of(200), truth_of(2000, seed=2)
    members = [member(truth, 1.5, seed=3), member(truth, 0.5, sharpness=12, seed=4)]
    fresh = [member(later, 1.5, seed=13), member(later, 0.5, sharpness=12, seed=14)]
    mixture = fit_mixture(TASK, members, truth)
    assert mixture.temperatures[1] > 2
    equal = weighted_mean(fresh, [1, 1])
    assert loss(mixture.predict(TASK, fresh), later) < loss(fresh[0], later) + 0.02 < loss(equal, later)
    accuracy = [float((p.argmax(axis=1) == later).mean()) for p in (mixture.predict(TASK, fresh), equal)]
    assert accuracy[0] > accuracy[1] + 0.1


def test_few_tracks_leave_weights_near_equal_and_equal_members_equal() -> None:
    truth = truth_of(4)
    few = fit_mixture(TASK, [member(truth, 1.2, seed=3), member(truth, 0.8, seed=4)], truth)
    assert max(few.weights) < 0.8  # of the four tracks alone one member would have nearly all
    same = member(truth_of(100), 1.0, seed=3)
    assert fit_mixture(TASK, [same] * 3, truth_of(100)).weights == pytest.approx((1 / 3,) * 3, abs=1e-3)


def test_one_member_is_all_of_it_and_the_fit_is_determined() -> None:
    truth = truth_of(50)
    one, other = member(truth, 1.0, seed=3), member(truth, 1.0, seed=4)
    assert fit_mixture(TASK, [one], truth).weights == (1.0,)
    assert fit_mixture(TASK, [one, other], truth) == fit_mixture(TASK, [one, other], truth)
    swapped = fit_mixture(TASK, [other, one], truth)
    assert swapped.weights == pytest.approx(fit_mixture(TASK, [one, other], truth).weights[::-1], abs=5e-3)


def test_labels_are_mixed_too() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((300, 3)) < 0.4).astype(np.float32)
    good = np.clip(truth * 0.7 + 0.15 + rng.normal(0, 0.1, truth.shape), 0.01, 0.99).astype(np.float32)
    noise = rng.random(truth.shape).astype(np.float32)
    mixture = fit_mixture(MultiLabel(), [noise, good], truth)
    assert mixture.weights[1] > 0.8
    assert Mixture((1.0, 1.0), (0.0, 1.0)).predict(MultiLabel(), [noise, good]) == pytest.approx(good)


@pytest.mark.parametrize("count", [4, 400])
def test_the_unit_of_a_number_does_not_matter(count: int) -> None:
    task, rng = Regression(target="tempo", squash="none"), np.random.default_rng(0)
    truth = rng.uniform(60, 200, (count, 1))
    members = [truth + rng.normal(0, deviation, truth.shape) for deviation in (20, 30)]
    found = [
        fit_mixture(task, [(m * unit).astype(np.float32) for m in members], (truth * unit).astype(np.float32)).weights
        for unit in (1.0, 1 / 250, 1000.0)
    ]
    assert found[1] == pytest.approx(found[0], abs=2e-3) and found[2] == pytest.approx(found[0], abs=2e-3)
    best = 30**2 / (20**2 + 30**2)  # of errors that are independent
    assert found[0][0] == pytest.approx(best, abs=0.05 if count > 100 else 0.25)


def test_a_number_that_is_known_exactly_counts_most() -> None:
    truth = np.arange(50, dtype=np.float32)[:, None]
    mixture = fit_mixture(Regression(target="y", squash="none"), [truth, truth[::-1].copy()], truth)
    assert mixture.weights[0] > 0.95
