"""Plots show every epoch, class and track."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tonearm.core.types import FloatArray
from tonearm.tasks import Embedding, MultiLabel, Playlists, Regression, SingleLabel, Tabular
from tonearm.tasks.plots import bar_plot, confusion_plot
from tonearm.training.plots import learning_curves


def epoch(number: int, primary: str, value: float, loss: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"epoch": number, "train_loss": loss, f"validation_{primary}": value, "improved": number <= 2, **more}


def shown(figure: Any, path: Path) -> None:
    figure.savefig(path)
    assert path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size > 1000


def test_curves_show_every_epoch_and_the_one_that_was_kept(tmp_path: Path) -> None:
    history = [epoch(i, "f1_micro", 0.3 + 0.1 * i, validation_log_loss=1.2) for i in (1, 2, 3)]
    figure = learning_curves(history, "f1_micro", "a trial")
    left, right = figure.axes
    assert [line.get_label() for line in left.lines] == ["training loss", "validation log loss"]
    assert all(len(line.get_xdata()) == 3 for line in left.lines)
    assert right.lines[0].get_ydata() == pytest.approx([0.4, 0.5, 0.6]) and right.lines[1].get_xdata() == [2, 2]
    assert right.get_ylim() == (0, 1) and left.get_ylim()[0] == 0 and left.get_ylabel() == "loss"
    shown(figure, tmp_path / "curves.png")


def test_curves_of_any_task_have_room() -> None:
    errors = learning_curves([epoch(i, "mae", v) for i, v in ((1, 30.0), (2, 12.0))], "mae", "")
    assert errors.axes[1].get_ylim()[0] == 0 and errors.axes[1].get_ylim()[1] > 30
    assert [line.get_label() for line in errors.axes[0].lines] == ["training loss"]
    slow = learning_curves([epoch(1, "mae", 30.0, loss=2.09), epoch(2, "mae", 29.0, loss=2.08)], "mae", "")
    assert slow.axes[0].get_ylim()[1] > 2.15, "the first point is cut off"
    small = learning_curves([epoch(1, "mse", 0.014), epoch(2, "mse", 0.013)], "mse", "")
    assert small.axes[1].get_ylim()[1] < 0.02
    cosines = [epoch(1, "mean_cosine", -0.2, loss=-0.1), epoch(2, "mean_cosine", 0.3, loss=-0.4)]
    figure = learning_curves(cosines, "mean_cosine", "")
    assert figure.axes[0].get_ylim()[0] < -0.4 and figure.axes[1].get_ylim()[0] < -0.2


def test_a_new_round_is_marked() -> None:
    history = [epoch(i, "f1_micro", 0.5, round=float(i > 2)) for i in (1, 2, 3)]
    without = learning_curves([{k: v for k, v in h.items() if k != "round"} for h in history], "f1_micro", "")
    marked = learning_curves(history, "f1_micro", "")
    assert len(marked.axes[0].lines) == len(without.axes[0].lines) + 1
    assert marked.axes[0].lines[-1].get_xdata() == [2.5, 2.5]


def test_a_confusion_matrix_writes_its_counts(tmp_path: Path) -> None:
    figure = confusion_plot(np.array([[3, 1], [0, 0]]), ["a", "b"], "confusion")
    assert [t.get_text() for t in figure.axes[0].texts] == ["3", "1"]
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["a", "b"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a (4)", "b (0)"]
    shown(figure, tmp_path / "confusion.png")


def test_bars_have_the_largest_on_top(tmp_path: Path) -> None:
    figure = bar_plot({"a": 0.2, "b": 0.9, "c": 0.5}, "F1", "by class")
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "c", "b"]
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.2, 0.5, 0.9]
    assert bar_plot({str(i): 0.5 for i in range(250)}, "F1", "").get_figheight() == 40
    shown(figure, tmp_path / "bars.png")


def rows(tracks: int, outputs: int) -> FloatArray:
    return np.random.default_rng(0).uniform(0, 1, (tracks, outputs)).astype(np.float32)


def test_many_classes_are_shown_as_bars() -> None:
    names = [f"class {i:02d}" for i in range(41)]
    few = SingleLabel().figures(rows(60, 40), np.arange(60) % 40, names[:40], "few")
    many = SingleLabel().figures(rows(60, 41), np.arange(60) % 41, names, "many")
    assert set(few) == {"confusion"} and set(many) == {"f1_by_class"}
    assert len(many["f1_by_class"].axes[0].patches) == 41


def test_each_task_draws_its_own_figures(tmp_path: Path) -> None:
    several = (rows(9, 4) < 0.5).astype(np.float32)
    several[:, 0] = 1
    for task in (MultiLabel(), Playlists(), Tabular()):
        (figure,) = task.figures(rows(9, 4), several, "abcd", "title").values()
        assert len(figure.axes[0].patches) == 4 and figure.axes[0].get_title() == "title"
    scatter = Regression(target="a,b").figures(rows(9, 2), rows(9, 2) + 0.1, ("a", "b"), "title")["scatter"]
    assert len(scatter.axes) == 2 and len(scatter.axes[1].lines[1].get_xdata()) == 9
    shown(scatter, tmp_path / "scatter.png")
    cosine = Embedding(target="x").figures(rows(9, 3), rows(9, 3), ("x[0]", "x[1]", "x[2]"), "title")["cosine"]
    assert sum(bar.get_height() for bar in cosine.axes[0].patches) == 9
