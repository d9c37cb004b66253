"""Numbers of a track: scales, losses, errors by song and by window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sklearn_metrics

from tonearm.core.errors import DatasetError
from tonearm.core.types import GroundTruth
from tonearm.tasks import Regression
from tonearm.tasks.ranking import average_ranks, spearman

TEMPO = Regression(target="tempo", low=40, high=200, squash="sigmoid")


def truth(**values: list[float]) -> GroundTruth:
    columns = {name: np.array(v) for name, v in values.items()}
    return GroundTruth([()] * len(next(iter(columns.values()))), values=columns)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_scikit_learn_and_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = np.round(rng.uniform(0, 1, (30, 2)), 1).astype(np.float32)  # with ties
    predicted = np.round(target + rng.normal(0, 0.2, (30, 2)), 1).astype(np.float32)
    wanted = {
        "mae": sklearn_metrics.mean_absolute_error(target, predicted),
        "mse": sklearn_metrics.mean_squared_error(target, predicted),
        "r2": sklearn_metrics.r2_score(target, predicted),
        "spearman": np.mean([stats.spearmanr(target[:, i], predicted[:, i]).statistic for i in range(2)]),
    }
    task = Regression(target="a,b")
    assert task.metrics(predicted, target) == pytest.approx(wanted, abs=1e-6)
    each = task.by_class(predicted, target, ("a", "b"))
    assert set(each) == {"a", "b"} and each["b"]["r2"] == pytest.approx(
        sklearn_metrics.r2_score(target[:, 1], predicted[:, 1]), abs=1e-6)  # fmt: skip
    assert Regression(target="a").by_class(predicted[:, :1], target[:, :1], ("a",)) == {}


def test_ranks_of_equal_values_are_shared() -> None:
    assert average_ranks(np.array([3.0, 1.0, 3.0, 2.0, 3.0])).tolist() == [4, 1, 4, 2, 4]
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0, 5.0])) == 0.0


def test_where_the_truth_does_not_vary_r2_is_one_or_zero() -> None:
    same = np.full((3, 1), 0.25, dtype=np.float32)
    task = Regression(target="a")
    assert task.metrics(same, same)["r2"] == 1.0 and task.metrics(same + 0.1, same)["r2"] == 0.0


def test_targets_are_facts_in_their_own_unit() -> None:
    task = Regression(target="energy, valence")
    known = truth(energy=[0.1, 0.9], valence=[0.5, 0.25], tempo=[90, 120])
    assert task.names(known, ("a", "b")) == ("energy", "valence")
    target = task.encode(known, task.names(known, ()))
    np.testing.assert_allclose(target, [[0.1, 0.5], [0.9, 0.25]], rtol=1e-6)
    assert TEMPO.encode(known, ("tempo",)).tolist() == [[90], [120]]


@pytest.mark.parametrize(
    "kind, wanted",
    [("mse", (0.25**2 + 0.05**2) / 2), ("mae", (0.25 + 0.05) / 2), ("huber", (0.1 * (0.25 - 0.05) + 0.05**2 / 2) / 2)],
)
def test_losses_are_taken_on_the_scale_of_the_range(kind: str, wanted: float) -> None:
    task = TEMPO.replace({"loss_kind": kind})
    # sigmoid(0) = 0.5 stands for a tempo of 120: 80 is 0.25 below, 112 is 0.05 below.
    loss = task.loss(torch.zeros(2, 1), torch.tensor([[80.0], [112.0]]))
    assert loss.item() == pytest.approx(wanted, rel=1e-4)


def test_predictions_are_in_the_unit_of_the_target() -> None:
    logits = np.array([[[0.0], [0.0], [30.0]]], dtype=np.float32)
    assert TEMPO.pool(logits).tolist() == [[pytest.approx((120 + 120 + 200) / 3)]]
    assert TEMPO.replace({"pooling": "median"}).pool(logits).tolist() == [[120]]
    free = Regression(target="tempo", squash="none", low=100, high=110)
    assert free.pool(logits).tolist() == [[pytest.approx(100 + 10 * 10)]]
    assert Regression(target="tempo", squash="none").pool(logits).tolist() == [[pytest.approx(10)]]


def test_a_plain_loss_takes_values_as_they_are() -> None:
    task = Regression(target="tempo", squash="none")
    assert task.loss(torch.tensor([[3.0], [5.0]]), torch.tensor([[1.0], [5.0]])).item() == 2.0
    inside = Regression(target="tempo", squash="none", low=0, high=1)
    assert inside.encode(truth(tempo=[-3.0, 7.0]), ("tempo",)).tolist() == [[-3], [7]]  # no sigmoid, no bounds


def test_windows_are_judged_by_their_song() -> None:
    task = Regression(target="a", squash="none")
    windows = [np.array([[1.0], [3.0]], dtype=np.float32), np.array([[5.0], [5.0], [8.0]], dtype=np.float32)]
    target = np.array([[2.0], [6.0]], dtype=np.float32)
    found = task.window_metrics(windows, target)
    assert found["window_mae"] == pytest.approx((1 + 1 + 1 + 1 + 2) / 5)
    assert found["window_mse"] == pytest.approx((1 + 1 + 1 + 1 + 4) / 5)
    assert set(found) == {f"window_{m}" for m in ("mae", "mse", "r2", "spearman")}
    songs = task.metrics(np.stack([task.pool(w) for w in windows]), target)
    assert songs["mae"] == 0.0  # pooled, the errors cancel
    assert found["window_r2"] == pytest.approx(sklearn_metrics.r2_score([2, 2, 6, 6, 6], [1, 3, 5, 5, 8]))


def test_a_track_is_known_by_all_of_its_targets() -> None:
    known = truth(energy=[0.1, np.nan, 0.2], valence=[0.5, 0.5, np.inf])
    assert Regression(target="energy, valence").has_target(known).tolist() == [True, False, False]
    assert Regression(target="energy").has_target(known).tolist() == [True, False, True]


def test_trivial_is_the_training_mean() -> None:
    target = np.array([[1.0, 0.0], [3.0, 1.0]], dtype=np.float32)
    assert Regression(target="a,b").trivial(target, 2).tolist() == [2.0, 0.5]


def test_people_read_truth_and_error() -> None:
    columns = Regression(target="a").readable(np.array([[3.0]]), np.array([[2.0]]), ("a",))
    assert columns == {"true_a": [2.0], "error_a": [1.0]}


def test_a_sigmoid_cannot_reach_every_target() -> None:
    with pytest.raises(DatasetError, match="'tempo' reaches from 30 to 90, a sigmoid from 40 to 200"):
        TEMPO.encode(truth(tempo=[90, 30]), ("tempo",))
    with pytest.raises(DatasetError, match="'tempo' reaches from 30 to 90, a sigmoid from 0 to 1"):
        Regression(target="tempo").encode(truth(tempo=[90, 30]), ("tempo",))
