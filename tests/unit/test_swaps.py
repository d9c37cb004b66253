"""How far into the tail a test sees: draws for many comparisons, and swaps of predictions for any metric."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.unit.test_significance import grouped, permutation_p
from tonearm.statistics.differences import paired_bootstrap
from tonearm.statistics.significance import enough_draws, groups_that_differ, randomisation_test, swap_test


def test_swapping_predictions_is_the_randomisation_test_for_the_mean() -> None:
    for groups, draws in ((7, 1000), (16, 4000)):
        first, second, names = grouped(groups, groups)

        def statistic(swapped: np.ndarray, d: np.ndarray = first - second) -> float:
            return float(np.where(swapped, -d, d).mean())

        wanted = permutation_p(first, second, names)
        found = swap_test(statistic, names, draws)
        if 2**groups <= draws:
            assert found == pytest.approx(wanted)
        else:
            assert abs(found - wanted) < 4 * np.sqrt(wanted / draws) and found != swap_test(statistic, names, draws, 1)


def test_few_draws_do_for_many_comparisons() -> None:
    """What is far in the tail: p falls below what the share of so few draws could be."""
    rng = np.random.default_rng(0)
    differences, names = rng.normal(1, 0.5, 60), [str(i) for i in range(60)]
    least = stats.ttest_1samp(differences, 0).pvalue
    swapped = swap_test(lambda s: float(np.where(s, -differences, differences).mean()), names, 200)
    drawn = paired_bootstrap(lambda i: float(differences[i].mean()), names, resamples=200)
    for p in (swapped, drawn.p):
        assert least / 1000 < p < 0.05 / 10_000
    few = swap_test(lambda s: float(np.where(s, -1.0, 1.0).mean()), names[:8], 100)
    assert few == 1 / 101  # of 8 groups it is never below 2 / 256, whatever the tail


def test_draws_are_enough_for_all_comparisons_and_stop_where_p_is_large() -> None:
    rng = np.random.default_rng(1)
    first, names = rng.normal(0.8, 1, 100), [str(i) for i in range(100)]
    found = randomisation_test(first, np.zeros(100), names, enough_draws(528))
    assert enough_draws(1) == 10_000 and enough_draws(528) == 422_400
    assert found == 1 / 422_401 and found * 528 < 0.05 < randomisation_test(first, np.zeros(100), names) * 528
    alike = rng.normal(0.05, 1, 100)
    short, long = (randomisation_test(alike, np.zeros(100), names, draws) for draws in (10_000, 422_400))
    assert short == long > 0.05


def test_groups_that_do_not_differ_tell_nothing() -> None:
    first, second = np.array([1.0, 0, 1, 1, 0]), np.array([0.0, 1, 1, 0, 0])
    assert groups_that_differ(first, second, list("aabcc")) == 1
    assert groups_that_differ(first, second, list("abcde")) == 3
    assert randomisation_test(first, second, list("abcde")) >= 2 / 2**3
