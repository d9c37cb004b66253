"""The confidence sequence, on listeners of whom the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chisquare

from tests.simulated_listeners import by_listener, listeners, z_by_event
from tonearm.core.errors import ConfigError
from tonearm.statistics.always_valid import (
    FEWEST,
    needed_units,
    radius,
    sample_ratio_p,
    sequential_difference,
)

LOOKS = np.arange(1, 81) * 50  # listeners of each arm at 80 looks


def test_at_80_looks_without_a_difference_only_the_sequence_keeps_its_word() -> None:
    rng, runs = np.random.default_rng(18), 200
    wrong = {"events": 0, "listeners": 0, "sequence": 0}
    for _ in range(runs):
        first, second = listeners(rng, int(LOOKS[-1])), listeners(rng, int(LOOKS[-1]))
        difference, error = by_listener(first, second, LOOKS)
        reach = error * np.array([radius(2 * int(n)) for n in LOOKS])
        wrong["events"] += bool((np.abs(z_by_event(first, second, LOOKS)) > 1.96).any())
        wrong["listeners"] += bool((np.abs(difference / error) > 1.96).any())
        wrong["sequence"] += bool((np.abs(difference) > reach).any())
    assert wrong["sequence"] <= 0.05 * runs, wrong
    assert wrong["events"] > 0.8 * runs and 0.25 * runs < wrong["listeners"] < 0.5 * runs, wrong


def test_a_planted_difference_is_found_and_covered() -> None:
    rng, runs, found, covered = np.random.default_rng(19), 60, 0, 0
    for _ in range(runs):
        arms = [listeners(rng, 4000, lift) for lift in (0.0, 0.05)]
        d = sequential_difference(*(arm.liked / arm.events for arm in arms))
        found += d.low > 0
        covered += d.low <= 0.05 <= d.high
    assert found >= 0.95 * runs and covered >= 0.95 * runs, (found, covered)


def test_the_vectorised_looks_are_the_sequence() -> None:
    rng = np.random.default_rng(20)
    first, second = listeners(rng, 400), listeners(rng, 400)
    difference, error = by_listener(first, second, np.array([100, 400]))
    for i, n in enumerate((100, 400)):
        d = sequential_difference(first.liked[:n] / first.events[:n], second.liked[:n] / second.events[:n])
        assert d.value == pytest.approx(difference[i]) and d.high - d.value == pytest.approx(error[i] * radius(2 * n))


def test_its_radius_is_the_theorems() -> None:
    n, level, tuned = 1000, 0.05, 2000
    rho = math.sqrt((-2 * math.log(level) + math.log(-2 * math.log(level) + 1)) / tuned)
    expected = math.sqrt(2 * (n * rho**2 + 1) / (n**2 * rho**2) * math.log(math.sqrt(n * rho**2 + 1) / level))
    assert radius(n, level, tuned) / math.sqrt(n) == pytest.approx(expected)
    widths = [radius(n) for n in (2000, 20_000, 200_000)]
    assert 1.96 < widths[0] < widths[1] < widths[2] < 6


def test_too_few_say_nothing_and_what_cannot_be_is_told() -> None:
    few = sequential_difference(np.zeros(FEWEST - 1), np.ones(500))
    assert few.value == 1 and not few.is_shown and few.low == -math.inf
    assert math.isnan(sequential_difference(np.zeros(0), np.ones(5)).value)
    assert sequential_difference(np.zeros(FEWEST), np.ones(FEWEST)).is_shown
    with pytest.raises(ConfigError, match="finite"):
        sequential_difference(np.array([np.nan]), np.ones(3))
    with pytest.raises(ConfigError, match="level"):
        sequential_difference(np.ones(3), np.ones(3), level=0)


def test_arms_that_are_not_as_large_as_they_should_be() -> None:
    assert sample_ratio_p((700, 300), 0.3) == 1 and sample_ratio_p((0, 0), 0.5) == 1
    assert sample_ratio_p((5100, 4900), 0.5) == pytest.approx(chisquare([5100, 4900]).pvalue)
    assert sample_ratio_p((5200, 4800), 0.5) < 0.001
    with pytest.raises(ConfigError, match="share"):
        sample_ratio_p((1, 1), 1.0)


def test_the_size_that_is_planned_suffices() -> None:
    rng, lift = np.random.default_rng(21), 0.05
    values = listeners(rng, 20_000)
    deviation = float((values.liked / values.events).std())
    units = needed_units(lift, deviation)
    found = 0
    for _ in range(100):
        arms = [listeners(rng, units // 2, own) for own in (0.0, lift)]
        found += sequential_difference(*(arm.liked / arm.events for arm in arms)).is_shown
    assert 70 <= found <= 95, (units, found)
    assert needed_units(lift, deviation, share=0.1) > 2 * units and needed_units(0.5, 0.1) <= 4 * FEWEST
    for bad in ((0.0, 0.2), (0.1, 0.0), (1e-7, 0.3)):
        with pytest.raises(ConfigError):
            needed_units(*bad)
