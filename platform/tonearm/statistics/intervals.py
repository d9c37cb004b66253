"""Clustered bootstrap intervals of scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from tonearm.statistics.differences import expanded_percentile
from tonearm.statistics.resampling import bootstrap_draws, check_bootstrap, require_finite

ERRING_GROUPS = 2.0
"""The square of the number of erring groups at which their variance counts half; with less, intervals of one error
are narrower than those of none."""
WEIGHT_OF_BIAS = 2.0
"""Of the squared bias in the variance: draws show two thirds of the bias that a macro F1 of few tracks a class has."""


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
        low, high = _wilson_ends(value, draws, clusters, len(groups), confidence, bounds)
    else:
        found = expanded_percentile(value, draws, clusters, confidence)
        low, high = found.low, found.high
    return Interval(value, max(low, bounds[0]), min(high, bounds[1]))


def _wilson_ends(
    value: float, draws: np.ndarray, clusters: int, items: int, confidence: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Wilson's interval with Student's t, of a share of the range between two bounds.

    Its centre is without the bias that the draws show, and its deviation holds that bias: a macro F1 of few tracks a
    class is too low, and its draws are lower still.

    Parameters
    ----------
    draws
        Of the bootstrap.
    items
        How many were scored.
    """
    span = bounds[1] - bounds[0]
    share = float(np.clip((value - bounds[0]) / span, 0, 1))
    bias = float(draws.mean() - value) / span
    centre = float(np.clip(share - bias, 0, 1)) if 0 < share < 1 else share
    variance = clusters / (clusters - 1) * float(draws.var()) / span**2 + WEIGHT_OF_BIAS * bias**2
    number = _effective_items(centre, variance, clusters, items)
    reach = float(stdtrit(clusters - 1, (1 + confidence) / 2))
    shrink = 1 + reach**2 / number
    middle = (centre + reach**2 / (2 * number)) / shrink
    half = reach / shrink * math.sqrt(centre * (1 - centre) / number + reach**2 / (4 * number**2))
    low, high = min(middle - half, share), max(middle + half, share)  # rounding: at a bound it ends there
    return bounds[0] + span * low, bounds[0] + span * high


def _effective_items(share: float, variance: float, clusters: int, items: int) -> float:
    """As how many independent items the groups count, for a share of hits with this variance.

    Where every item is right nothing tells how alike those of a group are, and each group counts as one. A single error
    tells hardly more: the variance counts the more the more groups are expected to err, so that a score without errors
    never has the wider interval.
    """
    spread = share * (1 - share)
    seen = spread / variance if variance > 0 and spread > 0 else float(items)
    erring = clusters * min(share, 1 - share)
    known = erring**2 / (erring**2 + ERRING_GROUPS)
    return 1 / (known / seen + (1 - known) / clusters)
