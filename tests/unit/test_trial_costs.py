"""Scores against cost: what nothing cheaper beats is joined, what is registered is marked."""

from __future__ import annotations

import numpy as np
import pytest

from tonearm.tasks import Regression, SingleLabel
from tonearm.tasks.metrics import find_metric
from tonearm.tasks.temperature import apply_temperature, calibration_error
from tonearm.workflows.trial_costs import cost_figure

POINTS = {"00": (10.0, 0.7), "01": (20.0, 0.6), "02": (30.0, 0.8), "ensemble": (60.0, 0.9)}


@pytest.mark.parametrize("metric, front", [("f1_micro", [10.0, 30.0, 60.0]), ("mae", [10.0, 20.0])])
def test_the_line_joins_what_nothing_cheaper_beats(metric: str, front: list[float]) -> None:
    (axis,) = cost_figure(POINTS, "02", find_metric(metric), most_milliseconds=50.0).axes
    line, *points, limit = axis.lines
    assert list(np.asarray(line.get_xdata())) == front
    assert {p.get_marker() for p in points if list(np.asarray(p.get_xdata())) == [30.0]} == {"*"}
    assert len(points) == len(POINTS) and list(np.asarray(limit.get_xdata())) == [50.0, 50.0]
    assert {t.get_text() for t in axis.texts} == {*POINTS, "limit"}


def test_a_single_point_is_drawn_without_a_limit() -> None:
    (axis,) = cost_figure({"00": (10.0, 0.7)}, "00", find_metric("f1_micro")).axes
    assert len(axis.lines) == 2


def test_calibration_error_is_the_gap_between_what_is_stated_and_what_is_right() -> None:
    task, target = SingleLabel(), np.array([0, 0, 0, 1])
    stated = np.tile(np.array([0.75, 0.25], dtype=np.float32), (4, 1))
    assert calibration_error(task, stated, target) == pytest.approx(0.0, abs=1e-6)
    sure = apply_temperature(task, stated, 0.5)  # 0.9 for what is right in 3 of 4
    assert calibration_error(task, sure, target) == pytest.approx(0.15, abs=1e-6)
    values = np.zeros((4, 1), dtype=np.float32)
    assert calibration_error(Regression(target="tempo"), values, values) is None
