"""Tests of two systems on data whose truth is known: how often they err, and how often they find what is there."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from tonearm.statistics.differences import mean_difference, paired_bootstrap
from tonearm.statistics.significance import holm, mcnemar, randomisation_test, swap_test


def simulate(
    rng: np.random.Generator, groups: int, size: int, advantage: float
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Hits of two systems: in each group one of them is right on 9 of 10 tracks, the other on 4 of 10.

    The first is the better one in a share of 1/2 + ``advantage`` of the groups, so that its mean is larger by
    (0.9 - 0.4) x 2 x ``advantage`` = ``advantage``. Groups have 1 to 2 ``size`` - 1 tracks.
    """
    place = np.repeat(np.arange(groups), rng.integers(1, 2 * size, groups))
    better = (rng.random(groups) < 0.5 + advantage)[place]
    hits = [rng.random(len(place)) < np.where(b, 0.9, 0.4) for b in (better, ~better)]
    return hits[0].astype(np.float64), hits[1].astype(np.float64), place.astype(str).tolist()


def three_errors(share: float, repetitions: int) -> float:
    """Three Monte Carlo standard errors of a share."""
    return float(3 * np.sqrt(share * (1 - share) / repetitions))


@pytest.mark.parametrize("groups, size", [(40, 1), (40, 8), (15, 8)])
def test_equal_systems_are_told_apart_in_at_most_five_percent(groups: int, size: int) -> None:
    rng, repetitions = np.random.default_rng(groups + size), 1000
    rejected = {"mcnemar": 0, "randomisation": 0, "bootstrap": 0, "clustered": 0, "clustered bootstrap": 0}
    for i in range(repetitions):
        first, second, names = simulate(rng, groups, size, 0.0)
        each = [str(k) for k in range(len(names))]
        rejected["mcnemar"] += mcnemar(int((first > second).sum()), int((first < second).sum())) <= 0.05
        rejected["randomisation"] += randomisation_test(first, second, each, 199, i) <= 0.05
        rejected["bootstrap"] += mean_difference(first, second, each, resamples=399, seed=i).p <= 0.05
        rejected["clustered"] += randomisation_test(first, second, names, 199, i) <= 0.05
        rejected["clustered bootstrap"] += mean_difference(first, second, names, resamples=399, seed=i).p <= 0.05
    shares = {name: count / repetitions for name, count in rejected.items()}
    at_most = 0.05 + three_errors(0.05, repetitions)
    assert 0.01 < shares["clustered"] <= at_most and 0.01 < shares["clustered bootstrap"] <= at_most
    for unclustered in ("mcnemar", "randomisation", "bootstrap"):
        if size == 1:
            assert shares[unclustered] <= at_most
        else:  # tracks of one group are no independent draws
            assert shares[unclustered] > 0.2


def test_few_groups_are_told_apart_by_the_randomisation_test_in_at_most_five_percent() -> None:
    rng, repetitions = np.random.default_rng(5), 1000
    for groups in (4, 6, 8):
        rejected = sum(randomisation_test(*simulate(rng, groups, 8, 0.0)) <= 0.05 for _ in range(repetitions))
        assert rejected / repetitions <= 0.05 + three_errors(0.05, repetitions)
        assert (rejected > 0) == (groups > 5)  # of five groups the smallest p value is 2 / 32


@pytest.mark.parametrize("groups", [3, 20, 60, 200])
def test_the_interval_covers_the_truth_as_often_as_it_says(groups: int) -> None:
    rng, repetitions, covered, truth = np.random.default_rng(groups), 800, 0, 0.4
    for i in range(repetitions):
        place = np.repeat(np.arange(groups), rng.integers(1, 10, groups))
        differences = truth + rng.normal(0, 1, groups)[place] + rng.normal(0, 1, len(place))
        found = mean_difference(differences, np.zeros(len(place)), place.astype(str).tolist(), 0.95, 599, i)
        covered += found.low <= truth <= found.high
    assert abs(covered / repetitions - 0.95) < three_errors(0.95, repetitions)


def test_the_interval_of_hits_covers_the_truth_as_often_as_it_says() -> None:
    rng, repetitions, covered = np.random.default_rng(1), 800, 0
    for i in range(repetitions):
        found = mean_difference(*simulate(rng, 60, 4, 0.2), resamples=599, seed=i)
        covered += found.low <= 0.2 <= found.high
    assert abs(covered / repetitions - 0.95) < three_errors(0.95, repetitions)


def test_power_grows_with_the_effect_and_with_the_groups() -> None:
    rng, repetitions = np.random.default_rng(3), 150

    def power(groups: int, advantage: float) -> tuple[float, float]:
        drawn = [simulate(rng, groups, 4, advantage) for _ in range(repetitions)]
        tossed = [randomisation_test(*d, draws=199, seed=i) <= 0.05 for i, d in enumerate(drawn)]
        resampled = [mean_difference(*d, resamples=399, seed=i).p <= 0.05 for i, d in enumerate(drawn)]
        return float(np.mean(tossed)), float(np.mean(resampled))

    by_effect = np.array([power(40, advantage) for advantage in (0.0, 0.15, 0.4)])
    by_groups = np.array([power(groups, 0.15) for groups in (15, 70, 300)])
    for powers in (by_effect, by_groups):
        assert (np.diff(powers, axis=0) > 0.15).all() and (powers[-1] > 0.95).all()


def test_holm_keeps_six_equal_systems_apart_in_at_most_five_percent() -> None:
    rng, repetitions, found = np.random.default_rng(4), 400, np.zeros(2)
    names = [str(i) for i in range(50)]
    for i in range(repetitions):
        ease = rng.normal(0, 1, 50)  # what all systems find hard
        systems = [(ease + rng.normal(0, 1, 50) > 0).astype(np.float64) for _ in range(6)]
        p = [randomisation_test(*pair, names, seed=i) for pair in combinations(systems, 2)]
        assert len(p) == 15
        found += [min(holm(p)) <= 0.05, min(p) <= 0.05]
    with_holm, without = found / repetitions
    assert with_holm <= 0.05 + three_errors(0.05, repetitions) and without > 0.2


def f1_macro(target: np.ndarray, answer: np.ndarray) -> float:
    table = np.bincount(3 * target + answer, minlength=9).reshape(3, 3)
    return float(np.mean(2 * np.diag(table) / np.maximum(table.sum(axis=0) + table.sum(axis=1), 1)))


@pytest.mark.parametrize("artists", [12, 40])
def test_equal_systems_have_another_f1_macro_in_at_most_five_percent(artists: int) -> None:
    """Tracks of an artist are of one class and succeed together; classes are of unequal size."""
    rng, repetitions, rejected, powers, tried = np.random.default_rng(artists), 300, np.zeros(2), 0, 60
    place = np.repeat(np.arange(artists), 4)
    names = place.astype(str).tolist()
    for i in range(repetitions):
        target = np.repeat(rng.choice(3, artists, p=(0.5, 0.3, 0.2)), 4)
        draws = [rng.random(artists)[place] for _ in range(2)]
        one, two, best = (np.where(d < share, target, (target + 1) % 3) for d, share in zip(
            (*draws, draws[1]), (0.6, 0.6, 0.95), strict=True))  # fmt: skip

        def swapped(mask: np.ndarray, a: np.ndarray = one, b: np.ndarray = two, t: np.ndarray = target) -> float:
            return f1_macro(t, np.where(mask, b, a)) - f1_macro(t, np.where(mask, a, b))

        def drawn(rows: np.ndarray, a: np.ndarray = one, b: np.ndarray = two, t: np.ndarray = target) -> float:
            return f1_macro(t[rows], a[rows]) - f1_macro(t[rows], b[rows])

        rejected += [swap_test(swapped, names, 199, i) <= 0.05, paired_bootstrap(drawn, names, 0.95, 199, i).p <= 0.05]
        if i < tried:
            powers += swap_test(lambda mask, better=best: swapped(mask, better), names, 199, i) <= 0.05
    swap, bootstrap = rejected / repetitions
    assert 0.01 < swap <= 0.05 + three_errors(0.05, repetitions)
    assert bootstrap <= 0.05 + three_errors(0.05, repetitions)
    assert powers / tried > (0.15 if artists == 12 else 0.9)
