"""Metrics are values: direction and range come from one place, and whoever ranks, plots or compares takes them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest

from tests.builders import tiny_config
from tests.unit.comparison_runs import answers, side, tracks
from tests.unit.test_task_contract import EXAMPLES, TRACKS, Example
from tonearm.comparison.classes import changes_by_class
from tonearm.comparison.contrast import Side, compare_sides
from tonearm.comparison.measure import ComparisonMetric
from tonearm.comparison.predictions import Predictions
from tonearm.core.errors import ConfigError, TrainingError, UnknownNameError
from tonearm.core.plugins import modules_of
from tonearm.core.registry import Registry
from tonearm.core.types import FloatArray
from tonearm.statistics.differences import Difference
from tonearm.tasks import Embedding, Metric, MultiLabel, SingleLabel, Task, metrics
from tonearm.tasks.metrics import METRICS, find_metric


def brier(predictions: FloatArray, target: np.ndarray) -> float:
    """Mean squared distance of the probabilities from the truth."""
    return float(np.square(predictions - np.eye(predictions.shape[1])[target]).sum(axis=1).mean())


BRIER = Metric("brier", "Brier score", maximise=False, high=2.0)


@pytest.fixture
def with_brier(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One function and one line: what a user writes. Undone afterwards, since other tests share the registry."""
    monkeypatch.setattr(METRICS, "_items", dict(METRICS._items))
    monkeypatch.setattr(SingleLabel, "added", SingleLabel.added)
    monkeypatch.setattr(SingleLabel, "added_by", SingleLabel.added_by)
    SingleLabel.add_metric(BRIER, brier)
    yield


@pytest.fixture(params=sorted(EXAMPLES))
def example(request: pytest.FixtureRequest) -> Example:
    return EXAMPLES[request.param]


# --- the registry


def test_every_metric_that_a_task_reports_is_registered_and_keeps_to_its_range(example: Example) -> None:
    task, windows = example.task, list(example.logits(3))
    for predictions in (task.pool(example.logits(3)), example.perfect(example.target)):
        found = task.metrics(predictions, example.target, example.truth.groups)
        found |= task.window_metrics(windows, example.target) if task.kind == "regression" else {}
        for name, value in found.items():
            assert find_metric(name).contains(value), name


def test_a_name_is_found_whatever_it_is_of() -> None:
    for name in (
        "f1_macro",
        "validation_f1_macro",
        "test_trivial_f1_macro",
        "best_f1_macro",
        "heldout/test_single_f1_macro",
    ):
        assert find_metric(name) == METRICS["f1_macro"]
    assert find_metric("test_window_mae").label == "MAE" and not find_metric("test_window_mae").maximise
    assert (find_metric("validation_top_3").name, find_metric("top_3").label) == ("top_3", "top 3")
    assert find_metric("recall_at_10").label == "recall at 10" and find_metric("f1_micro").label == "F1 micro"


def test_an_unknown_metric_is_an_error_that_says_how_to_add_it() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown metric 'f1_mirco'. Did you mean 'f1_micro'.*add_metric"):
        find_metric("validation_f1_mirco")
    with pytest.raises(UnknownNameError, match="unknown metric 'brier'"):
        ComparisonMetric.of(SingleLabel(), "brier")


def test_metrics_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"reaches from 1.0 to 0.0: low must be below high"):
        Metric("a", "A", low=1.0, high=0.0)
    with pytest.raises(ConfigError, match="cannot be called 'test_a'"):
        Metric("test_a", "A")
    with pytest.raises(ConfigError, match="'f1_micro' is registered twice"):
        SingleLabel.add_metric(Metric("f1_micro", "F1", maximise=False), brier)
    assert "f1_micro" not in SingleLabel.added


def test_an_axis_shows_the_range() -> None:
    assert METRICS["f1_micro"].axis([0.2, 0.4]) == (0.0, 1.0) and METRICS["mae"].axis([2.0, 9.0]) == (0.0, None)
    assert METRICS["mean_cosine"].axis([-0.2, 0.4]) == (None, 1.0) and METRICS["r2"].axis([-7.0]) == (None, 1.0)
    assert METRICS["hamming_loss"].axis([0.01]) == (0.0, None)


# --- a metric of one's own


def test_one_function_and_one_line_make_a_metric(with_brier: None) -> None:
    task = SingleLabel(primary="brier")
    example = EXAMPLES["single_label"]
    predictions = task.pool(example.logits(2))
    found = task.metrics(predictions, example.target)
    assert found["brier"] == pytest.approx(brier(predictions, example.target)) and not task.maximise
    assert task.headline == ("brier", "f1_micro", "f1_macro") and "brier" in SingleLabel().choices
    assert task.better({**found, "brier": 0.1}, found) and not task.better({**found, "brier": 1.9}, found)
    assert "brier" not in MultiLabel().choices


def test_a_metric_of_ones_own_decides_a_comparison_in_its_direction_and_range(with_brier: None) -> None:
    of = tracks(40, 3)
    good, bad = side(of, of.right(0.9, 1)), side(of, of.right(0.5, 2), label="B")
    found = compare_sides(bad, good, ComparisonMetric.of(SingleLabel(), "brier"))
    assert found.difference.value > 0 > found.gain and found.significant
    assert found.verdict().startswith("A is better than B: brier -")
    few = tracks(2, 3)
    seeds = [few.right(share, i) for i, share in enumerate((0.0, 1.0))]
    wide = compare_sides(
        side(few, *seeds), side(few, *seeds[::-1], label="B"), ComparisonMetric.of(SingleLabel(), "brier")
    )
    assert (wide.difference.low, wide.difference.high) == (-2.0, 2.0)


def test_the_module_of_ones_own_metric_is_needed_where_it_decides(with_brier: None) -> None:
    config = tiny_config().replace({"task.primary": "brier"})
    assert modules_of(config) == modules_of(tiny_config(), SingleLabel.added_by) == [__name__]
    assert modules_of(tiny_config()) == [] and modules_of(tiny_config(), MultiLabel.added_by) == []


def test_the_module_that_adds_a_metric_is_needed_wherever_its_function_is_from(with_brier: None) -> None:
    place = {"__name__": "mine.metrics", "SingleLabel": SingleLabel, "metric": Metric("own", "own"), "f": np.mean}
    exec("SingleLabel.add_metric(metric, f)", place)
    assert modules_of(tiny_config().replace({"task.primary": "own"})) == ["mine.metrics"]
    with pytest.raises(ConfigError, match="SingleLabel reports 'own' already: give"):
        SingleLabel.add_metric(Metric("own", "own"), brier)


def test_a_metric_that_a_task_reports_itself_cannot_be_replaced() -> None:
    for name in ("f1_micro", "f1_macro", SingleLabel.tie_breaker):
        with pytest.raises(ConfigError, match=f"SingleLabel reports '{name}' already: give your metric another name"):
            SingleLabel.add_metric(METRICS[name], brier)
    assert not SingleLabel.added


def test_a_task_narrows_the_range_of_its_values() -> None:
    assert MultiLabel().metric("mse").difference_range == (-1.0, 1.0)
    assert MultiLabel().metric("validation_mse").high == 1.0 and MultiLabel().metric("log_loss").high == math.inf
    assert ComparisonMetric.of(MultiLabel()).metric.difference_range == (-1.0, 1.0)
    assert find_metric("mse").high == math.inf


def test_a_value_outside_of_its_range_is_an_error(with_brier: None) -> None:
    SingleLabel.add_metric(BRIER, lambda predictions, target: 2.5)
    with pytest.raises(TrainingError, match=r"'brier' is 2.5 of 24 tracks, its range is 0.0 to 2.0: mend its function"):
        SingleLabel().metrics(EXAMPLES["single_label"].perfect(EXAMPLES["single_label"].target), np.arange(TRACKS) % 7)


# --- intervals keep to the range


def test_an_interval_is_clipped_to_the_range_of_its_metric() -> None:
    wide = Difference(0.2, -3.5, 3.0, 0.6, 2, 1.0, 1.0)
    kept = wide.clipped(*METRICS["f1_micro"].difference_range)
    assert (kept.low, kept.value, kept.high) == (-1.0, 0.2, 1.0) and dataclasses.replace(
        kept, low=-3.5, high=3.0
    ) == wide
    assert wide.clipped(*METRICS["mae"].difference_range) == wide


def test_no_difference_reaches_beyond_what_two_systems_can_have() -> None:
    """Three artists and two seeds: Student's t reached from -3.5 to 3 in recall."""
    of = tracks(3, 4)
    rng = np.random.default_rng(1)
    one, two = ([rng.uniform(size=12) < s for s in (0.2, 0.9)] for _ in range(2))
    found = compare_sides(side(of, *one), side(of, *two, label="B"), ComparisonMetric.of(SingleLabel()))
    every = [found.difference, *found.others.values()]
    every += [c.difference for c in changes_by_class(side(of, *one), side(of, *two, label="B")) if c.difference]
    assert len(every) > 2 and all(-1 <= d.low <= d.value <= d.high <= 1 for d in every)
    assert any(d.low == -1 or d.high == 1 for d in every)


# --- macro F1 and mean average precision decide


def unbalanced(artists: int, seed: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Classes of 70, 20 and 10 %, three tracks an artist."""
    rng = np.random.default_rng(seed)
    return rng.choice(3, size=3 * artists, p=(0.7, 0.2, 0.1)), tuple(f"artist:{i // 3}" for i in range(3 * artists))


def predicted(
    task: Task, target: np.ndarray, groups: tuple[str, ...], noise: float, seed: int, label: str
) -> Predictions:
    """Noisy predictions, an artist's tracks with a noise in common."""
    rng = np.random.default_rng(seed)
    truth = np.eye(3, dtype=np.float32)[target]
    shared = np.repeat(rng.normal(0, noise, (len(target) // 3, 3)), 3, axis=0)
    logits = truth * 2 + shared + rng.normal(0, noise, truth.shape)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    base = answers(tracks(len(target) // 3, 3), [np.ones(len(target), dtype=bool)], label)
    run = (p.astype(np.float32), truth if isinstance(task, MultiLabel) else target)
    return dataclasses.replace(base, task=task, groups=groups, seeds=(run,), _seen={})


DECIDERS = [SingleLabel(primary="f1_macro"), MultiLabel(primary="mean_average_precision")]


@pytest.mark.parametrize("task", DECIDERS, ids=lambda t: t.primary)
def test_a_metric_that_is_no_mean_over_tracks_may_decide(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tonearm.comparison.contrast.RESAMPLES", (100, 100))
    target, groups = unbalanced(60, 0)
    good, bad = (Side(n, (predicted(task, target, groups, noise, i, n),)) for i, (n, noise) in
                 enumerate((("A", 0.7), ("B", 2.5))))  # fmt: skip
    measure = ComparisonMetric.of(task)
    found = compare_sides(bad, good, measure)
    assert not measure.by_track and measure.maximise and found.gain < 0 and found.significant
    assert found.verdict().startswith(f"A is better than B: {task.primary} +") and found.discordant is None
    assert -1 <= found.difference.low < found.difference.high <= 1
    assert math.isclose(found.difference.value, bad.metric(np.arange(180), task.primary, (task.primary,))
                        - good.metric(np.arange(180), task.primary, (task.primary,)))  # fmt: skip
    assert set(found.others) == set(task.default_headline) - {task.primary}


@pytest.mark.parametrize("task", DECIDERS, ids=lambda t: t.primary)
def test_equal_systems_are_rarely_found_different_by_it(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40 pairs of equal systems, each on tracks of its own, about two; that eight are would happen once in 3000."""
    monkeypatch.setattr("tonearm.comparison.contrast.RESAMPLES", (60, 60))
    false, outside = 0, 0
    for i in range(40):
        target, groups = unbalanced(25, 100 + i)
        one, two = (Side(n, (predicted(task, target, groups, 1.5, 1000 * i + k, n),)) for k, n in enumerate("AB"))
        found = compare_sides(one, two, ComparisonMetric.of(task), others=False)
        false += found.p < 0.05
        outside += not found.difference.low <= 0 <= found.difference.high
    assert false < 8 and outside < 8


def test_registry_keeps_metrics_only() -> None:
    assert isinstance(METRICS, Registry) and all(METRICS[n].name == n for n in METRICS)
    assert metrics.find_metric("log_loss").high == math.inf and Embedding(target="x").maximise
