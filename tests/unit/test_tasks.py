"""Tasks against scikit-learn, pooling of windows, and scores with their intervals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from tonearm.core.errors import DatasetError
from tonearm.core.types import FloatArray
from tonearm.tasks import SingleLabel, Task
from tonearm.tasks.aggregate import Pooling, pool_probabilities, softmax
from tonearm.tasks.single_label import confusion_matrix, f1_of_each_class
from tonearm.training.evaluate import majority_scores, score


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
    target = torch.from_numpy(SingleLabel().encode(["a", "c"], ["a", "b", "c"]))
    assert target.tolist() == [0, 2]
    wanted = -torch.log_softmax(logits, dim=1)[[0, 1], [0, 2]].mean()
    assert torch.isclose(SingleLabel().loss(logits, target), wanted)


def test_labels_that_are_no_classes_are_named() -> None:
    with pytest.raises(DatasetError, match=r"\['polka'\] are none of the classes \['a', 'b'\]"):
        SingleLabel().encode(["a", "polka"], ["a", "b"])


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


@pytest.mark.parametrize("kind", sorted(Task.registry))
def test_every_task_says_what_is_best(kind: str) -> None:
    task = Task.registry[kind]()
    assert task.primary and isinstance(task.maximise, bool)


# --- scores


def test_scores_have_intervals_over_groups() -> None:
    probabilities, target = predictions(0, 60, 3)
    scores = score(SingleLabel(), probabilities, target, [str(i // 4) for i in range(60)])
    assert scores.tracks == 60
    assert scores.f1_micro.low < scores.f1_micro.value < scores.f1_micro.high
    assert scores.f1_micro.value == scores.metrics["f1_micro"] == scores.to_dict()["metrics"]["f1_micro"]


def test_majority_answers_the_most_frequent_training_class() -> None:
    scores = majority_scores(SingleLabel(), np.array([2, 2, 0]), np.array([0, 2, 2, 1]), 3)
    assert scores["f1_micro"] == 0.5 and scores["balanced_accuracy"] == pytest.approx(1 / 3)
