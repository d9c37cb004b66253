"""What recommenders work upon: exact neighbours of float16 vectors with filters, attributes as columns, ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tonearm.core.errors import BundleError, ConfigError, UnknownNameError
from tonearm.recommend.exact import exact_nearest
from tonearm.recommend.library import Found, Library, unknown_id
from tonearm.recommend.memory import MemoryLibrary
from tonearm.recommend.vectors import Vectors


def plain_nearest(vectors: np.ndarray, query: np.ndarray, k: int, allowed: np.ndarray) -> list[tuple[int, float]]:
    """One row after the other, in float64, as stored."""
    found = []
    for place in np.flatnonzero(allowed):
        row = vectors[place].astype(np.float64)
        cosine = (row * query).sum() / np.sqrt((row * row).sum()) / np.sqrt((query * query).sum())
        found.append((int(place), float(np.float32(cosine))))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:k]


def unit_half(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16)


def places(found: list[Found]) -> list[int]:
    return [f.place for f in found]


def rows(count: int) -> list[dict[str, object]]:
    return [{"track_id": f"t{i}", "label": "ab"[i % 2] if i else None, "year": 1900 + i if i else None,
             "labels": ("a", "b")} for i in range(count)]  # fmt: skip


@pytest.mark.parametrize("share", [1.0, 0.5, 0.005, 0.0])
@pytest.mark.parametrize("dim", [3, 24, 257])
def test_neighbours_are_those_of_a_plain_comparison(dim: int, share: float) -> None:
    rng = np.random.default_rng(dim)
    vectors = unit_half(rng.normal(size=(1500, dim)) + 0.8)  # crowded: many are nearly as near
    allowed = rng.random(1500) < share
    for query in rng.normal(size=(5, dim)) + 0.5:
        found = exact_nearest(Vectors(vectors), query.astype(np.float32), 20, allowed)
        expected = plain_nearest(vectors, query.astype(np.float32).astype(np.float64), 20, allowed)
        assert places(found) == [place for place, _ in expected]
        np.testing.assert_allclose([f.similarity for f in found], [c for _, c in expected], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equal_vectors_are_in_the_order_of_their_places(data: st.DataObject) -> None:
    few = data.draw(arrays(np.int8, (4, 5), elements=st.integers(-3, 3)).filter(lambda a: a.any(axis=1).all()))
    chosen = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=60))
    vectors, allowed = unit_half(few[chosen].astype(float)), np.array(data.draw(
        st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen))))  # fmt: skip
    k = data.draw(st.integers(1, 70))
    found = exact_nearest(Vectors(vectors), few[0].astype(np.float32), k, allowed)
    assert places(found) == [p for p, _ in plain_nearest(vectors, few[0].astype(np.float64), k, allowed)]


def test_many_duplicates_hide_nothing() -> None:
    rng = np.random.default_rng(0)
    vectors = np.concatenate([np.repeat(rng.normal(size=(1, 16)), 3000, 0), rng.normal(size=(100, 16))])
    library = MemoryLibrary(vectors.astype(np.float32), rows(3100))
    assert places(library.search(library.vectors(np.array([7]))[0], 4)) == [0, 1, 2, 3]
    for place in range(3000, 3100):
        assert places(library.search(vectors[place].astype(np.float32), 1)) == [place]


def test_a_library_says_what_is_known_of_its_rows() -> None:
    library: Library = MemoryLibrary(np.eye(4, dtype=np.float32) * 7, rows(4))
    assert (len(library), library.dim, library.names()) == (4, 4, ("track_id", "labels", "label", "year"))
    assert library.row(0) == {"track_id": "t0", "labels": ("a", "b")} and library.row(2)["year"] == 1902
    assert library.place("t3") == 3 and library.column("tempo") is None
    label, year, labels = (library.column(name) for name in ("label", "year", "labels"))
    assert label is not None and label.dtype == object and label.tolist() == [None, "b", "a", "b"]
    assert year is not None and year.dtype == np.float64 and np.isnan(year[0]) and year[3] == 1903
    assert labels is not None and labels.tolist() == [("a", "b")] * 4
    np.testing.assert_array_equal(library.vectors(np.array([2, 0])), np.eye(4, dtype=np.float32)[[2, 0]])


def test_an_unknown_id_is_told_with_those_that_are_near() -> None:
    with pytest.raises(UnknownNameError, match=r"no row 't33' is in the catalogue of 5 rows\. Near it are 't3'"):
        MemoryLibrary(np.eye(5, dtype=np.float32), rows(5)).place("t33")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (np.ones(5), r"shape \(5,\), the catalogue 4 dim"),
        (np.array([0, np.nan, 1, np.inf]), "holds nan at 1, and 2 of"),
    ],
)
def test_a_query_that_is_none_is_refused(query: np.ndarray, told: str) -> None:
    with pytest.raises(BundleError, match=told):
        MemoryLibrary(np.eye(4, dtype=np.float32), rows(4)).search(query.astype(np.float32), 1)


def test_what_is_asked_for_wrongly_is_refused() -> None:
    library = MemoryLibrary(np.eye(4, dtype=np.float32), rows(4))
    query = np.ones(4, np.float32)
    with pytest.raises(ConfigError, match="k is 0"):
        library.search(query, 0)
    for allowed in (np.ones(3, bool), np.ones(4, np.int64)):
        with pytest.raises(ConfigError, match="a bool for each of 4 rows"):
            library.search(query, 1, allowed)
    assert library.search(query, 1, np.zeros(4, bool)) == [] and library.search(query * 0, 3) == []
    assert len(library.search(query, 99)) == 4


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        (np.array([[1, 0], [0, np.nan]]), "vector of t1 is not finite, and so are 1 of 2"),
        (np.array([[1, 0], [0, 0]]), "vector of t1 is zero"),
        (np.ones((3, 2)), "one vector a row"),
        (np.ones((2, 0)), "one vector a row"),
    ],
)
def test_vectors_that_nothing_is_near_are_refused(vectors: np.ndarray, told: str) -> None:
    with pytest.raises(BundleError, match=told):
        MemoryLibrary(vectors.astype(np.float32), rows(2))


def test_ids_are_of_one_row_each() -> None:
    with pytest.raises(BundleError, match="2 rows have 1 ids"):
        MemoryLibrary(np.eye(2, dtype=np.float32), [{"track_id": "a"}, {"track_id": "a"}])


def test_a_stored_vector_that_is_no_number_is_named() -> None:
    vectors = unit_half(np.random.default_rng(0).normal(size=(500, 8)))
    vectors[300, 2] = np.nan
    with pytest.raises(BundleError, match="vector of row 300"):
        exact_nearest(Vectors(vectors), np.ones(8, np.float32), 3)


def test_one_letter_amiss_is_found_among_many_ids() -> None:
    ids = [f"folder {i % 7}/song {i}.mp3" for i in range(50_000)]
    assert "'folder 0/song 49000.mp3'" in str(unknown_id("folder 0/sang 49000.mp3", ids))
    assert "'folder 0/song 49000.mp3'" in str(unknown_id("song 49000.mp3", ids))
    assert len(str(unknown_id("x" * 10**6, ids))) < 1000, "a long text is neither compared nor repeated as a whole"
