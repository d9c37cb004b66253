"""How alike two systems answer: the same as SciPy, scikit-learn and statsmodels, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from tonearm.core.errors import ConfigError
from tonearm.statistics.agreement import disagreement, divergence, kappa
from tonearm.tasks.single_label import confusion_matrix


def answers(seed: int, tracks: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of two systems that agree more often than by chance."""
    rng = np.random.default_rng(seed)
    shared = rng.dirichlet(np.full(classes, 0.3), tracks)
    first, second = ((shared + rng.dirichlet(np.ones(classes), tracks)) / 2 for _ in range(2))
    return first.astype(np.float32), second.astype(np.float32)


@pytest.mark.parametrize("tracks, classes", [(30, 2), (200, 8), (500, 40)])
@pytest.mark.parametrize("seed", range(3))
def test_kappa_equals_scikit_learn_and_statsmodels(seed: int, tracks: int, classes: int) -> None:
    first, second = answers(seed, tracks, classes)
    one, other = first.argmax(axis=1), second.argmax(axis=1)
    assert kappa(first, second) == kappa(second, first) == pytest.approx(cohen_kappa_score(one, other))
    assert kappa(first, second) == pytest.approx(cohens_kappa(confusion_matrix(one, other, classes)).kappa)
    assert disagreement(first, second) == np.mean(one != other) > 0


@pytest.mark.parametrize("seed", range(3))
def test_divergence_equals_scipy(seed: int) -> None:
    first, second = answers(seed, 50, 6)
    first[:, 2] = 0  # a class that one of them rules out
    wanted = [jensenshannon(a, b, base=2) ** 2 for a, b in zip(*np.float64([first, second]), strict=True)]
    np.testing.assert_allclose(divergence(first, second), wanted, rtol=1e-6)


def test_examples_by_hand() -> None:
    first = np.eye(2)[[0, 0, 1, 1]]
    assert disagreement(first, first) == 0 and kappa(first, first) == 1
    assert disagreement(first, 1 - first) == 1 and kappa(first, 1 - first) == -1
    assert kappa(first, np.eye(2)[[0, 1, 0, 1]]) == 0 and disagreement(first, np.eye(2)[[0, 1, 0, 1]]) == 0.5
    assert np.isnan(kappa(first[:2], first[:2]))
    np.testing.assert_array_equal(divergence(first, first), 0)
    np.testing.assert_allclose(divergence(first, 1 - first), 1)
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))  # of the mean (3/4, 1/4), in bits; its parts have 0 and 1
    np.testing.assert_allclose(divergence(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])), [entropy - 1 / 2])


@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 9))
def test_divergence_is_symmetric_and_within_0_and_1(seed: int, tracks: int, classes: int) -> None:
    first, second = answers(seed, tracks, classes)
    found = divergence(first, second)
    assert found.shape == (tracks,) and found.dtype == np.float64
    assert (found >= 0).all() and (found <= 1).all()
    np.testing.assert_allclose(found, divergence(second, first), atol=1e-15)
    np.testing.assert_allclose(divergence(first, 3 * first), 0, atol=1e-12)  # rows are divided by their sums


def test_predictions_that_cannot_be_compared_are_refused() -> None:
    good = np.full((3, 2), 0.5)
    for compare in (disagreement, kappa, divergence):
        with pytest.raises(ConfigError, match=r"predictions of shape \(3, 2\) and \(2, 2\): give \(tracks, classes\)"):
            compare(good, good[:2])
        with pytest.raises(ConfigError, match=r"shape \(3,\) and \(3,\)"):
            compare(good[:, 0], good[:, 0])
        with pytest.raises(ConfigError, match="at least one"):
            compare(good[:0], good[:0])
        with pytest.raises(ConfigError, match="predictions of 1 of 3 tracks are not finite"):
            compare(good, np.array([[1, 0], [np.nan, 1], [0, 1]]))
    with pytest.raises(ConfigError, match=r"a prediction is -0\.5: give probabilities, at least 0"):
        divergence(good, good - 1)
    with pytest.raises(ConfigError, match="1 of 3 tracks have only zeros"):
        divergence(good, np.array([[1, 0], [0, 0], [0, 1]]))
