"""Difference of two systems on the same tracks, which come in groups: bootstrap intervals.

Tracks of one artist are no independent draws: groups are drawn whole. Training again with another seed is a second
source of variance, which :func:`with_seed_variance` adds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.statistics.resampling import bootstrap_draws, check_bootstrap, require_finite

CELLS_AT_ONCE = 2_000_000  # draws x groups that are in memory together
SMALLEST_P_VALUE = float(np.finfo(np.float64).tiny)  # no p value is 0


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
        Two-sided p value, above 0: at most 1 - confidence exactly if the interval of that confidence excludes 0.
    clusters
        How many groups were drawn from.
    error, degrees_of_freedom
        The standard error, and its degrees of freedom.
    """

    value: float
    low: float
    high: float
    p: float
    clusters: int
    error: float = math.nan
    degrees_of_freedom: float = math.nan

    def clipped(self, low: float, high: float) -> Difference:
        """The same with the interval's ends within a range: where tracks are few or seeds differ, Student's t reaches
        to differences that no two systems can have."""
        return dataclasses.replace(
            self, low=float(np.clip(self.low, low, high)), high=float(np.clip(self.high, low, high))
        )

    def detectable_difference(self, comparisons: int = 1, level: float = 0.05, power: float = 0.8) -> float:
        """The true difference that a test with this standard error finds in a share of ``power`` of all cases.

        Parameters
        ----------
        comparisons
            In the family: each is tested at ``level`` / ``comparisons``.
        """
        needed = stdtrit(self.degrees_of_freedom, 1 - level / comparisons / 2) + stdtrit(self.degrees_of_freedom, power)
        return float(needed * self.error)


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
    there :func:`~tonearm.statistics.significance.randomisation_test` decides: it holds for any number of groups.

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
    differences, place = paired_differences(first, second, groups)
    clusters = check_bootstrap(groups, confidence, resamples)
    sums, counts = np.bincount(place, differences), np.bincount(place)
    rng = np.random.default_rng(derive_seed("mean difference", seed, clusters))
    parts = []
    for rows in block_sizes(resamples, clusters):
        drawn = rng.integers(0, clusters, (rows, clusters))
        parts.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return expanded_percentile(float(differences.mean()), np.concatenate(parts), clusters, confidence)


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
    clusters = check_bootstrap(groups, confidence, resamples)
    draws = bootstrap_draws(statistic, groups, resamples, seed)
    value = float(statistic(np.arange(len(groups))))
    require_finite(value, draws)
    return expanded_percentile(value, draws, clusters, confidence)


def with_seed_variance(
    difference: Difference, parts: Sequence[tuple[float, float]], confidence: float = 0.95
) -> Difference:
    """The difference with the variance between seeds added: how it varies with other tracks and with other seeds.

    Parameters
    ----------
    difference
        Of means over seeds; its error is that over groups of tracks.
    parts
        Further variances of the difference, each with its degrees of freedom: of the mean over k seeds that of the
        seeds' scores divided by k, with k - 1.

    References
    ----------
    Bouthillier et al. 2021, *Accounting for Variance in Machine Learning Benchmarks*; Satterthwaite 1946 on the
    degrees of freedom of a sum of variances.
    """
    added = [(variance, freedom) for variance, freedom in parts if variance > 0]
    if not added:
        return difference
    each = [(difference.error**2, difference.degrees_of_freedom), *added]
    total = sum(variance for variance, _ in each)
    freedom = total**2 / sum(variance**2 / own for variance, own in each)
    error = math.sqrt(total)
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    p = max(2 * float(stdtr(freedom, -abs(difference.value) / error)), SMALLEST_P_VALUE)
    return Difference(
        difference.value, difference.value - reach, difference.value + reach, p, difference.clusters, error, freedom
    )


def expanded_percentile(value: float, draws: np.ndarray, clusters: int, confidence: float) -> Difference:
    """Hesterberg's interval of bootstrap draws, and the p value by which it just touches 0.

    Percentiles are too narrow for few clusters, like a normal interval with the uncorrected deviation. The tail is
    widened as that interval would have to be: by Student's t, and by sqrt(n / (n - 1)).
    """
    freedom, widening = clusters - 1, math.sqrt(clusters / (clusters - 1))
    reach = stdtrit(freedom, (1 + confidence) / 2)
    error = widening * float(draws.std())
    least = 1 / (1 + len(draws))
    normal = 2 * float(stdtr(freedom, -abs(value) / error)) if error > 0 else max(least, float(value == 0))
    tail = ndtr(-widening * reach)
    if tail < max(least, float(clusters) ** -clusters):
        # The chance of the farthest draw, one cluster always, is larger: the interval is t's with the draws' deviation.
        p, low, high = normal, value - reach * error, value + reach * error
    else:
        beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
        p = 2 * float(stdtr(freedom, ndtri((1 + beyond) / (1 + len(draws))) / widening))
        if not beyond:  # too few draws to see how far in the tail 0 is: use their deviation
            p = min(p, normal)
        rank = int(tail / least)  # of the ordered draws, from 1
        low, high = np.sort(draws)[[rank - 1, len(draws) - rank]]
    return Difference(value, float(low), float(high), float(np.clip(p, SMALLEST_P_VALUE, 1)), clusters, error, freedom)


def paired_differences(first: np.ndarray, second: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
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


def block_sizes(rows: int, columns: int) -> list[int]:
    """Numbers of rows that sum to ``rows``, each so few that rows x columns fit into memory."""
    most = max(1, CELLS_AT_ONCE // columns)
    return [min(most, rows - start) for start in range(0, rows, most)]
