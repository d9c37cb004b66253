"""A way from one track to another, beside one that tries every way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.libraries import PlainLibrary
from tonearm.core.errors import ConfigError
from tonearm.core.unit_length import unit_length
from tonearm.recommend.path import find_path, interpolate, progress_of


def arc(degrees: list[float]) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians), np.zeros(len(degrees))], axis=1)


def test_points_are_evenly_spread_on_the_circle() -> None:
    a, b = unit_length(arc([0, 90]))
    np.testing.assert_allclose(interpolate(a, b, 2), arc([30, 60]), atol=1e-6)
    np.testing.assert_allclose(progress_of(interpolate(a, b, 4), a, b), [0.2, 0.4, 0.6, 0.8], atol=1e-6)


def test_a_known_way() -> None:
    library = PlainLibrary(arc([0, 90, 31, 29, 61, 100, -20]))
    steps = find_path(library, 0, 1, 2)
    assert [s.place for s in steps] in ([2, 4], [3, 4])
    assert steps[1].progress == pytest.approx(61 / 90, abs=1e-5)
    assert steps[1].distance == pytest.approx(np.radians(1), abs=1e-3)
    back = find_path(library, 1, 0, 2)
    assert back[0].place == 4 and back[0].progress == pytest.approx(29 / 90, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 4))
def test_no_way_is_shorter(seed: int, n: int) -> None:
    v = unit_length(np.random.default_rng(seed).normal(1, 1, size=(11, 3)))
    library = PlainLibrary(v)
    points, progress = interpolate(v[0], v[1], n), progress_of(v, v[0], v[1])
    angles = np.arccos(np.clip(v.astype(np.float64) @ points.T, -1, 1))
    between = [i for i in range(2, 11) if 0 < progress[i] < 1]
    ways = [w for w in itertools.permutations(between, n) if all(np.diff(progress[list(w)]) > 0)]
    if not ways:
        with pytest.raises(ConfigError, match="lie between the two"):
            find_path(library, 0, 1, n)
        return
    steps = find_path(library, 0, 1, n)
    least = min(sum(angles[p, i] for i, p in enumerate(w)) for w in ways)
    assert sum(s.distance for s in steps) == pytest.approx(least, abs=1e-6)
    assert all(x.progress < y.progress for x, y in itertools.pairwise(steps))


def test_no_recording_occurs_twice_and_none_is_that_of_an_end() -> None:
    library = PlainLibrary(arc([0, 90, 30, 30.5, 45, 60]), recording=["a", None, "r", "r", "A", ""])
    assert [s.place for s in find_path(library, 0, 1, 2)] == [2, 5]
    with pytest.raises(ConfigError, match="2 tracks lie between the two, and 3"):
        find_path(library, 0, 1, 3)


def test_more_are_looked_at_where_the_nearest_do_not_suffice() -> None:
    angles = [0.0, 90.0, *np.linspace(91, 92, 300), 10.0, 20.0, 80.0]
    steps = find_path(PlainLibrary(arc(angles)), 0, 1, 3)
    assert [s.place for s in steps] == [302, 303, 304]


def test_only_what_is_allowed_is_stepped_on() -> None:
    library = PlainLibrary(arc([0, 90, 45, 50]))
    assert [s.place for s in find_path(library, 0, 1, 1, np.array([True, True, False, True]))] == [3]


@pytest.mark.parametrize(
    ("a", "b", "n", "told"),
    [(0, 0, 2, "one track"), (0, 1, 0, "n is 0"), (0, 2, 1, "degrees apart"), (0, 3, 1, "180.00 degrees")],
)
def test_ways_that_there_are_not(a: int, b: int, n: int, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        find_path(PlainLibrary(arc([0, 90, 0, 180, 20, 40])), a, b, n)
