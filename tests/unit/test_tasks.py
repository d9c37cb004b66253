"""Single label against scikit-learn, pooling of windows, and scores with their intervals."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from sklearn.utils.class_weight import compute_class_weight

from tonearm.core.types import FloatArray, GroundTruth
from tonearm.core.unit_length import unit_length
from tonearm.statistics.intervals import Interval, bootstrap_interval
from tonearm.tasks import SingleLabel
from tonearm.tasks.pooling import (
    Pooling,
    pool_directions,
    pool_fitness,
    pool_probabilities,
    pool_values,
    softmax,
)
from tonearm.tasks.single_label import confusion_matrix, f1_of_each_class
from tonearm.training.evaluate import score, score_runs, trivial_scores


def predictions(seed: int, tracks: int, classes: int) -> tuple[FloatArray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(classes), tracks).astype(np.float32), rng.integers(0, classes, tracks)


@pytest.mark.parametrize(("tracks", "classes"), [(1, 2), (7, 5), (40, 3), (200, 8), (6, 20)])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_scikit_learn(seed: int, tracks: int, classes: int) -> None:
    probabilities, target = predictions(seed, tracks, classes)
    predicted = probabilities.argmax(axis=1)
    ours = SingleLabel().metrics(probabilities, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that do not occur
        wanted = {
            "f1_micro": sklearn_metrics.f1_score(target, predicted, average="micro"),
            "f1_macro": sklearn_metrics.f1_score(target, predicted, average="macro"),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(target, predicted),
            "log_loss": sklearn_metrics.log_loss(target, probabilities, labels=range(classes)),
        }
        for k in (3, 5):
            if k < classes:
                wanted[f"top_{k}"] = sklearn_metrics.top_k_accuracy_score(
                    target, probabilities, k=k, labels=range(classes)
                )
    assert ours == pytest.approx(wanted, abs=1e-5)


def test_confusion_has_truth_in_rows() -> None:
    target, predicted = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0])
    assert np.array_equal(confusion_matrix(target, predicted, 4), sklearn_metrics.confusion_matrix(
        target, predicted, labels=range(4)))  # fmt: skip
    assert f1_of_each_class(confusion_matrix(target, predicted, 4)) == pytest.approx([0.5, 2 / 3, 2 / 3])


def test_certain_and_wrong_costs_much_but_not_everything() -> None:
    wrong = SingleLabel().metrics(np.array([[1.0, 0.0]], dtype=np.float32), np.array([1]))
    assert wrong["log_loss"] == pytest.approx(-np.log(1e-7)) and wrong["f1_micro"] == 0.0


def test_loss_is_cross_entropy_and_labels_are_indices() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    target = torch.from_numpy(SingleLabel().encode(GroundTruth([("a",), ("c",)]), ["a", "b", "c"]))
    assert target.tolist() == [0, 2]
    wanted = -torch.log_softmax(logits, dim=1)[[0, 1], [0, 2]].mean()
    assert torch.isclose(SingleLabel().loss(logits, target), wanted)


def test_the_first_of_several_labels_is_the_class() -> None:
    assert SingleLabel().encode(GroundTruth([("b", "a"), ("a", "b")]), ["a", "b"]).tolist() == [1, 0]


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    target, task = np.array([0, 0, 0, 0, 2, 2, 3]), SingleLabel(class_weights="balanced")
    weights = task.weights(target, 5)
    assert weights is not None and weights[[1, 4]].tolist() == [1, 1]  # no training track has these classes
    wanted = compute_class_weight("balanced", classes=np.array([0, 2, 3]), y=target)
    np.testing.assert_allclose(weights[[0, 2, 3]], wanted, rtol=1e-6)
    assert SingleLabel().weights(target, 5) is None


def test_weighted_loss_is_the_weighted_mean() -> None:
    logits, target = torch.tensor([[2.0, 0.0], [1.0, 0.5], [0.0, 3.0]]), torch.tensor([0, 1, 1])
    weights = torch.tensor([1.0, 4.0])
    each = -torch.log_softmax(logits, dim=1)[[0, 1, 2], target]
    wanted = (each[0] + 4 * each[1] + 4 * each[2]) / 9
    assert torch.isclose(SingleLabel(class_weights="balanced").loss(logits, target, weights), wanted)


def test_smoothed_labels_are_spread_evenly() -> None:
    logits, target = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([1])
    spread = torch.tensor([0.1, 0.8, 0.1])  # 0.3 of the target over three classes
    wanted = -(spread * torch.log_softmax(logits, dim=1)).sum()
    assert torch.isclose(SingleLabel(label_smoothing=0.3).loss(logits, target), wanted)


def test_top_k_is_reported_only_where_there_are_more_classes() -> None:
    found = {n: set(SingleLabel().metrics(*predictions(0, 9, n))) for n in (3, 4, 5, 6)}
    assert not {"top_3", "top_5"} & found[3]
    assert all("top_3" in found[n] and "top_5" not in found[n] for n in (4, 5))
    assert {"top_3", "top_5"} <= found[6]


def test_figures_of_each_class_equal_scikit_learn() -> None:
    probabilities, target = predictions(1, 50, 4)
    ours = SingleLabel().by_class(probabilities, target, "abcd")
    precision, recall, f1, tracks = sklearn_metrics.precision_recall_fscore_support(
        target, probabilities.argmax(axis=1), labels=range(4), zero_division=0
    )
    for i, name in enumerate("abcd"):
        wanted = {"precision": precision[i], "recall": recall[i], "f1": f1[i], "tracks": tracks[i]}
        assert ours[name] == pytest.approx(wanted)


def test_people_read_names() -> None:
    columns = SingleLabel().readable(np.array([[0.2, 0.8], [0.9, 0.1]], dtype=np.float32), np.array([0, 0]), "ab")
    assert columns == {"label": ["a", "a"], "predicted": ["b", "a"]}
    assert SingleLabel().strata(np.array([1, 0])).tolist() == [1, 0] and SingleLabel().chance(8) == 0.125


def test_better_is_by_the_primary_metric_then_by_the_loss() -> None:
    task, old = SingleLabel(), {"f1_micro": 0.5, "log_loss": 1.0}
    assert task.better(old, None)
    assert task.better({"f1_micro": 0.6, "log_loss": 9.0}, old)
    assert task.better({"f1_micro": 0.5, "log_loss": 0.9}, old)
    assert not task.better(old, old)
    assert not task.better({"f1_micro": 0.4, "log_loss": 0.1}, old)


# --- pooling

LOGITS = np.array([[4.0, 0.0, 0.0], [0.0, 1.0, 0.9], [0.0, 1.0, 0.9]], dtype=np.float32)


def test_pooling_means_what_it_says() -> None:
    each = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(pool_probabilities(LOGITS, "mean_probability"), each.mean(axis=0), atol=1e-6)
    geometric = np.exp(np.log(each).mean(axis=0))
    np.testing.assert_allclose(pool_probabilities(LOGITS, "mean_logit"), geometric / geometric.sum(), atol=1e-6)
    np.testing.assert_allclose(pool_probabilities(LOGITS, "vote"), [1 / 3, 2 / 3, 0], atol=1e-6)


@pytest.mark.parametrize("how", ["mean_probability", "mean_logit", "vote"])
def test_pooled_probabilities_sum_to_one_and_tracks_stay_apart(how: Pooling) -> None:
    logits = np.random.default_rng(0).normal(0, 40, (6, 4, 5)).astype(np.float32)
    pooled = SingleLabel(pooling=how).pool(logits)
    assert pooled.shape == (6, 5) and pooled.dtype == np.float32
    np.testing.assert_allclose(pooled.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(pooled[2], SingleLabel(pooling=how).pool(logits[2]), atol=1e-6)


def test_softmax_takes_any_size() -> None:
    assert softmax(np.array([1e4, 0.0], dtype=np.float32)).tolist() == [1.0, 0.0]


def test_fitness_pools_class_by_class() -> None:
    each = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    np.testing.assert_allclose(pool_fitness(LOGITS, "mean_probability"), each.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(pool_fitness(LOGITS, "mean_logit"), 1 / (1 + np.exp(-LOGITS.mean(axis=0))), atol=1e-6)
    np.testing.assert_allclose(pool_fitness(LOGITS, "vote"), [1, 1, 1], atol=1e-6)  # 0.5 speaks for a class
    np.testing.assert_allclose(pool_fitness(LOGITS, "vote", 0.72), [1 / 3, 2 / 3, 0], atol=1e-6)
    assert pool_fitness(np.array([[1e4, -1e4]], dtype=np.float32), "mean_probability").tolist() == [1, 0]


def test_values_pool_by_mean_or_median_and_directions_by_their_mean() -> None:
    values = np.array([[1.0], [2.0], [9.0]], dtype=np.float32)
    assert pool_values(values, "mean").tolist() == [4] and pool_values(values, "median").tolist() == [2]
    vectors = np.array([[5.0, 0.0], [0.0, 0.1]], dtype=np.float32)  # however long, each counts once
    np.testing.assert_allclose(pool_directions(vectors), [0.5**0.5] * 2, rtol=1e-6)
    assert pool_directions(np.zeros((2, 3), dtype=np.float32)).tolist() == [0, 0, 0]


# --- scores


def test_scores_have_intervals_over_groups() -> None:
    probabilities, target = predictions(0, 60, 3)
    scores = score(SingleLabel(), probabilities, target, [str(i // 4) for i in range(60)])
    assert scores.tracks == 60
    f1 = scores.intervals["f1_micro"]
    assert f1.low < f1.value < f1.high
    assert f1.value == scores.metrics["f1_micro"] == scores.to_dict()["metrics"]["f1_micro"]


def test_intervals_equal_a_bootstrap_of_each_metric_by_itself() -> None:
    probabilities, target = predictions(3, 30, 3)
    groups = [str(i // 3) for i in range(30)]
    task = SingleLabel()
    scores = score(task, probabilities, target, groups)
    for name in task.headline:
        wanted = bootstrap_interval(
            lambda i, name=name: task.metrics(probabilities[i], target[i])[name],
            groups,
            bounds=task.metric(name).bounds,
        )
        assert scores.intervals[name] == wanted


def test_runs_are_scored_by_their_mean_and_so_is_every_draw() -> None:
    runs = [predictions(seed, 30, 3) for seed in (3, 4, 5)]  # with other targets, as of learned vectors
    groups = [str(i // 3) for i in range(30)]
    task = SingleLabel()
    scores = score_runs(task, runs, groups)
    for name in task.headline:

        def mean(i: np.ndarray, name: str = name) -> float:
            return float(np.mean([task.metrics(p[i], target[i])[name] for p, target in runs]))

        assert scores.intervals[name] == bootstrap_interval(mean, groups, bounds=task.metric(name).bounds)
        assert scores.metrics[name] == scores.intervals[name].value == mean(np.arange(30))
    alone = [score(task, p, target, groups).metrics["f1_micro"] for p, target in runs]
    assert min(alone) < scores.metrics["f1_micro"] < max(alone)


class Halved(SingleLabel):
    """A task of one's own, whose F1 counts half."""

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        found = super().metrics(predictions, target, groups)
        return {**found, "f1_micro": found["f1_micro"] / 2}


@pytest.mark.parametrize("task", [SingleLabel(), Halved()])
def test_metrics_that_are_asked_for_alone_are_those_of_all(task: SingleLabel) -> None:
    probabilities, target = predictions(0, 40, 6)
    probabilities[:, 5] = 0  # a class that is never answered
    every = task.metrics(probabilities, target)
    for chosen in (*((name,) for name in every), task.headline, ("log_loss", "balanced_accuracy"), tuple(every)):
        assert task.selected_metrics(chosen, probabilities, target) == {name: every[name] for name in chosen}


@pytest.mark.parametrize("tracks, draws", [(10, 2000), (500_000, 800), (2_000_000, 400)])
def test_large_data_is_resampled_less_often(monkeypatch: pytest.MonkeyPatch, tracks: int, draws: int) -> None:
    seen = []

    def count(statistic: object, groups: object, resamples: int, bounds: object) -> Interval:
        seen.append(resamples)
        return Interval(0, 0, 0)

    monkeypatch.setattr("tonearm.training.evaluate.bootstrap_interval", count)
    groups = ["a"] * (tracks - 1) + ["b"]
    score(SingleLabel(), np.ones((tracks, 1), dtype=np.float32), np.zeros(tracks, dtype=np.int64), groups)
    assert seen == [draws, draws]


def test_majority_answers_the_most_frequent_training_class() -> None:
    scores = trivial_scores(SingleLabel(), np.array([2, 2, 0]), np.array([0, 2, 2, 1]), 3)
    assert scores["f1_micro"] == 0.5 and scores["balanced_accuracy"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("size", [1e-45, 1e-38, 1e-30, 1.0, 1e20, 7e37])
def test_directions_of_vectors_of_any_size(size: float) -> None:
    vectors = np.array([[3, 4, 0], [0, 0, 0], [0, -2, 0]], dtype=np.float32) * np.float32(size)
    np.testing.assert_allclose(unit_length(vectors), [[0.6, 0.8, 0], [0, 0, 0], [0, -1, 0]], rtol=1e-6)
    assert unit_length(vectors).dtype == np.float32
    np.testing.assert_allclose(unit_length(np.array([3e-200, 4e-200])), [0.6, 0.8], rtol=1e-6)
