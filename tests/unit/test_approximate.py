"""Approximate search of many vectors: recall, filters, duplicates, and an index that loses its own vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tonearm.core.errors import BundleError
from tonearm.recommend import approximate
from tonearm.recommend.approximate import require_finds
from tonearm.recommend.catalogue import Catalogue
from tonearm.recommend.catalogue_changes import Space, change_catalogue
from tonearm.recommend.memory import MemoryLibrary

COUNT, DIM = 6_000, 16


def clustered(count: int, seed: int) -> np.ndarray:
    """Vectors around 60 centres, which are the same for all seeds."""
    centres = np.random.default_rng(0).normal(size=(60, DIM))
    rng = np.random.default_rng(seed)
    return (centres[rng.integers(0, 60, count)] + 0.6 * rng.normal(size=(count, DIM))).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    made = clustered(COUNT, 1)
    made[2_000:5_000] = made[1_999]  # as in a library that holds one recording very often
    return made


@pytest.fixture(scope="module")
def made(vectors: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    uri = str(tmp_path_factory.mktemp("approximate"))
    rows = [{"track_id": f"t{i}"} for i in range(COUNT)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approximate, "CHECKED", 200)
        change_catalogue(uri, Space("m", DIM), rows, vectors, exact_most=100)
    change_catalogue(uri, Space("m", DIM), [{"track_id": "new"}], clustered(1, 9), ["t0", "t1"])
    return Catalogue.open(uri)


@pytest.fixture(scope="module")
def exact(made: Catalogue) -> MemoryLibrary:
    """The same rows, searched exactly."""
    return MemoryLibrary(made.vectors(np.arange(len(made))), [{"track_id": i} for i in made.ids])


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.004])
def test_nearly_all_that_an_exact_search_finds_is_found_whatever_the_filter(
    made: Catalogue, exact: MemoryLibrary, share: float
) -> None:
    rng, hits = np.random.default_rng(3), []
    allowed = rng.random(len(made)) < share if share < 1 else None
    for query in clustered(40, 5):
        found, expected = made.search(query, 20, allowed), exact.search(query, 20, allowed)
        assert len(found) == len(expected) and all(allowed is None or allowed[f.place] for f in found)
        hits.append(len({f.place for f in found} & {f.place for f in expected}) / len(expected))
        first = {f.place: f.similarity for f in expected}
        assert all(abs(first[f.place] - f.similarity) < 1e-3 for f in found if f.place in first)
    assert np.mean(hits) >= (0.98 if share >= 0.2 else 1.0), "below a fifth the search is exact"


def test_a_query_starts_no_threads(made: Catalogue) -> None:
    import faiss

    index = made.parts[0].index
    assert index is not None and faiss.downcast_InvertedLists(index._index.invlists).prefetch_nthread == 0


def test_a_duplicate_hides_no_other(made: Catalogue, vectors: np.ndarray) -> None:
    assert made.parts[0].index is not None
    for row in range(5_000, 5_100):
        assert made.ids[made.search(vectors[row], 1)[0].place] == f"t{row}"
    near = made.search(vectors[1_999], 50)
    assert [f.place for f in near] == list(range(1_997, 2_047)), "equal ones are in the order of their places"


def test_what_was_removed_is_not_found_and_what_was_added_is(made: Catalogue, vectors: np.ndarray) -> None:
    assert made.ids[made.search(vectors[0], 1)[0].place] != "t0" and len(made) == COUNT - 1
    assert made.search(clustered(1, 9)[0], 1)[0].place == made.place("new") == COUNT - 2


def test_more_than_an_index_can_find_is_found_exactly(made: Catalogue, exact: MemoryLibrary) -> None:
    query = clustered(1, 7)[0]
    assert [f.place for f in made.search(query, 5_500)] == [f.place for f in exact.search(query, 5_500)]


def test_an_index_that_does_not_find_its_own_vectors_is_not_used(tmp_path: Path) -> None:
    import faiss

    stored = (clustered(500, 2) / np.linalg.norm(clustered(500, 2), axis=1, keepdims=True)).astype(np.float16)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(DIM), DIM, 4, faiss.METRIC_INNER_PRODUCT)
    index.train(stored.astype(np.float32))
    index.add(stored.astype(np.float32))
    require_finds(index, stored, np.arange(500))
    with pytest.raises(BundleError, match=r"does not find 300 of 300 of its own vectors, e\.g\. rows 200, 201"):
        require_finds(index, -stored, np.arange(200, 500))


def test_the_catalogue_is_not_written_if_its_index_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BundleError("the approximate index does not find 1 of 1000 of its own vectors")

    monkeypatch.setattr(approximate, "require_finds", refuse)
    rows = [{"track_id": str(i)} for i in range(300)]
    with pytest.raises(BundleError, match="does not find"):
        change_catalogue(str(tmp_path), Space("m", DIM), rows, clustered(300, 3), exact_most=100)
    with pytest.raises(BundleError, match="is not there"):
        Catalogue.open(str(tmp_path))
