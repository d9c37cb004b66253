"""The catalogue: exact neighbours on small ones, saved and loaded, and how good neighbours are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.builders import track
from tonearm.core.errors import BundleError, ConfigError
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Track
from tonearm.recommend import CatalogueIndex
from tonearm.recommend.evaluate import hit_rate


def catalogue(tracks: int = 300, dim: int = 24, seed: int = 0, classes: int = 3) -> tuple[FloatArray, list[Track]]:
    vectors = np.random.default_rng(seed).normal(0, 2, (tracks, dim)).astype(np.float32)
    return vectors, [track(f"t{i:03d}", f"class{i % classes}", title=f"Title {i}") for i in range(tracks)]


def exact(vectors: FloatArray, query: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    """Order by cosine, nearest first, and the cosines; of vectors of unit length in float16, as they are kept."""
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float64)
    cosines = (vectors @ query) / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))
    order = np.argsort(-cosines, kind="stable")
    return order, cosines


def test_neighbours_equal_an_exact_search() -> None:
    vectors, tracks = catalogue()
    index = CatalogueIndex.build(vectors, tracks)
    for query in np.random.default_rng(1).normal(0, 5, (20, 24)).astype(np.float32):
        order, cosines = exact(vectors, query)
        found = index.search(query, 10)
        assert [n.track["track_id"] for n in found] == [tracks[i].track_id for i in order[:10]]
        np.testing.assert_allclose([n.similarity for n in found], cosines[order[:10]], atol=1e-5)


def test_length_of_vectors_does_not_count() -> None:
    vectors, tracks = catalogue(50)
    index = CatalogueIndex.build(vectors * np.linspace(0.01, 100, 50)[:, None].astype(np.float32), tracks)
    ids = [n.track["track_id"] for n in CatalogueIndex.build(vectors, tracks).search(vectors[7], 5)]
    assert [n.track["track_id"] for n in index.search(vectors[7] * 1e3, 5)] == ids
    np.testing.assert_allclose(np.linalg.norm(index.vectors, axis=1), 1, atol=1e-5)


def test_query_itself_can_be_left_out() -> None:
    vectors, tracks = catalogue()
    index = CatalogueIndex.build(vectors, tracks)
    assert index.search(vectors[5], 3)[0].track["track_id"] == "t005"
    found = index.search(vectors[5], 3, exclude="t005")
    assert len(found) == 3 and "t005" not in [n.track["track_id"] for n in found]
    assert [n.track["track_id"] for n in index.search(vectors[5], 4)][1:] == [n.track["track_id"] for n in found]
    assert len(index.search(vectors[5], 3, exclude="unknown")) == 3


def test_all_of_a_small_catalogue_can_be_asked_for() -> None:
    vectors, tracks = catalogue(9)
    found = CatalogueIndex.build(vectors, tracks).search(vectors[0], 50)
    assert len(found) == 9
    assert [n.track["track_id"] for n in found] == [f"t{i:03d}" for i in exact(vectors, vectors[0])[0]]


def test_zeros_resemble_nothing() -> None:
    vectors, tracks = catalogue(20)
    index = CatalogueIndex.build(vectors, tracks)
    assert index.search(np.zeros(24, dtype=np.float32)) == []
    assert index.search(vectors[0])[0].track["track_id"] == tracks[0].track_id


@pytest.mark.parametrize("shape", [(23,), (25,), (1, 24), ()])
def test_query_of_another_model_is_refused(shape: tuple[int, ...]) -> None:
    index = CatalogueIndex.build(*catalogue(20))
    with pytest.raises(BundleError, match="24 dimensions: use the model"):
        index.search(np.ones(shape, dtype=np.float32))


def test_what_is_known_is_kept() -> None:
    index = CatalogueIndex.build(*catalogue(3))
    known = {"track_id", "title", "label", "group", "content", "source"}  # not what is absent; serve shows no source
    assert set(index.tracks[0]) == known


def test_what_a_model_maps_to_zeros_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    vectors, tracks = catalogue(5)
    vectors[3] = 0
    index = CatalogueIndex.build(vectors, tracks)
    assert [row["track_id"] for row in index.tracks] == ["t000", "t001", "t002", "t004"]
    assert "1 of 5 tracks are left out of the catalogue" in caplog.text and "t003" in caplog.text
    assert index.search(vectors[4], 1)[0].track["track_id"] == "t004"


def test_zeros_of_an_earlier_catalogue_are_kept_and_told_but_never_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vectors, tracks = catalogue(5)
    CatalogueIndex.build(vectors, tracks).save(str(tmp_path))
    stored = np.load(tmp_path / "vectors.npy")
    stored[3] = 0  # what was saved before zeros were left out
    np.save(tmp_path / "vectors.npy", stored)
    CatalogueIndex.load(str(tmp_path)).save(str(tmp_path / "again"))
    index = CatalogueIndex.load(str(tmp_path / "again"))
    assert index.is_of(tracks) and [row["track_id"] for row in index.tracks] == [t.track_id for t in tracks]
    assert np.array_equal(index.vectors, stored) and index.placed.tolist() == [True, True, True, False, True]
    assert "1 of 5 tracks of the catalogue" in caplog.text and "t003" in caplog.text
    assert {n.track["track_id"] for n in index.search(vectors[4], 9)} == {"t000", "t001", "t002", "t004"}
    assert len(index.library) == 4 and index.library.row(index.library.place("t004")) == index.tracks[4]


@pytest.mark.parametrize(("vectors", "tracks"), [(3, 2), (0, 0), (2, 3)])
def test_one_vector_a_track_is_needed(vectors: int, tracks: int) -> None:
    with pytest.raises(BundleError, match="one vector a track"):
        CatalogueIndex.build(np.ones((vectors, 4), dtype=np.float32), [track(str(i)) for i in range(tracks)])


def test_catalogue_comes_back_as_saved(tmp_path: Path) -> None:
    vectors, tracks = catalogue()
    index = CatalogueIndex.build(vectors, tracks)
    index.save(str(tmp_path))
    again = CatalogueIndex.load(str(tmp_path))
    assert again.tracks == index.tracks and np.array_equal(again.vectors, index.vectors)
    for i in range(0, 300, 37):
        assert again.search(vectors[i], 7) == index.search(vectors[i], 7)


@pytest.mark.parametrize("name", ["vectors.npy", "tracks.json", "catalogue.json"])
@pytest.mark.parametrize("damage", ["absent", "empty", "truncated"])
def test_damaged_catalogue_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    CatalogueIndex.build(*catalogue(20)).save(str(tmp_path))
    path = tmp_path / name
    data = path.read_bytes()
    path.unlink() if damage == "absent" else path.write_bytes(data[: len(data) // 2] if damage == "truncated" else b"")
    with pytest.raises(BundleError, match=r"damaged|is not there"):
        CatalogueIndex.load(str(tmp_path))


def test_other_version_is_refused_by_name(tmp_path: Path) -> None:
    CatalogueIndex.build(*catalogue(5)).save(str(tmp_path))
    (tmp_path / "catalogue.json").write_text(json.dumps({"format": 2, "tracks": 5}))
    with pytest.raises(BundleError, match="format version 2, this Tonearm reads 1"):
        CatalogueIndex.load(str(tmp_path))


# --- how good neighbours are


def test_perfect_neighbours_hit_always() -> None:
    vectors = np.repeat(np.eye(4, dtype=np.float32), 6, axis=0)
    vectors += np.random.default_rng(0).normal(0, 0.01, vectors.shape).astype(np.float32)
    tracks = [track(f"t{i:02d}", f"class{i // 6}") for i in range(24)]
    rate = hit_rate(CatalogueIndex.build(vectors, tracks), "label", [t.track_id for t in tracks], k=5)
    assert (rate.queries, rate.at_least_one, rate.precision) == (24, 1.0, 1.0)
    assert rate.chance_precision == pytest.approx(5 / 23)


def test_chance_is_what_random_neighbours_score() -> None:
    rng = np.random.default_rng(3)
    sizes, k = {"a": 12, "b": 5, "c": 2}, 4
    labels = [c for c, n in sizes.items() for _ in range(n)]
    tracks = [track(f"t{i:02d}", c) for i, c in enumerate(labels)]
    index = CatalogueIndex.build(rng.normal(size=(19, 8)).astype(np.float32), tracks)
    rate = hit_rate(index, "label", [t.track_id for t in tracks], k)
    hits, precision = [], []
    for _ in range(400):
        for i, label in enumerate(labels):
            drawn = rng.choice([j for j in range(19) if j != i], k, replace=False)
            same = sum(labels[j] == label for j in drawn)
            hits.append(same > 0)
            precision.append(same / k)
    error = 4 / np.sqrt(len(hits))
    assert rate.chance_at_least_one == pytest.approx(np.mean(hits), abs=0.5 * error)
    assert rate.chance_precision == pytest.approx(np.mean(precision), abs=0.5 * error)


def test_queries_that_nothing_could_hit_are_left_out() -> None:
    vectors, _ = catalogue(10)
    tracks = [track(f"t{i}", "alone" if i == 0 else "many", artist=None if i < 5 else "A") for i in range(10)]
    index = CatalogueIndex.build(vectors, tracks)
    assert hit_rate(index, "label", ["t0", "t1", "t2"], 3).queries == 2
    assert hit_rate(index, "artist", [t.track_id for t in tracks], 3).queries == 5
    with pytest.raises(ConfigError, match="no query shares its 'label'"):
        hit_rate(index, "label", ["t0"], 3)


@pytest.mark.parametrize("k", [0, 10, 11])
def test_more_neighbours_than_there_are_cannot_be_judged(k: int) -> None:
    vectors, tracks = catalogue(10)
    with pytest.raises(ConfigError, match=f"k is {k}"):
        hit_rate(CatalogueIndex.build(vectors, tracks), "label", ["t000"], k)


def test_unknown_query_is_named() -> None:
    with pytest.raises(ConfigError, match="'absent'"):
        hit_rate(CatalogueIndex.build(*catalogue(10)), "label", ["absent"], 3)
