"""Clustered bootstrap intervals of scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from tonearm.statistics.differences import expanded_percentile
from tonearm.statistics.resampling import bootstrap_draws, check_bootstrap, require_finite


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float],
    groups: Sequence[str],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Clustered bootstrap interval: groups are drawn, since tracks of one artist are no independent draws.

    Between two finite bounds it is Wilson's, for as many independent items as give the draws' deviation: percentiles of
    a share near its bound are far too narrow, and have no width where every item is right. Elsewhere it is Hesterberg's
    expanded percentile interval. Both are widened for few groups.

    Parameters
    ----------
    statistic
        Maps an array of item indices to a figure.
    groups
        The group of each item, two different ones at least; give distinct groups for an ordinary bootstrap.
    confidence
        Within 0 and 1.
    resamples
        Draws.
    seed
        Of the draws.
    bounds
        The ends of the statistic's range.

    Raises
    ------
    ConfigError
        If there are no items, a single group, confidence or resamples are out of their range, or the
        statistic is not finite for the items or a draw of them.

    References
    ----------
    Wilson 1927, *Probable Inference*; Korn and Graubard 1998 on the effective number of items of a clustered sample;
    Hesterberg 2015, *What Teachers Should Know About the Bootstrap*; Field and Welsh 2007 on clusters.
    """
    clusters = check_bootstrap(groups, confidence, resamples)
    draws = bootstrap_draws(statistic, groups, resamples, seed)
    value = float(statistic(np.arange(len(groups))))
    require_finite(value, draws)
    if math.isfinite(bounds[0]) and math.isfinite(bounds[1]):
        low, high = _wilson_ends(value, float(draws.std()), clusters, confidence, bounds)
    else:
        found = expanded_percentile(value, draws, clusters, confidence)
        low, high = found.low, found.high
    return Interval(value, max(low, bounds[0]), min(high, bounds[1]))


def _wilson_ends(
    value: float, deviation: float, clusters: int, confidence: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Wilson's interval with Student's t, of a share of the range between two bounds.

    Parameters
    ----------
    deviation
        Of the bootstrap's draws. Where they do not vary, as where every item is right, each group counts as one item.
    """
    span = bounds[1] - bounds[0]
    share = float(np.clip((value - bounds[0]) / span, 0, 1))
    error = math.sqrt(clusters / (clusters - 1)) * deviation / span
    spread = share * (1 - share)
    items = spread / error**2 if error > 0 and spread > 0 else clusters
    reach = float(stdtrit(clusters - 1, (1 + confidence) / 2))
    shrink = 1 + reach**2 / items
    centre = (share + reach**2 / (2 * items)) / shrink
    half = reach / shrink * math.sqrt(spread / items + reach**2 / (4 * items**2))
    low, high = min(centre - half, share), max(centre + half, share)  # rounding: at a bound it ends there
    return bounds[0] + span * low, bounds[0] + span * high
