"""Scores of recommended lists, beside ranx and known answers; and the systems that make such lists."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from tests.libraries import PlainLibrary
from tonearm.core.errors import ConfigError
from tonearm.core.unit_length import unit_length
from tonearm.recommend.lists import ListQuality, gini, score_lists
from tonearm.recommend.systems import at_random, described, most_popular, nearest, nearest_vectors, same_value

ROWS, QUERIES, K = 40, 15, 6


def vectors(seed: int = 0) -> np.ndarray:
    return unit_length(np.random.default_rng(seed).normal(size=(ROWS, 5)))


def scored(lists: np.ndarray, relevant: list[frozenset[int]], **more: np.ndarray) -> ListQuality:
    queries = np.arange(len(lists))
    return score_lists(lists, queries, relevant, vectors(), [str(q % 7) for q in queries], resamples=50, **more)


def test_scores_are_those_of_ranx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)  # it would compile for a minute and a half
    from ranx import Qrels, Run, evaluate

    rng = np.random.default_rng(0)
    lists = np.stack([rng.permutation(np.arange(QUERIES, ROWS))[:K] for _ in range(QUERIES)])
    relevant = [frozenset(rng.choice(np.arange(QUERIES, ROWS), rng.integers(1, 12), replace=False).tolist())
                for _ in range(QUERIES)]  # fmt: skip
    qrels = Qrels({f"q{i}": {f"d{row}": 1 for row in right} for i, right in enumerate(relevant)})
    run = Run({f"q{i}": {f"d{row}": float(K - place) for place, row in enumerate(own)} for i, own in enumerate(lists)})
    expected = evaluate(qrels, run, [f"recall@{K}", f"ndcg@{K}", f"hit_rate@{K}"])
    found = scored(lists, relevant)
    assert found.recall.value == pytest.approx(expected[f"recall@{K}"])
    assert found.ndcg.value == pytest.approx(expected[f"ndcg@{K}"])
    assert found.hit_rate.value == pytest.approx(expected[f"hit_rate@{K}"])
    assert found.recall.low < found.recall.value < found.recall.high


def test_perfect_lists_and_lists_of_nothing() -> None:
    lists = np.array([[3, 4], [4, 3], [3, 4]])
    perfect = scored(lists, [frozenset({3, 4})] * 3)
    assert [perfect.recall.value, perfect.ndcg.value, perfect.hit_rate.value] == pytest.approx([1, 1, 1])
    none = scored(np.full((3, 2), -1), [frozenset({3, 4})] * 3)
    assert (none.recall.value, none.cosine, none.coverage, none.gini, none.diversity) == (0, 0, 0, 0, 0)
    assert none.never == 1


def test_reach_and_variety_are_as_defined() -> None:
    lists = np.array([[5, 6, -1], [5, 7, 8]])
    found = scored(lists, [frozenset({5})] * 2, listeners=np.where(np.arange(ROWS) == 5, 0.5, 0.0))
    v = vectors()
    pairs = [1 - v[5] @ v[6], np.mean([1 - v[5] @ v[7], 1 - v[5] @ v[8], 1 - v[7] @ v[8]])]
    assert found.diversity == pytest.approx(np.mean(pairs), abs=1e-6)
    assert found.cosine == pytest.approx(
        np.mean([v[0] @ v[5], v[0] @ v[6], *(v[1] @ v[i] for i in (5, 7, 8))]), abs=1e-6
    )
    assert found.coverage == 4 / ROWS and found.never == 36 / ROWS
    assert found.novelty == pytest.approx((2 * 1 + 3 * 2) / 5), "one bit, and two of those whom nobody knows"
    assert scored(lists, [frozenset({5})] * 2).novelty is None


@pytest.mark.parametrize(
    ("counts", "expected"), [([3, 3, 3], 0.0), ([0, 0, 9], 2 / 3), ([1, 2, 3, 4], 0.25), ([0, 0], 0.0)]
)
def test_gini_of_known_counts(counts: list[int], expected: float) -> None:
    assert gini(np.array(counts)) == pytest.approx(expected)


def test_what_cannot_be_scored_is_told() -> None:
    with pytest.raises(ConfigError, match="no relevant row"):
        scored(np.array([[1], [2]]), [frozenset({1}), frozenset()])
    with pytest.raises(ConfigError, match="give one a query"):
        scored(np.array([[1], [2]]), [frozenset({1})])


# --- systems


def all_but(*rows: int) -> np.ndarray:
    mask = np.ones(ROWS, dtype=bool)
    mask[list(rows)] = False
    return mask


def test_neighbours_by_search_and_by_vectors_are_the_same() -> None:
    library, queries = PlainLibrary(vectors()), np.array([3, 9, 17])
    lists = nearest(library, queries, all_but, K)
    assert np.array_equal(lists, nearest_vectors(vectors() * 7, queries, all_but, K))
    assert not (lists == queries[:, None]).any()
    euclidean = nearest_vectors(vectors() * np.linspace(1, 3, ROWS)[:, None], queries, all_but, K, cosine=False)
    scaled = vectors() * np.linspace(1, 3, ROWS)[:, None]
    distances = np.linalg.norm(scaled - scaled[9], axis=1)
    assert euclidean[1].tolist() == [i for i in np.argsort(distances).tolist() if i != 9][:K]


def test_fewer_than_asked_are_marked() -> None:
    def only(row: int) -> np.ndarray:
        return np.arange(ROWS) < 2

    assert most_popular(np.arange(ROWS, dtype=np.float64), np.array([5]), only, 4).tolist() == [[1, 0, -1, -1]]


def test_popularity_chance_and_labels() -> None:
    queries = np.arange(QUERIES)
    popular = most_popular(np.arange(ROWS, dtype=np.float64), queries, all_but, 3)
    assert (popular == [39, 38, 37]).all()
    chance = at_random(queries, ROWS, all_but, K)
    assert np.array_equal(chance, at_random(queries, ROWS, all_but, K)) and len(np.unique(chance)) > K
    labels = np.array([("a", "b", None)[i % 3] for i in range(ROWS)], dtype=object)
    lists = same_value(labels, queries, all_but, K)
    assert all(labels[lists[q]].tolist() == [labels[q]] * K for q in range(QUERIES) if labels[q] is not None)


def test_descriptors_are_standardised_and_what_is_not_known_is_usual() -> None:
    library = PlainLibrary(vectors()[:4], tempo=[60.0, 120.0, float("nan"), 180.0], energy=[1.0, 1.0, 1.0, 1.0])
    values = described(library)
    assert values is not None and values.shape == (4, 1)
    np.testing.assert_allclose(values[:, 0], [-(1.5**0.5), 0, 0, 1.5**0.5], atol=1e-6)
    assert described(PlainLibrary(vectors())) is None
