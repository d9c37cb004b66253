"""Listeners of whom the truth is known: each has his own rate, and does as much as he likes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LIKE_A, LIKE_B = 0.9, 2.1  # of the beta distribution of rates: its mean is 0.3
EVENTS = 5.0  # mean of what a listener does, beyond the first


@dataclass(frozen=True)
class Arm:
    """Listeners in the order in which they came: how much each did, and how much of that was liked."""

    events: np.ndarray
    liked: np.ndarray


def listeners(rng: np.random.Generator, count: int, lift: float = 0.0) -> Arm:
    """So many listeners, whose mean rate is 0.3 and a lift."""
    mean = LIKE_A / (LIKE_A + LIKE_B) + lift
    rates = rng.beta(mean * (LIKE_A + LIKE_B), (1 - mean) * (LIKE_A + LIKE_B), count)
    events = 1 + rng.geometric(1 / EVENTS, count)
    return Arm(events, rng.binomial(events, rates))


def z_by_event(first: Arm, second: Arm, looks: np.ndarray) -> np.ndarray:
    """The z value at each look, by listeners so far, as if all events were independent: wrongly."""
    n, k = (np.stack([arm.events.cumsum()[looks - 1] for arm in (first, second)]),
            np.stack([arm.liked.cumsum()[looks - 1] for arm in (first, second)]))  # fmt: skip
    rates = k / n
    variance = (rates * (1 - rates) / n).sum(axis=0)
    z: np.ndarray = (rates[1] - rates[0]) / np.sqrt(variance)
    return z


def by_listener(first: Arm, second: Arm, looks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The difference of the listeners' means and its standard error at each look."""
    means, variances = [], []
    for arm in (first, second):
        values = arm.liked / arm.events
        mean = values.cumsum()[looks - 1] / looks
        means.append(mean)
        variances.append(((values**2).cumsum()[looks - 1] / looks - mean**2) * looks / (looks - 1) / looks)
    error: np.ndarray = np.sqrt(variances[0] + variances[1])
    difference: np.ndarray = means[1] - means[0]
    return difference, error
