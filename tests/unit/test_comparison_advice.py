"""What a report advises, and how much of it is printed."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from tonearm.comparison.contrast import PairedComparison, format_with_interval
from tonearm.comparison.measure import ComparisonMetric
from tonearm.comparison.report import _advice
from tonearm.statistics.differences import Difference
from tonearm.tasks import SingleLabel
from tonearm.workflows.compare import _verdicts

MEASURE = ComparisonMetric.of(SingleLabel())


def pair(first: str, second: str, gain: float, adjusted: float) -> PairedComparison:
    found = Difference(gain, gain - 0.1, gain + 0.1, adjusted, 20, 0.05, 19)
    return PairedComparison(first, second, MEASURE, found, adjusted, adjusted, 100, "40 artists")


def comparison(scores: dict[str, float], pairs: list[PairedComparison], split: str = "test") -> Any:
    rows = [SimpleNamespace(label=k, scores={"f1_micro": (v, 0.0, None)}) for k, v in scores.items()]
    return SimpleNamespace(predictions=[SimpleNamespace(label="A")], measure=MEASURE, pairs=pairs, compared_rows=rows,
                           options=SimpleNamespace(split=split))  # fmt: skip


def test_the_one_chosen_on_validation_is_advised_unless_another_is_shown_to_be_better() -> None:
    unsure = [pair("A", "B", -0.06, 0.5), pair("A", "C", -0.06, 0.5)]
    scores = {"A": 0.75, "B": 0.81, "C": 0.81}
    (advice,) = _advice(comparison(scores, unsure))
    assert advice.startswith("B, C have the better figure on test, but no difference is shown: use A")
    assert _advice(comparison({**scores, "A": 0.9}, unsure)) == []
    assert _advice(comparison(scores, [pair("A", "B", -0.2, 0.001)])) == []
    assert _advice(comparison(scores, unsure, split="validation")) == []


def test_of_many_pairs_those_that_differ_are_printed() -> None:
    pairs = [pair("A", label, -0.01, 0.9) for label in "BCDEF"]
    assert _verdicts(pairs) == ["No difference shown between the 5 pairs: the report has them"]
    differs = dataclasses.replace(pairs[0], adjusted=0.001)
    first, rest = _verdicts([differs, *pairs[1:]])
    assert first.startswith("B is better than A") and rest.startswith("No difference shown between the other 4 pairs")
    assert len(_verdicts(pairs[:3])) == 3


@pytest.mark.parametrize(("value", "wanted"), [(-1e-9, "0.000 [-0.100, +0.100]"), (0.0, "0.000 [-0.100, +0.100]")])
def test_nothing_has_no_sign(value: float, wanted: str) -> None:
    assert format_with_interval(Difference(value, -0.1, 0.1, 1.0, 9)) == wanted
