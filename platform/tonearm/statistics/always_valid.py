"""A difference that may be looked at at any time: confidence sequences, and checks of who was assigned to what.

An interval of 95 % holds at one look that was chosen before. Who looks again and again, and stops at the first that
excludes 0, is wrong far more often. A confidence sequence holds at all looks together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, ndtri

from tonearm.core.errors import ConfigError

TUNED_FOR = 2000  # units at which the sequence is narrowest for its level
FEWEST = 50  # units of an arm, below which nothing is said: the sequence is asymptotic
RATIO_LEVEL = 0.001  # p value below which arms are not as large as they should be
FARTHEST = 10_000_000  # units that anybody waits for


@dataclass(frozen=True)
class SequentialDifference:
    """How much larger the mean of the second group is, as far as is known now.

    Attributes
    ----------
    first, second
        Means of the groups; NaN of an empty one.
    value
        ``second - first``.
    low, high
        Ends of the interval, which holds at all looks together; infinite while there are too few.
    counts
        Units of the groups.
    """

    first: float
    second: float
    value: float
    low: float
    high: float
    counts: tuple[int, int]

    @property
    def is_shown(self) -> bool:
        """Whether the difference is not 0."""
        return self.low > 0 or self.high < 0


def sequential_difference(
    first: np.ndarray, second: np.ndarray, level: float = 0.05, tuned_for: int = TUNED_FOR
) -> SequentialDifference:
    """The difference of two groups' means with an asymptotic confidence sequence.

    Parameters
    ----------
    first, second
        A value of each unit that was assigned at random, (units,): of a listener, not of an event, since those of one
        listener are alike.
    level
        Chance that the sequence excludes the truth at any look, 0..1.
    tuned_for
        Units in both groups at which it is narrowest; to be chosen before the first look.

    Raises
    ------
    ConfigError
        If values are not finite, or the level is none.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024, *Time-uniform central limit theory and asymptotic confidence
    sequences*, Annals of Statistics 52: theorem 2.2, with the variance of a difference of means, and rho of its
    appendix on choosing it.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if not 0 < level < 1:
        raise ConfigError(f"level is {level}: give one above 0 and below 1")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ConfigError("values that are not finite: leave those units out")
    counts = (len(first), len(second))
    one, two = (float(values.mean()) if len(values) else math.nan for values in (first, second))
    value = two - one
    if min(counts) < FEWEST:
        return SequentialDifference(one, two, value, -math.inf, math.inf, counts)
    error = math.sqrt(first.var(ddof=1) / counts[0] + second.var(ddof=1) / counts[1])
    reach = error * radius(sum(counts), level, tuned_for)
    return SequentialDifference(one, two, value, value - reach, value + reach, counts)


def radius(units: int, level: float = 0.05, tuned_for: int = TUNED_FOR) -> float:
    """Half the width of the sequence after so many units, in standard errors: more than 1.96, and slowly growing."""
    rho = (-2 * math.log(level) + math.log(1 - 2 * math.log(level))) / tuned_for  # its square
    return math.sqrt(2 * (units * rho + 1) / (units * rho) * math.log(math.sqrt(units * rho + 1) / level))


def sample_ratio_p(counts: tuple[int, int], share: float) -> float:
    """The p value that arms of these sizes come of an assignment that gives the second one a share: chi-square of one
    degree of freedom.

    Below 0.001 something loses units of one arm, and whatever is measured is of other people: no difference is to be
    believed.

    References
    ----------
    Fabijan et al. 2019, *Diagnosing Sample Ratio Mismatch in Online Controlled Experiments*, KDD.
    """
    if not 0 < share < 1:
        raise ConfigError(f"share is {share}: give one above 0 and below 1")
    total = sum(counts)
    if not total:
        return 1.0
    expected = (total * (1 - share), total * share)
    return float(chdtrc(1, sum((count - e) ** 2 / e for count, e in zip(counts, expected, strict=True))))


def needed_units(
    difference: float, deviation: float, share: float = 0.5, power: float = 0.8, level: float = 0.05,
    tuned_for: int = TUNED_FOR,
) -> int:  # fmt: skip
    """Units in both arms by which a true difference is shown in a share of ``power`` of all cases, at the latest.

    Parameters
    ----------
    difference
        Of the means; not 0.
    deviation
        Standard deviation of a unit's value; above 0.
    share
        Of the units in the second arm, above 0 and below 1.

    Raises
    ------
    ConfigError
        For values that cannot be, or if more than ten million were needed.
    """
    if difference == 0 or deviation <= 0 or not 0 < share < 1 or not 0 < power < 1:
        given = f"difference is {difference:g}, deviation {deviation:g}, share {share:g}, power {power:g}"
        raise ConfigError(f"{given}: the first must not be 0, the second above 0, the others above 0 and below 1")

    def is_enough(units: int) -> bool:
        error = deviation / math.sqrt(units * share * (1 - share))
        return abs(difference) >= error * (radius(units, level, tuned_for) + float(ndtri(power)))

    low, high = 1, math.ceil(FEWEST / min(share, 1 - share))
    while not is_enough(high):
        low, high = high, 2 * high
        if high > FARTHEST:
            raise ConfigError(f"a difference of {difference:g} needs over {FARTHEST:,} listeners: it cannot be shown")
    if low == 1:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
