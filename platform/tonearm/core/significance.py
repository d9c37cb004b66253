"""Whether one system is better than another on the same tracks, which come in groups, or by chance.

Tracks of one artist are no independent draws: to count them as such finds differences that are not there. All tests
here but McNemar's treat whole groups as the draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, ndtr, ndtri, stdtr, stdtrit

from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.core.statistics import bootstrap_draws

MOST_GROUPS_ENUMERATED = 14  # 16 384 flips: about as dear as the default draws
ROUNDING = 1e-12  # of the sum of all differences: two sums that are this near to each other are equal
CELLS_AT_ONCE = 2_000_000  # draws x groups that are in memory together


@dataclass(frozen=True)
class Difference:
    """An estimated difference, first - second.

    Attributes
    ----------
    value
        The estimate.
    low, high
        Ends of its confidence interval.
    p
        Two-sided, above 0: at most 1 - confidence exactly where the interval of that confidence excludes 0.
    clusters
        How many groups were drawn from.
    """

    value: float
    low: float
    high: float
    p: float
    clusters: int


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
    differing = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), differing, 0.5))) if differing else 1.0


def randomisation_test(
    first: np.ndarray, second: np.ndarray, groups: Sequence[str], draws: int = 10_000, seed: int = 0
) -> float:
    """Whether two systems score alike: if so, which of the two a group's scores came from is a toss of a coin.

    Of at most :data:`MOST_GROUPS_ENUMERATED` groups that differ all tosses are tried, and where groups differ by
    equal amounts the tosses are counted (with a group a track and scores of 0 and 1 that is McNemar's exact test);
    else ``draws`` tosses are drawn.

    Parameters
    ----------
    first, second
        Scores of the same tracks, (tracks,).
    groups
        The group of each track: its scores change sides together.
    draws
        Tosses of all groups' coins.
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
    differences, place = _paired(first, second, groups)
    _check_count("draws", draws)
    rounding = ROUNDING * np.abs(differences).sum()
    sums = np.bincount(place, differences)
    sums = sums[np.abs(sums) > rounding]
    if not len(sums) or np.ptp(np.abs(sums)) <= rounding:
        return mcnemar(int((sums > 0).sum()), int((sums < 0).sum()))
    least = abs(sums.sum()) - rounding  # what is as far from 0 as the observed sum
    if len(sums) <= MOST_GROUPS_ENUMERATED:
        flips = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        return float((np.abs((1 - 2 * flips) @ sums) >= least).mean())
    rng = np.random.default_rng(derive_seed("randomisation", seed, len(sums)))
    hits = 0
    for rows in _blocks(draws, len(sums)):
        flips = rng.integers(0, 2, (rows, len(sums)), dtype=np.int8)
        hits += int((np.abs(sums.sum() - 2 * (flips @ sums)) >= least).sum())
    return (1 + hits) / (1 + draws)


def mean_difference(
    first: np.ndarray,
    second: np.ndarray,
    groups: Sequence[str],
    confidence: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> Difference:
    """How much larger the first system's mean score over tracks is: a paired bootstrap that draws groups.

    Of five groups or fewer, hits that come by group find equal systems different in up to 13 of 100 cases, not 5:
    there :func:`randomisation_test` decides, which holds whatever the number of groups.

    Parameters
    ----------
    first, second
        Scores of the same tracks, (tracks,).
    groups
        The group of each track, two different ones at least.
    confidence
        Within 0 and 1.
    resamples
        Draws.
    seed
        Of the draws.

    Raises
    ------
    ConfigError
        If there are no tracks, lengths differ, scores are not finite, or there is a single group.

    References
    ----------
    Hesterberg 2015, *What Teachers Should Know About the Bootstrap*, on the expanded percentile interval.
    """
    differences, place = _paired(first, second, groups)
    clusters = _check_bootstrap(groups, confidence, resamples)
    sums, counts = np.bincount(place, differences), np.bincount(place)
    rng = np.random.default_rng(derive_seed("mean difference", seed, clusters))
    parts = []
    for rows in _blocks(resamples, clusters):
        drawn = rng.integers(0, clusters, (rows, clusters))
        parts.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return _expanded_percentile(float(differences.mean()), np.concatenate(parts), clusters, confidence)


def paired_bootstrap(
    statistic: Callable[[np.ndarray], float],
    groups: Sequence[str],
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """The same of any difference of two systems, such as that of their F1 macro.

    Parameters
    ----------
    statistic
        Maps an array of track indices, some of them repeated, to the difference of both systems on these tracks.
    groups, confidence, resamples, seed
        As of :func:`mean_difference`.

    Raises
    ------
    ConfigError
        If there are no tracks, a single group, or the statistic is not finite.
    """
    clusters = _check_bootstrap(groups, confidence, resamples)
    draws = bootstrap_draws(statistic, groups, resamples, seed)
    value = float(statistic(np.arange(len(groups))))
    bad = int((~np.isfinite([value, *draws])).sum())
    if bad:
        raise ConfigError(
            f"the statistic is not finite for {bad} of {resamples + 1} sets of tracks: give one that is defined "
            "whichever groups are drawn"
        )
    return _expanded_percentile(value, draws, clusters, confidence)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values of several tests, adjusted so that any false finding among them is as rare as one test promises.

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
        raise ConfigError(f"a p value is {wrong[0]}: they lie within 0 and 1")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return [float(x) for x in adjusted]


def _expanded_percentile(value: float, draws: np.ndarray, clusters: int, confidence: float) -> Difference:
    """Hesterberg's interval of bootstrap draws, and the p value by which it just touches 0.

    Percentiles are too narrow for few clusters, like a normal interval with the uncorrected deviation. The tail is
    widened as that interval would have to be: by Student's t, and by sqrt(n / (n - 1)).
    """
    freedom, widening = clusters - 1, math.sqrt(clusters / (clusters - 1))
    reach = stdtrit(freedom, (1 + confidence) / 2)
    least = 1 / (1 + len(draws))
    tail = ndtr(-widening * reach)
    if tail < max(least, float(clusters) ** -clusters):
        # The chance of the farthest draw, one cluster always, is larger: the interval is t's with the draws' deviation.
        error = widening * float(draws.std())
        p = 2 * stdtr(freedom, -abs(value) / error) if error > 0 else float(value == 0)
        low, high = value - reach * error, value + reach * error
    else:
        beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
        p = 2 * stdtr(freedom, ndtri((1 + beyond) / (1 + len(draws))) / widening)
        rank = int(tail / least)  # of the ordered draws, from 1
        low, high = np.sort(draws)[[rank - 1, len(draws) - rank]]
    return Difference(value, float(low), float(high), float(np.clip(p, least, 1)), clusters)


def _paired(first: np.ndarray, second: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Differences first - second, float64 (tracks,), and the number of each track's group, from 0 (tracks,)."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) != len(groups):
        raise ConfigError(
            f"scores of shape {first.shape} and {second.shape}, and {len(groups)} groups: give one score of each "
            "system, and one group, for each track"
        )
    if not len(first):
        raise ConfigError("there are 0 tracks to compare on: give at least one")
    bad = int((~np.isfinite(first) | ~np.isfinite(second)).sum())
    if bad:
        raise ConfigError(f"the scores of {bad} of {len(first)} tracks are not finite: score them, or leave them out")
    return first - second, np.unique(np.asarray(groups), return_inverse=True)[1]


def _check_bootstrap(groups: Sequence[str], confidence: float, resamples: int) -> int:
    """How many different groups there are, if a bootstrap can draw from them."""
    clusters = len(set(groups))
    if clusters < 2:
        raise ConfigError(f"{clusters} group of {len(groups)} tracks: an interval needs at least two groups")
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence}: it lies within 0 and 1, such as 0.95")
    _check_count("resamples", resamples)
    return clusters


def _check_count(name: str, count: int) -> None:
    if count < 1:
        raise ConfigError(f"{name} is {count}: draw at least once")


def _blocks(rows: int, columns: int) -> list[int]:
    """Numbers of rows that sum to ``rows``, each so few that rows x columns fit into memory."""
    most = max(1, CELLS_AT_ONCE // columns)
    return [min(most, rows - start) for start in range(0, rows, most)]
