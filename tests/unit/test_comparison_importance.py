"""Which field explains the scores, where it is known; and what the plots show."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from tonearm.comparison.candidates import name_of, varied_fields
from tonearm.comparison.compare import candidate_label
from tonearm.comparison.contrast import ClassChange
from tonearm.comparison.curves import (
    cost_plot,
    curves_plot,
    overlapping_labels,
    parallel_plot,
    pareto_front,
    reliability_plot,
)
from tonearm.comparison.importance import Importances, importances
from tonearm.comparison.plots import agreement_plot, classes_plot, scores_plot
from tonearm.comparison.rows import CandidateRow
from tonearm.statistics.calibration import reliability
from tonearm.sweeps.trial_names import short_names


def drawn(count: int = 24) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [{"model.kind": ("time", "simple")[i % 2], "optim.lr": float(10 ** rng.uniform(-4, -2)),
             "optim.batch_size": int(rng.choice([8, 16]))} for i in range(count)]  # fmt: skip


def shown(figure: Figure, path: Path) -> None:
    figure.savefig(path / "plot.png")
    assert (path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def told(configs: list[dict[str, Any]], scores: list[float]) -> Importances:
    found = importances(configs, varied_fields(configs), scores)
    assert isinstance(found, Importances), found
    return found


def test_the_field_that_makes_the_difference_is_first() -> None:
    configs, rng = drawn(), np.random.default_rng(1)
    scores = [0.6 + 0.2 * (c["model.kind"] == "time") + rng.normal(0, 0.01) for c in configs]
    found = told(configs, scores)
    first, *others = found.fields
    assert first.name == "model" and first.loss > 0.8 and found.explained > 0.9
    assert all(abs(f.loss) < 0.05 and f.deviation >= 0 for f in others)
    assert told(configs, scores) == found


def test_a_numeric_field_may_matter() -> None:
    configs = drawn()
    found = told(configs, [abs(math.log10(c["optim.lr"]) + 3) for c in configs])
    assert found.fields[0].name == "lr" and found.fields[0].loss > 0.8


def test_fields_that_matter_together_are_found() -> None:
    """Exclusive or: neither has a main effect, both decide."""
    rng = np.random.default_rng(0)
    configs = [{"optim.a": bool(rng.integers(2)), "optim.b": bool(rng.integers(2)), "optim.c": float(rng.uniform())}
               for _ in range(40)]  # fmt: skip
    found = {f.name: f.loss for f in told(configs, [float(c["optim.a"] != c["optim.b"]) for c in configs]).fields}
    assert min(found["a"], found["b"]) > 0.5 and abs(found["c"]) < 0.2


@pytest.mark.parametrize("seed", range(3))
def test_of_noise_nothing_is_told(seed: int) -> None:
    configs, rng = drawn(), np.random.default_rng(seed)
    found = importances(configs, varied_fields(configs), rng.normal(size=len(configs)).tolist())
    assert isinstance(found, str) and "settings explain none of the differences" in found and "R² of scores" in found


def test_a_number_that_one_model_lacks_is_a_number_still() -> None:
    configs, rng = drawn(), np.random.default_rng(3)
    for c in configs:
        if c["model.kind"] == "time":
            c["model.dropout"] = float(rng.uniform())
    scores = [c.get("model.dropout", 0.5) for c in configs]
    found = told(configs, scores)
    assert found.fields[0].name == "dropout" and found.fields[0].loss > 0.5


def test_little_to_go_by_is_said() -> None:
    configs = drawn(7)
    assert "7 configurations with a score are too few" in importances(configs, ["optim.lr"], [0.1] * 7)
    assert "7 configurations" in importances(drawn(9), ["optim.lr"], [0.1] * 7 + [math.nan] * 2)
    assert "same score" in importances(drawn(9), ["optim.lr"], [0.1] * 9)
    assert importances(drawn(9), [], list(np.arange(9.0))) == "no field varies"


# --- names


def test_names_tell_only_what_distinguishes() -> None:
    configs = [
        {"model.kind": "time", "model.divisors": "4-96", "optim.lr": 0.001, "seed": 0, "clip.seconds": 30.0},
        {"model.kind": "time", "model.divisors": "2-48", "optim.lr": 0.002, "seed": 1, "clip.seconds": 30.0},
        {"model.kind": "simple", "model.width": 4, "optim.lr": 0.001, "seed": 0, "clip.seconds": 30.0},
    ]
    varied = varied_fields(configs)
    assert varied == ["model.kind", "model.divisors", "optim.lr"]
    assert name_of(configs[1], varied) == "time divisors=2-48 lr=0.002"
    assert name_of(configs[2], varied) == "simple lr=0.001"
    assert varied_fields(configs[::2]) == ["model.kind"]


def test_short_names_stay_unique() -> None:
    assert short_names(["model.kind", "optim.lr"]) == {"model.kind": "model", "optim.lr": "lr"}
    assert short_names(["a.kind", "b.a", "b.lr", "c.lr"]) == {
        "a.kind": "a", "b.a": "b.a", "b.lr": "b.lr", "c.lr": "c.lr"}  # fmt: skip


def test_letters_do_not_run_out() -> None:
    assert [candidate_label(i) for i in (0, 25, 26, 52)] == ["A", "Z", "A1", "A2"]


# --- plots


def row(label: str, score: float, seconds: float = 10.0, parameters: int | None = 1000) -> CandidateRow:
    scores = {"f1_micro": (score, 0.01, None)}
    return CandidateRow(label, f"model {label}", "", 2, 1, score, 0.01, scores, 30, parameters, seconds, None)


def test_the_front_joins_what_nothing_cheaper_beats() -> None:
    cost = {"A": 1.0, "B": 2.0, "C": 3.0, "D": 1.0}
    assert pareto_front(cost, {"A": 0.5, "B": 0.4, "C": 0.9, "D": 0.6}, True) == ["D", "C"]
    assert pareto_front(cost, {"A": 0.5, "B": 0.4, "C": 0.9, "D": 0.6}, False) == ["A", "B"]


def test_labels_of_near_points_are_written_together(tmp_path: Path) -> None:
    cost, score = {"A": 10.0, "B": 10.0, "C": 90.0}, {"A": 0.5, "B": 0.501, "C": 0.9}
    assert overlapping_labels(cost, score) == [["A", "B"], ["C"]]
    figure = cost_plot([row("A", 0.5), row("B", 0.501), row("C", 0.9, 90.0, 5000)], "f1_micro")
    assert figure is not None and [t.get_text() for t in figure.axes[0].texts] == ["A, B", "C"]
    assert figure.axes[0].get_xlabel() == "seconds of training, a run"
    shown(figure, tmp_path)
    assert cost_plot([row("A", 0.5, math.nan, None), row("B", 0.5)], "f1_micro") is None


def test_scores_have_their_names_and_seeds(tmp_path: Path) -> None:
    figure = scores_plot([row("A", 0.8), row("B", 0.6)], "f1_micro", [[0.79, 0.81], [0.6, 0.6]], 0.25)
    (axis,) = figure.axes
    assert [t.get_text() for t in axis.get_yticklabels()] == ["A  model A", "B  model B"]
    assert any(list(line.get_xdata()) == [0.79, 0.81] for line in axis.lines)
    shown(figure, tmp_path)


def test_of_many_classes_those_of_the_largest_change_are_drawn(tmp_path: Path) -> None:
    changes = [ClassChange(f"class {i}", 5, (50 - i) / 100, None, 1.0, 1.0) for i in range(100)]
    figure = classes_plot(changes, ("A", "B"), "f1_micro")
    ticks = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert len(ticks) == 24 and ticks[0] == "class 0 (5)" and ticks[-1] == "class 99 (5)"
    shown(figure, tmp_path)


def test_curves_calibration_and_agreement_are_drawn(tmp_path: Path) -> None:
    curves = curves_plot({"A": [[(1, 0.1), (2, 0.3)], [(1, 0.2), (2, 0.4)]], "B": [[(1, 0.1), (2, 0.2)]]}, "f1_micro")
    assert len(curves.axes[0].lines) == 3
    legend = curves.axes[0].get_legend()
    assert legend is not None and [t.get_text() for t in legend.get_texts()] == ["A", "B"]
    shown(curves, tmp_path)
    diagram = reliability(np.array([0.9, 0.8, 0.6, 0.3]), np.array([1, 1, 0, 0]))
    panels = reliability_plot(dict.fromkeys("ABCD", diagram))
    assert sum(axis.get_visible() for axis in panels.axes) == 4
    assert panels.axes[0].get_title() == f"A: ECE {diagram.error:.3f}"
    many = reliability(np.array([*[0.25] * 9, *[0.35] * 7, 0.65]), np.array([*[1] * 3, *[0] * 13, 1]))
    _, line, few = reliability_plot({"A": many}).axes[0].lines
    assert len(line.get_xdata()) == 2 and len(few.get_xdata()) == 1  # type: ignore[arg-type]
    assert few.get_markerfacecolor() == "white" and few.get_linestyle() == "None", "a single statement proves nothing"
    shown(panels, tmp_path)
    matrix = np.array([[1, 0.8, 0.7], [0.8, 1, 0.6], [0.7, 0.6, 1]])
    figure = agreement_plot(["A", "B", "C"], matrix, matrix - 0.1)
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["0.50", "0.60", "0.60", "0.70", "0.70", "0.80"]
    shown(figure, tmp_path)


def test_parallel_coordinates_draw_each_configuration(tmp_path: Path) -> None:
    configs = [{**c, "augment.extra": None if i % 2 else "x"} for i, c in enumerate(drawn(12))]
    figure = parallel_plot(configs, varied_fields(configs), [*np.linspace(0.4, 0.8, 11), math.nan], "f1_micro")
    (axis,) = figure.axes
    assert [t.get_text() for t in axis.get_xticklabels()] == ["model", "lr", "batch_size", "extra",
                                                               "validation\nf1_micro"]  # fmt: skip
    lines = [line for line in axis.lines if len(line.get_xdata()) == 5]  # type: ignore[arg-type]
    assert len(lines) == 11 and all(0 <= y <= 1 for line in lines for y in line.get_ydata())  # type: ignore[union-attr]
    three = parallel_plot(configs[:3], ["model.kind"], [0.517241, 0.103448, 0.137931], "f1_micro").axes[0]
    heights = [line.get_ydata()[1] for line in three.lines if len(line.get_ydata()) == 2][:3]  # type: ignore[arg-type,index]
    assert sorted(heights) == pytest.approx([0, 0.08333, 1], abs=1e-3), "scores lie where they are, however few"
    assert {t.get_text() for t in three.texts} >= {"0.517", "0.103"}
    shown(figure, tmp_path)
