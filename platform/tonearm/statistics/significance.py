"""Significance tests of two systems on the same tracks, which come in groups.

Tracks of one artist are no independent draws: to count them as such finds differences that are not there. All tests
here but McNemar's treat whole groups as the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import bdtr, stdtr

from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.statistics.differences import SMALLEST_P_VALUE, block_sizes, paired_differences
from tonearm.statistics.resampling import check_count

MOST_GROUPS_ENUMERATED = 14  # 16 384 flips: about as slow as the default draws
ROUNDING = 1e-12  # of the sum of all differences: two sums that are this near to each other are equal
FEWEST_DRAWS = 10_000
ENOUGH_HITS = 40  # for a p value that is off by a sixth


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test of two systems' hits on the same tracks, as if tracks were independent draws.

    Parameters
    ----------
    only_first, only_second
        How many tracks only the first, and only the second system has right.

    Returns
    -------
    float
        The two-sided p value, binomial with one half; 1 if the systems differ on no track.

    References
    ----------
    McNemar 1947, *Note on the sampling error of the difference between correlated proportions*.
    """
    if min(only_first, only_second) < 0:
        raise ConfigError(f"{only_first} and {only_second} tracks: counts are at least 0")
    discordant = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), discordant, 0.5))) if discordant else 1.0


def randomisation_test(
    first: np.ndarray, second: np.ndarray, groups: Sequence[str], draws: int = 10_000, seed: int = 0
) -> float:
    """Test that two systems score alike, by sign flips: then swapping the two scores of a whole group changes nothing.

    For at most :data:`MOST_GROUPS_ENUMERATED` groups that differ all sign flips are enumerated, and where groups differ
    by equal amounts they are counted (with a group a track and scores of 0 and 1 that is McNemar's exact test);
    else ``draws`` of them are drawn, of which the first :data:`FEWEST_DRAWS` suffice where p is precise enough.

    Parameters
    ----------
    first, second
        Scores of the same tracks, (tracks,).
    groups
        The group of each track: its scores change sides together.
    draws
        Sign flips of all groups to draw.
    seed
        Of the draws.

    Returns
    -------
    float
        The two-sided p value, above 0. With k groups that differ it is at least 2 / 2^k.

    Raises
    ------
    ConfigError
        If there are no tracks, lengths differ, or scores are not finite.

    References
    ----------
    Fisher 1935, *The Design of Experiments*, section 21; Phipson and Smyth 2010 on p values that are never 0.
    """
    sums, rounding = _sums_that_differ(first, second, groups)
    check_count("draws", draws)
    if not len(sums) or np.ptp(np.abs(sums)) <= rounding:
        return mcnemar(int((sums > 0).sum()), int((sums < 0).sum()))
    least = abs(sums.sum()) - rounding  # what is as far from 0 as the observed sum
    if len(sums) <= MOST_GROUPS_ENUMERATED:
        flips = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        return float((np.abs((1 - 2 * flips) @ sums) >= least).mean())
    rng = np.random.default_rng(derive_seed("randomisation", seed, len(sums)))
    hits = _hits(rng, sums, least, min(draws, FEWEST_DRAWS))
    if draws > FEWEST_DRAWS:
        if hits >= ENOUGH_HITS:
            return (1 + hits) / (1 + FEWEST_DRAWS)
        hits += _hits(rng, sums, least, draws - FEWEST_DRAWS)
    return (1 + hits) / (1 + draws)


def _hits(rng: np.random.Generator, sums: np.ndarray, least: float, draws: int) -> int:
    """How many of so many random sign flips of all groups have a sum as far from 0 as ``least``."""
    eights = np.pad(sums, (0, -len(sums) % 8)).reshape(-1, 8)
    flips = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    table = eights @ flips.T  # (eights, 256): the sums of all flips of eight groups, looked up instead of summed anew
    hits = 0
    for rows in block_sizes(draws, len(eights)):
        drawn = rng.integers(0, 256, (rows, len(eights)), dtype=np.uint8)
        swapped = table[np.arange(len(eights)), drawn].sum(axis=1)
        hits += int((np.abs(sums.sum() - 2 * swapped) >= least).sum())
    return hits


def _sums_that_differ(first: np.ndarray, second: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, float]:
    """The summed differences of the groups that differ, and what is a rounding error of them."""
    differences, place = paired_differences(first, second, groups)
    rounding = float(ROUNDING * np.abs(differences).sum())
    sums = np.bincount(place, differences)
    return sums[np.abs(sums) > rounding], rounding


def groups_that_differ(first: np.ndarray, second: np.ndarray, groups: Sequence[str]) -> int:
    """How many groups two systems differ on: k of them give :func:`randomisation_test` no p below 2 / 2^k."""
    return len(_sums_that_differ(first, second, groups)[0])


def enough_draws(comparisons: int) -> int:
    """Draws with which each of so many comparisons can be significant at 5 % after Holm's correction."""
    return max(FEWEST_DRAWS, 40 * round(comparisons / 0.05))


def swap_test(
    statistic: Callable[[np.ndarray], float], groups: Sequence[str], draws: int = 1000, seed: int = 0
) -> float:
    """:func:`randomisation_test` of any metric: the systems' predictions are swapped for whole groups.

    All swaps are enumerated if there are at most ``draws``. Else, where no draw is as far from 0 as what was
    observed, p is that of Student's t with the draws' deviation, so that few draws of a slow metric suffice for many
    comparisons.

    Parameters
    ----------
    statistic
        Maps which tracks are swapped, bool (tracks,), to the difference of the metric, first - second.
    groups
        The group of each track.
    draws
        Swaps of all groups to draw.
    seed
        Of the draws.

    Returns
    -------
    float
        The two-sided p value, above 0; of k groups at least 2 / 2^k.

    Raises
    ------
    ConfigError
        If there are no tracks, or the statistic is not finite.
    """
    check_count("draws", draws)
    if not len(groups):
        raise ConfigError("there are 0 tracks to compare on: give at least one")
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    observed = statistic(np.zeros(len(groups), dtype=bool))
    all_of_them = 2 ** len(names) <= draws
    if all_of_them:
        flips = np.arange(2 ** len(names))[:, None] >> np.arange(len(names)) & 1
    else:
        rng = np.random.default_rng(derive_seed("swaps", seed, len(names)))
        flips = rng.integers(0, 2, (draws, len(names)), dtype=np.int8)
    drawn = np.array([statistic(row.astype(bool)[place]) for row in flips], dtype=np.float64)
    bad = int((~np.isfinite([observed, *drawn])).sum())
    if bad:
        raise ConfigError(f"the statistic is not finite for {bad} of {len(drawn) + 1} swaps: give one that always is")
    hits = int((np.abs(drawn) >= abs(observed) - ROUNDING).sum())
    if all_of_them:
        return hits / len(drawn)
    p = (1 + hits) / (1 + draws)
    if hits:
        return p
    tail = 2 * float(stdtr(len(names) - 1, -abs(observed) / np.sqrt(np.mean(drawn**2))))
    return min(p, max(tail, 2.0 ** (1 - len(names)), SMALLEST_P_VALUE))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values of several tests, adjusted by Holm's method for the family-wise error rate.

    Parameters
    ----------
    p_values
        Within 0..1, of one family of tests.

    Returns
    -------
    list of float
        In the given order, at most 1; a smaller p value never gets a larger one.

    References
    ----------
    Holm 1979, *A Simple Sequentially Rejective Multiple Test Procedure*.
    """
    p = np.asarray(p_values, dtype=np.float64)
    wrong = p[~((p >= 0) & (p <= 1))]
    if len(wrong):
        raise ConfigError(f"a p value is {wrong[0]}: they must be within 0 and 1")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return [float(x) for x in adjusted]
