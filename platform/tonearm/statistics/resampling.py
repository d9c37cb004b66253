"""Bootstrap draws of groups: tracks of one artist are no independent draws, so groups are drawn whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed


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
        statistic(np.concatenate([blocks[b] for b in rng.integers(0, len(blocks), len(blocks)).tolist()]))
        for _ in range(resamples)
    ]
    return np.array(draws, dtype=np.float64)


def check_bootstrap(groups: Sequence[str], confidence: float, resamples: int) -> int:
    """How many different groups there are, if a bootstrap can draw from them.

    Raises
    ------
    ConfigError
        If there is a single group, or confidence or resamples are out of their range.
    """
    clusters = len(set(groups))
    if not len(groups):
        raise ConfigError("a bootstrap interval of no items: give at least one")
    if clusters < 2:
        raise ConfigError(f"{clusters} group of {len(groups)} tracks: an interval needs at least two groups")
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence}: it must be within 0 and 1, such as 0.95")
    check_count("resamples", resamples)
    return clusters


def require_finite(value: float, draws: np.ndarray) -> None:
    """Check a statistic of all tracks and of the draws.

    Raises
    ------
    ConfigError
        If one is not finite: the percentiles of the others would be an interval of something else.
    """
    bad = int((~np.isfinite([value, *draws])).sum())
    if bad:
        raise ConfigError(
            f"the statistic is not finite for {bad} of {len(draws) + 1} sets of tracks: give one that is defined "
            "whichever groups are drawn"
        )


def check_count(name: str, count: int) -> None:
    """Raise if nothing would be drawn."""
    if count < 1:
        raise ConfigError(f"{name} is {count}: draw at least once")
