"""Members answer together by more than a weighted mean: the formulas, what is fitted, and where each is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.test_task_contract import EXAMPLES
from tonearm.core.types import FloatArray
from tonearm.ensembles.combination import KINDS, Combination, fit_combination, kinds_for
from tonearm.tasks import Embedding, MultiLabel, Playlists, Regression, SingleLabel, Tabular, Task
from tonearm.tasks.pooling import softmax

ONE = SingleLabel()
A, B = np.float32([0.7, 0.2, 0.1]), np.float32([0.1, 0.6, 0.3])


def member(rng: np.random.Generator, target: np.ndarray, signal: float, sharpness: float = 1.0) -> FloatArray:
    logits = rng.normal(0, 1, (len(target), 3))
    logits[np.arange(len(target)), target] += signal
    return softmax((sharpness * logits).astype(np.float32))


def log_loss(predictions: FloatArray, target: np.ndarray) -> float:
    return ONE.metrics(predictions, target)["log_loss"]


def test_the_geometric_mean_is_that_of_probabilities_made_to_sum_to_1() -> None:
    expected = (A.astype(np.float64) ** 2 * B) ** (1 / 3)
    found = Combination("geometric").combine(ONE, [A, B], [2, 1])
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-6)
    odds = (0.9 / 0.1 * 0.5 / 0.5) ** 0.5
    labels = Combination("geometric").combine(MultiLabel(), [np.float32([0.9]), np.float32([0.5])], [1, 1])
    np.testing.assert_allclose(labels, odds / (1 + odds), atol=1e-6)


def test_the_mean_of_ranks_knows_only_who_is_before_whom() -> None:
    found = Combination("rank").combine(ONE, [A, B], [3, 1])  # ranks 0 1 2 and 2 0 1: means 0.5, 0.75, 1.75
    expected = 1 / (1 + np.array([0.5, 0.75, 1.75]))
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-6)
    surer = np.float32([0.98, 0.015, 0.005])
    assert np.array_equal(Combination("rank").combine(ONE, [surer, B], [3, 1]), found)
    equal = Combination("rank").combine(ONE, [np.full(3, 1 / 3, np.float32)], [1])
    np.testing.assert_allclose(equal, 1 / 3, atol=1e-6)


def test_stacking_is_a_logistic_regression_on_log_probabilities() -> None:
    found = Combination("stacking", 1.0, (1.5, -0.5), (0.1, 0.0, -0.1)).combine(ONE, [A, B], [1, 1])
    expected = np.exp(1.5 * np.log(A) - 0.5 * np.log(B) + [0.1, 0.0, -0.1])
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_one_track_is_answered_as_many_are(kind: str) -> None:
    rng, target = np.random.default_rng(0), np.arange(40) % 3
    members = [member(rng, target, 1.0), member(rng, target, 0.5, 3.0)]
    fitted = fit_combination(kind, ONE, members, [2, 1], target)
    many = fitted.combine(ONE, members, [2, 1])
    one = fitted.combine(ONE, [m[7] for m in members], [2, 1])
    np.testing.assert_allclose(one, many[7], atol=1e-6)
    np.testing.assert_allclose(many.sum(axis=1), 1, atol=1e-5)
    assert many.dtype == one.dtype == np.float32
    assert Combination.from_dict(fitted.to_dict()) == fitted and not fitted.problems([ONE, ONE], 3)


def test_what_is_combined_is_calibrated_on_what_chose() -> None:
    """The mean of two networks that err apart is less sure than it is right."""
    rng, target = np.random.default_rng(1), np.random.default_rng(2).integers(0, 3, 900)
    members = [member(rng, target, 1.0) for _ in range(4)]
    half, other = slice(0, 450), slice(450, None)
    plain = log_loss(Combination().combine(ONE, [m[other] for m in members], [1] * 4), target[other])
    fitted = fit_combination("mean", ONE, [m[half] for m in members], [1] * 4, target[half])
    assert fitted.temperature < 0.9
    assert log_loss(fitted.combine(ONE, [m[other] for m in members], [1] * 4), target[other]) < plain - 0.02


def test_stacking_finds_what_members_are_worth() -> None:
    """Fitted on some tracks and judged on others: better than any mean where one member knows nothing."""
    rng, target = np.random.default_rng(3), np.random.default_rng(4).integers(0, 3, 600)
    members = [member(rng, target, 2.0), member(rng, target, 0.0, 2.0)]
    seen, fresh = [m[:300] for m in members], [m[300:] for m in members]
    losses = {}
    for kind in KINDS:
        fitted = fit_combination(kind, ONE, seen, [1, 1], target[:300])
        losses[kind] = log_loss(fitted.combine(ONE, fresh, [1, 1]), target[300:])
        if kind == "stacking":
            assert fitted.coefficients[0] > 0.8 and abs(fitted.coefficients[1]) < 0.15
    assert losses["stacking"] < min(v for k, v in losses.items() if k != "stacking") - 0.02


@pytest.mark.parametrize("name", ["single_label", "multi_label", "playlists", "tabular"])
def test_stacking_begins_with_the_geometric_mean_and_leaves_it_with_many_tracks(name: str) -> None:
    example = EXAMPLES[name]
    task, shown = example.task, example.logits(2)
    noise = np.random.default_rng(0).normal(0, 1, (2, *shown.shape)).astype(np.float32)
    members = [task.pool(shown + own) for own in noise]
    fitted = fit_combination("stacking", task, members, [1, 1], example.target)
    assert len(fitted.coefficients) == 2 and len(fitted.intercepts) == members[0].shape[1]

    def away(times: int) -> float:
        again = [np.tile(m[:2], (times, 1)) for m in members]
        few = fit_combination("stacking", task, again, [3, 1], np.concatenate([example.target[:2]] * times))
        return float(np.abs(np.subtract(few.coefficients, (0.75, 0.25))).max())

    assert away(1) < away(20)
    metric, losses = task.tie_breaker, {}
    for by in (fitted, Combination("geometric")):
        mixed = by.combine(task, members, [1, 1])
        losses[by.kind] = task.selected_metrics((metric,), mixed, example.target)[metric]
    assert losses["stacking"] <= losses["geometric"]


@pytest.mark.parametrize(
    "task, kinds",
    [
        (SingleLabel(), KINDS),
        (SingleLabel(pooling="vote"), ("mean",)),
        (Tabular(training="softmax"), KINDS),
        (Playlists(training="softmax"), KINDS),
        (Playlists(training="multi_hot"), ("mean", "geometric", "stacking")),
        (MultiLabel(), ("mean", "geometric", "stacking")),
        (MultiLabel(threshold=0.4), ("mean",)),
        (Regression(target="tempo"), ("mean",)),
        (Embedding(target="artist"), ("mean",)),
    ],
    ids=str,
)
def test_a_combination_is_offered_where_it_means_something(task: Task, kinds: tuple[str, ...]) -> None:
    assert kinds_for([task, task]) == kinds
    for kind in set(KINDS) - set(kinds):
        given = Combination(kind, 1.0, (1.0, 1.0), (0.0,)) if kind == "stacking" else Combination(kind)
        (said,) = given.problems([task, task], 1)
        assert f"are combined by {kind!r}: " in said
    assert kinds_for([task, SingleLabel(pooling="vote")]) == ("mean",)


@pytest.mark.parametrize(
    "combination, said",
    [
        (Combination("median"), "known are mean, geometric, rank, stacking"),
        (Combination("stacking"), "0 coefficients and 0 intercepts: 2 and 3 are needed"),
        (Combination("mean", 1.0, (1.0, 1.0)), "2 coefficients and 0 intercepts: 0 and 0 are needed"),
        (Combination("mean", 0.0), "must be above 0"),
        (Combination("mean", float("nan")), "must be above 0"),
        (Combination("stacking", 1.0, (float("inf"), 1.0), (0.0,) * 3), "must be finite"),
    ],
)
def test_what_cannot_combine_says_why(combination: Combination, said: str) -> None:
    assert said in "; ".join(combination.problems([ONE, ONE], 3))
