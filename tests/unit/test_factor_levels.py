"""Values of a field that people would call the same are two: in the statistics, and so in their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.unit.comparison_runs import answers, tracks
from tonearm.comparison.candidates import name_of
from tonearm.comparison.curves import parallel_plot
from tonearm.comparison.factors import factor
from tonearm.comparison.measure import ComparisonMetric
from tonearm.comparison.predictions import Predictions
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import TimeConfig
from tonearm.tasks import SingleLabel

ACCURACY = ComparisonMetric.of(SingleLabel())
MODELS = {"time": TimeConfig(), "simple": SimpleConfig()}
LONG = "a" * 60
Values = dict[str, Any]
NAMES = [f"part.a_rather_long_name_{i}" for i in range(9)]
MANY = [dict.fromkeys(NAMES, i // 2) | {NAMES[-1]: i} for i in range(3)]  # the last one is cut from a name


def grid(levels: Sequence[Values]) -> list[Predictions]:
    """Both models with each level, labelled by it; each level is worse than the one before."""
    of, found = tracks(20, 3), list[Predictions]()
    for model in ("time", "simple"):
        for number, level in enumerate(levels):
            hits = of.right(0.9 - 0.6 * number / (len(levels) - 1), len(found))
            made = answers(of, [hits], str(number), {"model": MODELS[model]})
            candidate = dataclasses.replace(made.candidate, values={**made.candidate.values, **level})
            found.append(dataclasses.replace(made, candidate=candidate))
    return found


@pytest.mark.parametrize(
    ("by", "levels"),
    [
        ("part", MANY),
        ("part", [*MANY[:2], {k: v for k, v in MANY[2].items() if k != NAMES[-1]}]),
        ("part", [{"part.x": i // 2, "part.y": f"{LONG}{i % 2}"} for i in range(3)]),
        ("part.x", [{"part.x": f"{LONG}; b"}, {"part.x": f"{LONG}; c"}]),
        ("part.x", [{"part.x": 0.123456781}, {"part.x": 0.123456789}]),
        ("part.x", [{"part.x": "1"}, {"part.x": 1}]),
        ("part.x", [{"part.x": ""}, {"part.x": "b"}]),
        ("part", [{"part.a.x": 1, "part.z": 1}, {"part.a.x": 2, "part.z": 1}, {"part.b.x": 1, "part.z": 1},
                  {"part.b.x": 2, "part.z": 2}]),
    ],
    ids=["many fields", "one lacking", "one long of two", "long", "digits", "types", "empty", "other fields"],
)  # fmt: skip
def test_levels_are_told_apart_by_their_values(by: str, levels: list[Values]) -> None:
    found = factor(grid(levels), by, "", ACCURACY)
    sides = {side.name: [a.label for a in side.members] for pair in found.sides for side in pair}
    assert sorted(sides.values()) == [[str(i)] * 2 for i in range(len(levels))] and all(sides)
    assert found.matched and len(found.candidates) == len(found.contrasts) == len(found.sides)
    assert all(counts == (2, 2) for counts in found.candidates.values())


@pytest.mark.parametrize("values", [(f"{LONG}; b", f"{LONG}; c"), (0.123456781, 0.123456789), ("", "b"), (1, "1")])
def test_places_within_are_told_apart_by_their_values(values: tuple[Any, Any]) -> None:
    every = grid(({"part.x": values[0]}, {"part.x": values[1]}))
    found = factor(every, "model", "part.x", ACCURACY)
    assert len(found.sides) == 1 and len({c.within for c in found.contrasts}) == len(found.contrasts) == 3
    assert sorted(found.candidates.values()) == [(1, 1), (1, 1), (2, 2)]


def test_a_field_has_one_short_name_in_all_candidates_and_trials() -> None:
    varied = ["model.kind", "a.x", "b.x"]
    assert name_of({"model.kind": "time", "a.x": 1}, varied) == "time a.x=1"
    assert name_of({"model.kind": "time", "b.x": 1}, varied) == "time b.x=1"
    levels = [{f"part.{part}.x": x} for part in "ab" for x in (1, 2)]
    sides = factor(grid(levels), "part", "", ACCURACY).sides
    assert {side.name for pair in sides for side in pair} == {"a.x=1", "a.x=2", "b.x=1", "b.x=2"}


def test_values_with_one_text_have_their_own_place_on_an_axis() -> None:
    configs = [{"x": f"{LONG}; {end}"} for end in "abc"] + [{"y": 0.123456781 + i * 1e-9} for i in range(3)]
    axis = parallel_plot(configs, ["x", "y"], np.linspace(0.2, 0.8, 6).tolist(), "f1_micro").axes[0]
    for column in (0, 1):
        heights = {float(line.get_ydata()[column]) for line in axis.lines if len(line.get_ydata()) == 3}
        assert len(heights) == 4, "three values, and none"
