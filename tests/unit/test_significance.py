"""Tests of two systems on the same tracks: what statsmodels and SciPy say, and the laws that hold."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtr, stdtrit
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from tonearm.core.errors import ConfigError
from tonearm.statistics.differences import mean_difference, paired_bootstrap
from tonearm.statistics.significance import holm, mcnemar, randomisation_test, swap_test
from tonearm.tasks.single_label import confusion_matrix, f1_of_each_class

# --- the same as other libraries


@pytest.mark.parametrize("only_first, only_second", [(0, 0), (1, 0), (3, 3), (2, 11), (40, 25), (0, 9), (1000, 900)])
def test_mcnemar_equals_statsmodels_and_the_binomial_test(only_first: int, only_second: int) -> None:
    wanted = statsmodels_mcnemar([[7, only_first], [only_second, 5]], exact=True).pvalue
    assert mcnemar(only_first, only_second) == mcnemar(only_second, only_first) == pytest.approx(wanted, rel=1e-9)
    if only_first + only_second:
        wanted = stats.binomtest(only_first, only_first + only_second).pvalue
        assert mcnemar(only_first, only_second) == pytest.approx(wanted, rel=1e-9)


@pytest.fixture
def little_garbage() -> Iterator[None]:
    """statsmodels collects garbage at each call: seconds, with all that a test process has imported."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_garbage")
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1], rtol=1e-12)


def test_holm_of_an_example_and_of_nothing() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []


def grouped(seed: int, groups: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores of two systems, and groups of one to four tracks each."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"artist {i}" for i in range(groups)], rng.integers(1, 5, groups))
    return rng.normal(0.3, 1, len(names)), rng.normal(0, 1, len(names)), names.tolist()


def sums_of_groups(values: np.ndarray, groups: list[str]) -> np.ndarray:
    return np.array([values[np.array(groups) == g].sum() for g in sorted(set(groups))])


def permutation_p(first: np.ndarray, second: np.ndarray, groups: list[str]) -> float:
    """Of all swaps of whole groups, by SciPy."""
    sides = sums_of_groups(first, groups), sums_of_groups(second, groups)
    tested = stats.permutation_test(
        sides,
        lambda a, b, axis: (a - b).sum(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    return float(tested.pvalue)


@pytest.mark.parametrize("groups", [2, 5, 11])
@pytest.mark.parametrize("seed", range(4))
def test_few_groups_are_enumerated_as_scipy_does(seed: int, groups: int) -> None:
    first, second, names = grouped(seed, groups)
    wanted = permutation_p(first, second, names)
    assert randomisation_test(first, second, names, draws=1) == pytest.approx(wanted, rel=1e-9)


def test_many_groups_are_drawn_and_come_near_to_enumeration() -> None:
    first, second, names = grouped(1, 16)
    wanted = permutation_p(first, second, names)
    assert 0.02 < wanted < 0.5
    drawn = [randomisation_test(first, second, names, draws=4000, seed=seed) for seed in range(5)]
    assert len(set(drawn)) > 1 and drawn[2] == randomisation_test(first, second, names, draws=4000, seed=2)
    assert abs(np.mean(drawn) - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 20_000)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_hits_of_single_tracks_have_the_p_value_of_mcnemar(hits: list[tuple[bool, bool]]) -> None:
    first, second = np.array(hits, dtype=np.float64).T
    wanted = mcnemar(int((first > second).sum()), int((first < second).sum()))
    assert randomisation_test(first, second, [str(i) for i in range(len(hits))]) == wanted


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_scipys_percentile_interval_at_the_expanded_confidence(seed: int) -> None:
    first, second, names = grouped(seed, 25)
    ours = mean_difference(first, second, names, resamples=20_000)
    tail = ndtr(-np.sqrt(25 / 24) * stdtrit(24, 0.975))
    sums, counts = sums_of_groups(first - second, names), sums_of_groups(np.ones(len(first)), names)
    theirs = stats.bootstrap(
        (sums, counts),
        lambda s, c, axis: s.sum(axis=axis) / c.sum(axis=axis),
        paired=True,
        method="percentile",
        confidence_level=1 - 2 * tail,
        n_resamples=20_000,
        rng=seed,
    )
    assert ours.value == pytest.approx((first - second).mean()) and ours.clusters == 25
    ends = [*theirs.confidence_interval]
    np.testing.assert_allclose([ours.low, ours.high], ends, atol=0.05 * (ends[1] - ends[0]))


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_a_handful_of_groups_has_the_interval_and_the_p_value_of_the_t_test(groups: int) -> None:
    differences = np.random.default_rng(groups).normal(0.5, 1, groups)
    ours = mean_difference(differences, np.zeros(groups), [str(i) for i in range(groups)], resamples=20_000)
    theirs = stats.ttest_1samp(differences, 0)
    np.testing.assert_allclose([ours.low, ours.high], theirs.confidence_interval(0.95), rtol=0.03)
    assert ours.p == pytest.approx(theirs.pvalue, rel=0.03)


def test_the_bootstrap_of_any_statistic_is_that_of_the_mean_for_the_mean() -> None:
    first, second, names = grouped(4, 30)
    differences = first - second
    fast = mean_difference(first, second, names, resamples=4000)
    slow = paired_bootstrap(lambda i: float(differences[i].mean()), names, resamples=4000)
    assert slow.value == pytest.approx(fast.value) and slow.clusters == fast.clusters
    np.testing.assert_allclose([slow.low, slow.high], [fast.low, fast.high], atol=0.08 * (fast.high - fast.low))
    assert slow.p == pytest.approx(fast.p, abs=0.05)


def test_the_difference_of_f1_macro_has_an_interval() -> None:
    rng = np.random.default_rng(0)
    target, names = rng.integers(0, 3, 120), [str(i // 4) for i in range(120)]
    answers = [np.where(rng.random(120) < share, target, rng.integers(0, 3, 120)) for share in (0.8, 0.2)]

    def difference(i: np.ndarray) -> float:
        f1 = [f1_of_each_class(confusion_matrix(target[i], a[i], 3)).mean() for a in answers]
        return float(f1[0] - f1[1])

    found = paired_bootstrap(difference, names)
    assert found.value == difference(np.arange(120)) and 0.1 < found.low < found.value < found.high and found.p < 0.01
    assert paired_bootstrap(difference, names) == found != paired_bootstrap(difference, names, seed=1)


# --- laws


scores = st.lists(
    st.tuples(st.floats(-10, 10), st.floats(-10, 10), st.sampled_from("abcdefgh")), min_size=2, max_size=30
).filter(lambda rows: len({g for _, _, g in rows}) > 1)


def columns(rows: list[tuple[float, float, str]]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    return np.array([r[0] for r in rows]), np.array([r[1] for r in rows]), [r[2] for r in rows]


@given(scores)
@settings(deadline=None)
def test_swapping_the_systems_negates_the_difference_and_keeps_p(rows: list[tuple[float, float, str]]) -> None:
    first, second, names = columns(rows)
    assert randomisation_test(first, second, names) == randomisation_test(second, first, names)
    one, other = (mean_difference(*pair, names, resamples=99) for pair in ((first, second), (second, first)))
    assert (one.value, one.low, one.high, one.p) == (-other.value, -other.high, -other.low, other.p)


@given(scores, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_tracks_does_not_matter(rows: list[tuple[float, float, str]], order: random.Random) -> None:
    before = randomisation_test(*columns(rows))
    order.shuffle(rows)
    assert randomisation_test(*columns(rows)) == pytest.approx(before, rel=1e-12)


@given(st.integers(0, 10**6), st.integers(2, 40), st.sampled_from([0.8, 0.9, 0.95, 0.99]), st.floats(-1, 1))
@settings(deadline=None)
def test_p_is_small_exactly_where_the_interval_excludes_nought(
    seed: int, groups: int, confidence: float, shift: float
) -> None:
    first, second, names = grouped(seed, groups)
    found = mean_difference(first + shift, second, names, confidence, resamples=500)
    assert 0 < found.p <= 1 and found.low <= found.high
    assert (found.p <= 1 - confidence) == (found.low > 0 or found.high < 0)


def test_sums_that_differ_by_rounding_only_are_equal() -> None:
    first, second = np.array([0.1, 0.2, 1.0, 0.3]), np.array([0.0, 0.0, 0.0, 0.0])
    assert 0.1 + 0.2 != 0.3
    # Groups' sums 0.3, 1 and 0.3: two of eight flips reach 1.6. With -0.3 the sum is 1, which six reach.
    assert randomisation_test(first, second, ["a", "a", "b", "c"]) == 0.25
    assert randomisation_test(first * [1, 1, 1, -1], second, ["a", "a", "b", "c"]) == 0.75
    assert randomisation_test(first * [1, 1, 0, -1], second, ["a"] * 4) == 1.0


def test_p_values_are_never_nought() -> None:
    first, second, names = np.arange(1.0, 101), np.zeros(100), [str(i) for i in range(100)]
    assert randomisation_test(first, second, names, draws=99) == 0.01
    assert 0 < mean_difference(first, second, names, resamples=99).p < 0.05
    assert 0 < mean_difference(np.ones(3), np.zeros(3), names[:3]).p < 0.05


def test_equal_systems_do_not_differ() -> None:
    first, _, names = grouped(0, 20)
    found = mean_difference(first, first, names)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert mean_difference(first[:2], first[:2], ["a", "b"]).p == 1
    assert randomisation_test(first, first, names) == 1


def test_many_groups_fit_into_memory() -> None:
    tracks, draws = 20_000, 2000
    first, names = np.random.default_rng(0).normal(size=tracks), [str(i) for i in range(tracks)]
    tracemalloc.start()
    randomisation_test(first, np.zeros(tracks), names, draws=draws)
    mean_difference(first, np.zeros(tracks), names, resamples=draws)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < tracks * draws * 8 / 4  # all draws together, 8 bytes each


# --- what cannot be compared


@pytest.mark.parametrize("compare", [randomisation_test, mean_difference])
def test_scores_that_do_not_fit_are_refused(compare: object) -> None:
    assert callable(compare)
    with pytest.raises(ConfigError, match=r"scores of shape \(3,\) and \(2,\), and 3 groups: give one score"):
        compare(np.ones(3), np.ones(2), ["a", "b", "c"])
    with pytest.raises(ConfigError, match="and 2 groups: give one score"):
        compare(np.ones(3), np.ones(3), ["a", "b"])
    with pytest.raises(ConfigError, match=r"shape \(3, 1\)"):
        compare(np.ones((3, 1)), np.ones((3, 1)), ["a", "b", "c"])
    with pytest.raises(ConfigError, match="0 tracks to compare on: give at least one"):
        compare(np.ones(0), np.ones(0), [])
    with pytest.raises(ConfigError, match="scores of 2 of 3 tracks are not finite: score them, or leave them out"):
        compare(np.array([1, np.nan, 2]), np.array([np.inf, 1, 2]), ["a", "b", "c"])


def test_settings_that_cannot_work_are_refused() -> None:
    two = (np.ones(2), np.zeros(2), ["a", "b"])
    with pytest.raises(ConfigError, match="1 group of 2 tracks: an interval needs at least two groups"):
        mean_difference(np.ones(2), np.zeros(2), ["a", "a"])
    with pytest.raises(ConfigError, match="at least two groups"):
        paired_bootstrap(lambda i: 0.0, ["a", "a"])
    with pytest.raises(ConfigError, match="confidence is 95: it must be within 0 and 1"):
        mean_difference(*two, confidence=95)
    with pytest.raises(ConfigError, match="resamples is 0: draw at least once"):
        mean_difference(*two, resamples=0)
    with pytest.raises(ConfigError, match="draws is 0: draw at least once"):
        randomisation_test(*two, draws=0)
    with pytest.raises(ConfigError, match="statistic is not finite for 11 of 11 sets of tracks"):
        paired_bootstrap(lambda i: float("nan"), ["a", "b"], resamples=10)
    with pytest.raises(ConfigError, match="statistic is not finite for 5 of 5 swaps: give one that always is"):
        swap_test(lambda s: float("nan"), ["a", "b"])
    with pytest.raises(ConfigError, match="0 tracks to compare on"):
        swap_test(lambda s: 0.0, [])
    with pytest.raises(ConfigError, match="-1 and 3 tracks: counts are at least 0"):
        mcnemar(-1, 3)
    for p in (-0.1, 1.5, float("nan")):
        with pytest.raises(ConfigError, match=f"a p value is {p}: they must be within 0 and 1"):
            holm([0.5, p])
