"""Clustered bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed


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
) -> Interval:
    """Percentile bootstrap interval, clustered: groups are drawn, since tracks of one artist are no independent draws.

    Parameters
    ----------
    statistic
        Maps an array of item indices to a figure.
    groups
        The group of each item; give distinct groups for an ordinary bootstrap.
    confidence
        Within 0 and 1.
    resamples
        Draws.
    seed
        Of the draws.

    References
    ----------
    Efron and Tibshirani 1993, *An Introduction to the Bootstrap*, chapter 13; Field and Welsh 2007 on clusters.
    """
    draws = bootstrap_draws(statistic, groups, resamples, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(statistic(np.arange(len(groups))), float(low), float(high))


def bootstrap_draws(
    statistic: Callable[[np.ndarray], float], groups: Sequence[str], resamples: int, seed: int
) -> np.ndarray:
    """The statistic of the tracks of groups drawn with replacement: float64 (resamples,).

    Raises
    ------
    ConfigError
        If there are no items.
    """
    if not len(groups):
        raise ConfigError("a bootstrap interval of no items: give at least one")
    members: dict[str, list[int]] = {}
    for i, g in enumerate(groups):
        members.setdefault(g, []).append(i)
    blocks = [np.array(members[g]) for g in sorted(members)]
    rng = np.random.default_rng(derive_seed("bootstrap", seed, len(groups)))
    draws = [
        statistic(np.concatenate([blocks[b] for b in rng.integers(0, len(blocks), len(blocks))]))
        for _ in range(resamples)
    ]
    return np.array(draws, dtype=np.float64)
