"""Playlists and table rows: two ways of training, fitness, hits at any true playlist."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tonearm.core.types import GroundTruth
from tonearm.tasks import Playlists, Tabular
from tonearm.tasks.multi_hot import LARGEST_WEIGHT

LOGITS = torch.tensor([[2.0, 0.5, -1.0, 0.0], [0.3, 1.0, 0.2, -2.0]])
ONE = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0]])
TWO = torch.tensor([[1.0, 0, 1, 0], [0, 0, 1, 0]])


def test_of_one_playlist_softmax_is_the_usual_cross_entropy() -> None:
    wanted = torch.nn.functional.cross_entropy(LOGITS, torch.tensor([0, 2]))
    assert torch.isclose(Playlists().loss(LOGITS, ONE), wanted)


def test_of_several_playlists_the_target_is_spread_evenly() -> None:
    log_p = torch.log_softmax(LOGITS, dim=1)
    wanted = -(0.5 * log_p[0, 0] + 0.5 * log_p[0, 2] + log_p[1, 2]) / 2
    assert torch.isclose(Playlists().loss(LOGITS, TWO), wanted)


def test_multi_hot_training_is_binary_cross_entropy() -> None:
    wanted = torch.nn.functional.binary_cross_entropy(torch.sigmoid(LOGITS), TWO)
    assert torch.isclose(Playlists(training="multi_hot").loss(LOGITS, TWO), wanted)


def test_weights_of_softmax_are_the_usual_ones_and_capped() -> None:
    target = np.zeros((100, 4), dtype=np.float32)
    target[:79, 0] = target[79:99, 1] = target[99, 2] = 1
    weights = Playlists(class_weights="balanced").weights(target, 4)
    assert weights is not None
    assert weights.tolist() == pytest.approx([1 / (3 * 0.79), 1 / (3 * 0.2), LARGEST_WEIGHT, 1], rel=1e-5)
    wanted = torch.nn.functional.cross_entropy(LOGITS, torch.tensor([0, 2]), weight=weights)
    assert torch.isclose(Playlists().loss(LOGITS, ONE, weights), wanted)
    by_sigmoids = Playlists(class_weights="balanced", training="multi_hot").weights(target, 4)
    assert by_sigmoids is not None and by_sigmoids[1].item() == pytest.approx(80 / 20)
    assert Playlists().weights(target, 4) is None and Playlists(training="multi_hot").weights(target, 4) is None


@pytest.mark.parametrize("training", ["softmax", "multi_hot"])
def test_log_loss_of_one_window_is_the_training_loss(training: str) -> None:
    task = Playlists.from_dict({"training": training})
    fitness = task.pool(LOGITS[:, None].numpy())
    np.testing.assert_allclose(fitness, torch.sigmoid(LOGITS).numpy(), atol=1e-6)
    loss = float(task.loss(LOGITS, TWO))
    assert task.metrics(fitness, TWO.numpy())["log_loss"] == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("training, wanted", [("softmax", [1, 0]), ("multi_hot", [1, 0.5])])
def test_windows_vote_as_they_were_trained(training: str, wanted: list[float]) -> None:
    windows = np.array([[3.0, 1.0], [2.0, -1.0]], dtype=np.float32)
    assert Playlists.from_dict({"training": training, "pooling": "vote"}).pool(windows).tolist() == wanted


def test_a_hit_is_any_true_playlist_overall_and_in_each() -> None:
    #  order of fitness: b c a ...; a d ...; e f ...
    fitness = np.array([[0.7, 0.9, 0.8, 0.1, 0.2, 0.3], [0.9, 0.1, 0.2, 0.8, 0.3, 0.4],
                        [0.1, 0.2, 0.3, 0.4, 0.9, 0.8]], dtype=np.float32)  # fmt: skip
    target = Playlists().encode(GroundTruth([("c", "f"), ("a", "b"), ("a",)]), "abcdef")
    found = Playlists().metrics(fitness, target)
    assert [found[f"top_{k}"] for k in (1, 3, 5)] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    each = Playlists().by_class(fitness, target, "abcdef")
    assert each["a"] == {"top_1": 0.5, "top_3": 0.5, "top_5": 0.5, "tracks": 2}
    assert each["f"] == {"top_1": 0, "top_3": 1, "top_5": 1, "tracks": 1}
    assert each["d"] == {"top_1": 0, "top_3": 0, "top_5": 0, "tracks": 0}
    # a: its two songs are ranked first and last of three; b: its one song last; c: second; f: last.
    assert found["mean_average_precision"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 3 + 1 / 1 + 1 / 3) / 4)
    columns = Playlists().readable(fitness, target, "abcdef")
    assert columns["labels"][0] == "c; f" and columns["predicted"][0] == "b; c; a"


@pytest.mark.parametrize("task", [Playlists(), Playlists(training="multi_hot")])
def test_the_trivial_fitness_is_the_best_constant(task: Playlists) -> None:
    target = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 1], [1, 0, 0]], dtype=np.float32)

    def loss(fitness: np.ndarray) -> float:
        return task.metrics(np.tile(fitness, (5, 1)).astype(np.float32), target)["log_loss"]

    trivial = task.trivial(target, 3)
    assert trivial.min() >= 0 and trivial.max() <= 1
    for i in range(3):
        for factor in (0.8, 1.1):
            other = trivial.copy()
            other[i] *= factor
            assert loss(trivial) < loss(other)


def test_the_rarest_playlist_of_a_song_is_its_stratum() -> None:
    target = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 0]], dtype=np.float32)
    assert Playlists().strata(target).tolist() == [0, 1, 2, 1]


# --- table rows


def test_categorical_accuracy_is_that_of_keras() -> None:
    truth = GroundTruth([("c", "a"), ("b", "c"), ("c", "b")])
    fitness = np.array([[0.9, 0.1, 0.5], [0.1, 0.2, 0.9], [0.1, 0.2, 0.9]], dtype=np.float32)
    several = Tabular().metrics(fitness, Tabular().encode(truth, "abc"))  # argmax of targets: a, b, b
    assert several["categorical_accuracy"] == pytest.approx(1 / 3) and several["any_accuracy"] == 1.0
    first = Tabular(first_label=True)
    target = first.encode(truth, "abc")
    assert target.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 1]]
    found = first.metrics(fitness, target)
    assert found["categorical_accuracy"] == found["any_accuracy"] == pytest.approx(1 / 3)


def test_each_genre_has_the_share_of_its_rows_that_were_answered_by_it() -> None:
    fitness = np.array([[0.9, 0.1], [0.4, 0.2], [0.1, 0.2]], dtype=np.float32)
    target = np.array([[1, 0], [1, 1], [0, 1]], dtype=np.float32)
    each = Tabular().by_class(np.hstack([fitness, fitness[:, :1] * 0]), np.hstack([target, target[:, :1] * 0]), "abc")
    assert each == {
        "a": {"recall": 1.0, "tracks": 2.0},
        "b": {"recall": 0.5, "tracks": 2.0},
        "c": {"recall": 0.0, "tracks": 0.0},
    }
    columns = Tabular().readable(fitness, target, "ab")
    assert columns == {"labels": ["a", "a; b", "b"], "predicted": ["a", "a", "b"]}


@pytest.mark.parametrize("task", [Playlists(), Tabular(class_weights="balanced")])
def test_rows_without_a_class_have_no_weight(task: Playlists | Tabular) -> None:
    target = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], dtype=np.float32)
    logits = torch.tensor([[1.0, 0.0, 2.0], [9.0, 3.0, 1.0], [0.0, 1.0, 0.5]], requires_grad=True)
    some, own = [0, 2], torch.from_numpy(target)
    weights, fewer = task.weights(target, 3), task.weights(target[some], 3)
    assert (weights is None and fewer is None) or torch.equal(weights, fewer)  # type: ignore[arg-type]
    loss = task.loss(logits, own, weights)
    assert torch.isclose(loss, task.loss(logits[some], own[some], weights))
    loss.backward()
    assert logits.grad is not None and logits.grad.isfinite().all() and not logits.grad[1].any()
    fitness = task.pool(logits.detach()[:, None].numpy())
    found = task.log_loss(fitness, target)
    assert found == pytest.approx(task.log_loss(fitness[some], target[some]))
    np.testing.assert_array_equal(task.trivial(target, 3), task.trivial(target[some], 3))


def test_a_batch_of_rows_without_a_class_teaches_nothing() -> None:
    logits = torch.ones(2, 3, requires_grad=True)
    loss = Playlists().loss(logits, torch.zeros(2, 3))
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and not logits.grad.any()
