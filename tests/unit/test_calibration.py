"""Reliability diagrams: by hand, of models whose calibration is known, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from tonearm.core.errors import ConfigError
from tonearm.statistics.calibration import reliability


def test_bins_and_summaries_of_an_example() -> None:
    confidence = np.array([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
    correct = np.array([0, 1, 0, 1, 1, 1])
    found = reliability(confidence, correct, bins=4)
    np.testing.assert_array_equal(found.edges, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_array_equal(found.count, [3, 1, 0, 2])  # a bin holds its upper edge
    np.testing.assert_allclose(found.confidence, [0.35 / 3, 0.5, np.nan, 0.95])
    np.testing.assert_allclose(found.accuracy, [1 / 3, 1, np.nan, 1])
    assert found.error == pytest.approx((3 * (1 / 3 - 0.35 / 3) + 0.5 + 2 * 0.05) / 6)
    assert found.worst == pytest.approx(0.5)
    assert found.brier == pytest.approx((0.81 + 0.0625 + 0.25 + 0.01) / 6)


@pytest.mark.parametrize("bins", [1, 5, 10, 17])
def test_bins_and_brier_equal_scikit_learn(bins: int) -> None:
    rng = np.random.default_rng(bins)
    confidence = rng.beta(2, 1, 500)
    correct = rng.random(500) < confidence**2
    found = reliability(confidence, correct, bins)
    accuracy, stated = calibration_curve(correct, confidence, n_bins=bins)
    some = found.count > 0
    np.testing.assert_allclose(found.accuracy[some], accuracy)
    np.testing.assert_allclose(found.confidence[some], stated)
    assert found.brier == pytest.approx(brier_score_loss(correct, confidence))
    assert found.count.sum() == 500 and found.count.dtype == np.int64


def test_who_says_what_comes_true_is_calibrated_and_who_says_more_is_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.2, 0.8, 200_000)
    correct = rng.random(len(truth)) < truth
    calibrated, boastful = reliability(truth, correct), reliability(truth + 0.15, correct)
    assert calibrated.error < 0.005 and calibrated.worst < 0.02
    assert boastful.error == pytest.approx(0.15, abs=0.005) and boastful.brier > calibrated.brier + 0.02
    assert calibrated.brier == pytest.approx((truth * (1 - truth)).mean(), abs=0.002)


def test_a_shift_of_every_statement_is_the_error() -> None:
    assert reliability(np.full(10, 0.8), np.repeat([1, 0], 5)).error == pytest.approx(0.3)
    assert reliability(np.ones(4), np.zeros(4)).error == reliability(np.ones(4), np.zeros(4)).worst == 1
    assert reliability(np.ones(4), np.ones(4)).error == reliability(np.zeros(4), np.zeros(4)).brier == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50), st.integers(1, 30))
def test_every_statement_lies_between_the_edges_of_its_bin(rows: list[tuple[float, bool]], bins: int) -> None:
    confidence, correct = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    found = reliability(confidence, correct, bins)
    some = found.count > 0
    assert found.count.sum() == len(rows) and len(found.edges) == bins + 1
    assert (np.isnan(found.confidence) == ~some).all() and (np.isnan(found.accuracy) == ~some).all()
    assert (found.edges[:-1][some] <= found.confidence[some] + 1e-12).all()
    assert (found.confidence[some] <= found.edges[1:][some] + 1e-12).all()
    assert 0 <= found.error <= found.worst + 1e-12 <= 1 + 1e-9 and 0 <= found.brier <= 1


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a confidence is 1\.5: give probabilities, within 0 and 1"):
        reliability(np.array([0.5, 1.5]), np.array([0, 1]))
    with pytest.raises(ConfigError, match="a confidence is nan"):
        reliability(np.array([0.5, np.nan]), np.array([0, 1]))
    with pytest.raises(ConfigError, match=r"an outcome is 2\.0: give 1 for correct and 0 for not"):
        reliability(np.array([0.5, 0.5]), np.array([0, 2]))
    with pytest.raises(ConfigError, match="an outcome is nan"):
        reliability(np.array([0.5, 0.5]), np.array([0, np.nan]))
    with pytest.raises(ConfigError, match=r"shape \(2,\) and outcomes of shape \(1,\)"):
        reliability(np.array([0.5, 0.5]), np.array([0]))
    with pytest.raises(ConfigError, match="at least one"):
        reliability(np.array([]), np.array([]))
    with pytest.raises(ConfigError, match="bins is 0: give at least 1"):
        reliability(np.array([0.5]), np.array([1]), bins=0)
