"""Several labels a track: metrics against scikit-learn, loss, threshold, weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from tonearm.core.types import FloatArray, GroundTruth
from tonearm.tasks import MultiLabel
from tonearm.tasks.multi_hot import LARGEST_WEIGHT
from tonearm.tasks.ranking import average_precision, hits_at, mean_average_precision, mean_roc_auc, roc_auc


def drawn(seed: int, tracks: int, classes: int, levels: int = 0) -> tuple[FloatArray, np.ndarray]:
    """Fitness, of few distinct values if ``levels``, and multi-hot targets."""
    rng = np.random.default_rng(seed)
    fitness = rng.uniform(0.01, 0.99, (tracks, classes))
    if levels:
        fitness = (np.floor(fitness * levels) + 0.5) / levels
    return fitness.astype(np.float32), (rng.random((tracks, classes)) < 0.3).astype(np.float32)


@pytest.mark.parametrize("levels", [0, 4])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_scikit_learn(seed: int, levels: int) -> None:
    fitness, target = drawn(seed, 60, 5, levels)
    truth, answers = target.astype(int), fitness >= 0.5
    wanted = {
        "mse": sklearn_metrics.mean_squared_error(target, fitness),
        "hamming_loss": sklearn_metrics.hamming_loss(truth, answers),
        "f1_micro": sklearn_metrics.f1_score(truth, answers, average="micro"),
        "log_loss": np.mean([sklearn_metrics.log_loss(truth[:, i], fitness[:, i], labels=[0, 1]) for i in range(5)]),
        "mean_average_precision": sklearn_metrics.average_precision_score(truth, fitness, average="macro"),
        "average_precision_micro": sklearn_metrics.average_precision_score(truth, fitness, average="micro"),
        "roc_auc": sklearn_metrics.roc_auc_score(truth, fitness, average="macro"),
    }
    assert MultiLabel().metrics(fitness, target) == pytest.approx(wanted, abs=1e-6)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=12).filter(
    lambda items: len({relevant for _, relevant in items}) == 2))  # fmt: skip
def test_ranking_with_ties_equals_scikit_learn(items: list[tuple[int, bool]]) -> None:
    scores, truth = np.array([s for s, _ in items], dtype=np.float32), np.array([t for _, t in items])
    assert average_precision(scores, truth) == pytest.approx(sklearn_metrics.average_precision_score(truth, scores))
    assert roc_auc(scores, truth) == pytest.approx(sklearn_metrics.roc_auc_score(truth, scores))


def test_average_precision_by_hand() -> None:
    # Ranked: hit, miss, then a hit and a miss with the same score: 1/2 x 1/1 + 1/2 x 2/4.
    scores, truth = np.array([0.9, 0.8, 0.5, 0.5]), np.array([1, 0, 1, 0])
    assert average_precision(scores, truth) == 0.75
    assert roc_auc(scores, truth) == (1 + 1 + 0 + 0.5) / 4


def test_classes_that_cannot_be_ranked_are_left_out() -> None:
    fitness = np.array([[0.9, 0.1, 0.6], [0.2, 0.8, 0.7]], dtype=np.float32)
    target = np.array([[1, 0, 1], [0, 0, 1]], dtype=np.float32)  # nobody has the second, everybody the third
    assert mean_average_precision(fitness, target) == 1.0  # of the first and the third
    assert mean_average_precision(1 - fitness, target) == (0.5 + 1) / 2
    assert mean_roc_auc(1 - fitness, target) == 0.0  # of the first alone
    nothing = np.zeros((2, 3), dtype=np.float32)
    assert mean_average_precision(fitness, nothing) == 0.0 and mean_roc_auc(fitness, nothing) == 0.5


def test_a_hit_is_any_true_class_and_the_first_of_equals_wins() -> None:
    fitness = np.array([[0.5, 0.5, 0.1], [0.1, 0.2, 0.3]], dtype=np.float32)
    target = np.array([[0, 1, 1], [1, 1, 0]], dtype=np.float32)
    assert [hits_at(fitness, target, k).tolist() for k in (1, 2, 3)] == [[False, False], [True, True], [True, True]]


def test_targets_are_multi_hot_and_the_loss_binary_cross_entropy() -> None:
    target = torch.from_numpy(MultiLabel().encode(GroundTruth([("b",), ("c", "a", "c")]), "abc"))
    assert target.tolist() == [[0, 1, 0], [1, 0, 1]]
    logits = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.5, -0.7]])
    p = torch.sigmoid(logits)
    wanted = -(target * p.log() + (1 - target) * (1 - p).log()).mean()
    assert torch.isclose(MultiLabel().loss(logits, target), wanted)


def test_balanced_classes_count_positives_by_their_ratio() -> None:
    task = MultiLabel(class_weights="balanced")
    target = np.zeros((100, 4), dtype=np.float32)
    target[:20, 0] = target[:2, 1] = target[:, 2] = 1
    weights = task.weights(target, 4)
    assert weights is not None
    # 80 negatives for 20 positives; 98 for 2, capped; none for 100, capped; none at all has no positives to weigh.
    assert weights.tolist() == pytest.approx([4, LARGEST_WEIGHT, 1 / LARGEST_WEIGHT, LARGEST_WEIGHT])
    logits, truth = torch.tensor([[0.3, -1.0, 0.2, 0.1]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    p = torch.sigmoid(logits)
    wanted = -(4 * p[0, 0].log() + (1 - p[0, 1:]).log().sum()) / 4
    assert torch.isclose(task.loss(logits, truth, weights), wanted)
    assert MultiLabel().weights(target, 4) is None


def test_the_threshold_decides_and_votes_need_half_the_windows() -> None:
    fitness = np.array([[0.3, 0.6]], dtype=np.float32)
    assert MultiLabel(threshold=0.3).predicted_labels(fitness).tolist() == [[True, True]]
    assert MultiLabel().predicted_labels(fitness).tolist() == [[False, True]]
    voting = MultiLabel(threshold=0.3, pooling="vote")
    logits = np.log(np.array([[[0.35, 0.1]], [[0.32, 0.4]], [[0.2, 0.2]]]) / (1 - np.array(
        [[[0.35, 0.1]], [[0.32, 0.4]], [[0.2, 0.2]]])))[:, 0].astype(np.float32)  # fmt: skip
    votes = voting.pool(logits)
    np.testing.assert_allclose(votes, [2 / 3, 1 / 3], atol=1e-6)
    assert voting.predicted_labels(votes).tolist() == [True, False]


def test_trivial_are_the_frequencies_and_strata_the_rarest_label() -> None:
    target = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.float32)
    assert MultiLabel().trivial(target, 3).tolist() == [0.75, 0.5, 0.25]
    assert MultiLabel().strata(target).tolist() == [0, 1, 2, 1]


def test_figures_of_each_class_and_names_for_people() -> None:
    fitness, target = drawn(1, 40, 3)
    ours, answers = MultiLabel().by_class(fitness, target, "abc"), fitness >= 0.5
    for i, name in enumerate("abc"):
        truth = target[:, i].astype(int)
        wanted = {
            "average_precision": sklearn_metrics.average_precision_score(truth, fitness[:, i]),
            "roc_auc": sklearn_metrics.roc_auc_score(truth, fitness[:, i]),
            "precision": sklearn_metrics.precision_score(truth, answers[:, i]),
            "recall": sklearn_metrics.recall_score(truth, answers[:, i]),
            "f1": sklearn_metrics.f1_score(truth, answers[:, i]),
            "tracks": truth.sum(),
        }
        assert ours[name] == pytest.approx(wanted)
    columns = MultiLabel().readable(np.array([[0.9, 0.2, 0.6]], dtype=np.float32), np.array([[0, 1, 1]]), "abc")
    assert columns == {"labels": ["b; c"], "predicted": ["a; c"]}
