"""Vectors of a track: loss, pooling, cosines, and what is found near the predicted vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tonearm.core.errors import TrainingError
from tonearm.core.types import FloatArray, GroundTruth
from tonearm.tasks import Embedding
from tonearm.tasks import embedding as module


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def by_hand(predictions: FloatArray, target: np.ndarray, groups: list[str], k: int) -> tuple[float, float]:
    """Hit rate and recall at k, one artist after the other."""
    artists = sorted(set(groups))
    rows = {a: [i for i, g in enumerate(groups) if g == a] for a in artists}
    predicted = {a: predictions[rows[a]].mean(axis=0) for a in artists}
    true = {a: target[rows[a]].mean(axis=0) for a in artists}
    hits, recalls = [], []
    for a in artists:
        near = sorted(artists, key=lambda b: -cosine(predicted[a], true[b]))
        hits.append(a in near[:k])
        others = [b for b in near if b != a][:k]
        wanted = [b for b in sorted(artists, key=lambda b: -cosine(true[a], true[b])) if b != a][:k]
        recalls.append(len(set(others) & set(wanted)) / k)
    return float(np.mean(hits)), float(np.mean(recalls))


def drawn(seed: int, artists: int, noise: float) -> tuple[FloatArray, FloatArray, list[str]]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(artists, 8))
    owner = rng.integers(0, artists, 3 * artists)
    target = vectors[owner]
    predictions = target + rng.normal(0, noise, target.shape)
    return predictions.astype(np.float32), target.astype(np.float32), [f"artist {i}" for i in owner]


@pytest.mark.parametrize("loss_kind", ["cosine", "mse"])
@pytest.mark.parametrize("rows", [256, 4])
def test_neighbours_are_those_found_one_by_one(monkeypatch: pytest.MonkeyPatch, loss_kind: str, rows: int) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", rows)
    for seed, noise in ((0, 0.5), (1, 1.5), (2, 3.0)):
        predictions, target, groups = drawn(seed, 15, noise)
        found = Embedding.from_dict({"target": "x", "loss_kind": loss_kind, "k": 3}).metrics(
            predictions, target, groups
        )
        assert (found["hit_rate_at_3"], found["recall_at_3"]) == pytest.approx(by_hand(predictions, target, groups, 3))
        assert found["mean_cosine"] == pytest.approx(
            np.mean([cosine(p, t) for p, t in zip(predictions, target, strict=True)]), abs=1e-5
        )


def test_without_groups_each_track_is_an_artist() -> None:
    predictions, target, _ = drawn(0, 5, 1.0)
    alone = [f"{i:02d}" for i in range(len(target))]
    task = Embedding(target="x", k=2)
    assert task.metrics(predictions, target) == task.metrics(predictions, target, alone)


def test_perfect_vectors_find_everything() -> None:
    _, target, groups = drawn(3, 20, 0.0)
    found = Embedding(target="x", k=4).metrics(target, target, groups)
    assert found["hit_rate_at_4"] == found["recall_at_4"] == 1.0
    assert found["mean_cosine"] == pytest.approx(1) and found["mse"] == pytest.approx(0, abs=1e-9)


def test_answers_without_direction_find_nothing_of_their_own() -> None:
    _, target, groups = drawn(3, 20, 0.0)
    found = Embedding(target="x", k=4).metrics(np.zeros_like(target), target, groups)
    assert found["hit_rate_at_4"] == 0.0 and found["mean_cosine"] == 0.0


def test_of_few_artists_fewer_neighbours_are_looked_at() -> None:
    target = np.eye(3, dtype=np.float32)
    wrong = target[[1, 2, 0]]
    found = Embedding(target="x", k=10).metrics(wrong, target)  # 2 of 3: own and one more tie for the last place
    assert found["hit_rate_at_10"] == 0.0 and found["recall_at_10"] == 1.0
    alone = Embedding(target="x", k=10).metrics(target[:1], target[:1])
    assert alone["hit_rate_at_10"] == alone["recall_at_10"] == 0.0


def test_losses() -> None:
    logits, target = torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert Embedding(target="x").loss(logits, target).item() == pytest.approx(-(1 + 0.5**0.5) / 2)
    assert Embedding(target="x", loss_kind="mse").loss(logits, target).item() == pytest.approx((4 + 0 + 1 + 0) / 4)


def test_targets_are_of_unit_length_for_the_cosine_only() -> None:
    truth = GroundTruth([()] * 2, values={"x": np.array([[3.0, 4.0], [0.0, 2.0]])})
    task = Embedding(target="x")
    assert task.names(truth, ("a", "b", "c")) == ("x[0]", "x[1]")
    np.testing.assert_allclose(task.encode(truth, ("x[0]", "x[1]")), [[0.6, 0.8], [0, 1]], rtol=1e-6)
    plain = Embedding(target="x", loss_kind="mse").encode(truth, ("x[0]", "x[1]"))
    assert plain.tolist() == [[3, 4], [0, 2]] and plain.dtype == np.float32


def test_vectors_of_zeros_are_known_where_values_count() -> None:
    truth = GroundTruth([()] * 3, values={"x": np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0]])})
    assert Embedding(target="x").has_target(truth).tolist() == [True, False, False]
    assert Embedding(target="x", loss_kind="mse").has_target(truth).tolist() == [True, True, False]
    assert Embedding(target="x").names(truth, ()) == ("x[0]", "x[1]")


def test_pooling_counts_directions_or_values() -> None:
    windows = np.array([[5.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    np.testing.assert_allclose(Embedding(target="x").pool(windows), [0.5**0.5] * 2, rtol=1e-6)
    assert Embedding(target="x", loss_kind="mse").pool(windows).tolist() == [2.5, 0.5]


def test_the_trivial_vector_is_the_training_mean() -> None:
    target = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    np.testing.assert_allclose(Embedding(target="x").trivial(target, 2), [0.5**0.5] * 2, rtol=1e-6)
    assert Embedding(target="x", loss_kind="mse").trivial(target, 2).tolist() == [0.5, 0.5]


def test_the_length_of_a_mean_of_models_does_not_count() -> None:
    target = np.eye(2, dtype=np.float32)
    task = Embedding(target="x")
    assert task.metrics(0.3 * target, target)["mse"] == pytest.approx(0, abs=1e-9)
    assert Embedding(target="x", loss_kind="mse").metrics(0.5 * target, target)["mse"] == pytest.approx(0.125)


def test_figures_that_a_bootstrap_wants_rank_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("neighbours were sought")

    monkeypatch.setattr(module, "ranked", fail)
    predictions, target, groups = drawn(0, 5, 1.0)
    task = Embedding(target="x")
    assert set(task.selected_metrics((task.tie_breaker, *task.headline), predictions, target, groups)) == {
        "mse",
        "mean_cosine",
    }


def test_people_read_the_cosine_of_each_track() -> None:
    columns = Embedding(target="x").readable(np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]]), ("x[0]", "x[1]"))
    assert columns["cosine"] == [pytest.approx(0.5**0.5)]


def test_artists_of_other_tracks_are_refused() -> None:
    vectors = np.eye(3, dtype=np.float32)
    for groups in ([], ["a", "b"]):
        with pytest.raises(TrainingError, match=f"3 tracks and {len(groups)} groups"):
            Embedding(target="x").metrics(vectors, vectors, groups)
    array = np.array(["a", "b", "c"])  # no list, but a sequence
    assert Embedding(target="x").metrics(vectors, vectors, array)["mean_cosine"] == 1.0  # type: ignore[arg-type]
