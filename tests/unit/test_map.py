"""A library's map: what it keeps together, how well it says so, and odd libraries."""

from __future__ import annotations

import numpy as np
import pytest

from tests.libraries import PlainLibrary
from tonearm.core.errors import BundleError
from tonearm.recommend.map import LibraryMap, map_library


def two_clusters(each: int = 30, dim: int = 12) -> PlainLibrary:
    """Two directions, far apart, with a little noise; odd rows are of the one, even ones of the other."""
    rng = np.random.default_rng(0)
    centres = np.eye(dim)[[i % 2 for i in range(2 * each)]]
    return PlainLibrary(centres + rng.normal(scale=0.05, size=centres.shape))


@pytest.fixture(scope="module")
def clusters() -> LibraryMap:
    return map_library(two_clusters())


def nearest(places: np.ndarray) -> np.ndarray:
    distances: np.ndarray = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)


def test_far_clusters_stay_apart_and_the_figure_says_so(clusters: LibraryMap) -> None:
    near = nearest(clusters.coordinates)[:, :10]
    assert (near % 2 == np.arange(60)[:, None] % 2).all(), "the ten nearest are of the own cluster"
    told = clusters.faithfulness
    assert told is not None and told.rows == 60
    assert told.trustworthiness > 0.8 > 0.65 > told.chance > 0.35
    assert (clusters.fitted, clusters.different) == (60, 60)


def test_coordinates_fill_a_square_with_one_scale(clusters: LibraryMap) -> None:
    places = clusters.coordinates
    assert places.dtype == np.float32 and places.shape == (60, 2)
    extent = np.ptp(places, axis=0)
    assert extent.max() == pytest.approx(1, abs=1e-6) and extent.min() > 0
    np.testing.assert_allclose((places.min(axis=0) + places.max(axis=0)) / 2, 0.5, atol=1e-6)


def test_the_same_library_has_the_same_map(clusters: LibraryMap) -> None:
    np.testing.assert_array_equal(map_library(two_clusters()).coordinates, clusters.coordinates)


def test_rows_beyond_the_sample_lie_in_their_own_cluster() -> None:
    found = map_library(two_clusters(), most=20)
    assert (found.fitted, found.different) == (20, 60)
    near = nearest(found.coordinates)[:, :3]
    assert (near % 2 == np.arange(60)[:, None] % 2).all()
    np.testing.assert_array_equal(map_library(two_clusters(), most=20).coordinates, found.coordinates)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6])
def test_a_tiny_library_has_a_map(rows: int) -> None:
    found = map_library(PlainLibrary(np.eye(6)[:rows]))
    assert found.coordinates.shape == (rows, 2) and np.isfinite(found.coordinates).all()
    assert len(np.unique(found.coordinates, axis=0)) == rows, "each lies at a place of its own"
    assert found.faithfulness is None, "most are neighbours"


def test_one_row_lies_in_the_middle() -> None:
    np.testing.assert_array_equal(map_library(PlainLibrary(np.ones((1, 3)))).coordinates, [[0.5, 0.5]])


def test_equal_vectors_lie_at_one_place_and_leave_the_others_where_they_were(clusters: LibraryMap) -> None:
    plain = two_clusters()
    vectors = plain.vectors(np.arange(60))
    found = map_library(PlainLibrary(np.concatenate([vectors, vectors[:1].repeat(40, axis=0)])))
    np.testing.assert_array_equal(found.coordinates[60:], found.coordinates[:1].repeat(40, axis=0))
    np.testing.assert_array_equal(found.coordinates[:60], clusters.coordinates)
    assert map_library(PlainLibrary(np.ones((30, 4)))).coordinates.tolist() == [[0.5, 0.5]] * 30


def test_vectors_of_one_dimension_have_a_map() -> None:
    found = map_library(PlainLibrary(np.array([[1.0], [-1.0], [2.0]])))
    np.testing.assert_array_equal(found.coordinates, [[1, 0.5], [0, 0.5], [1, 0.5]])


def test_nothing_to_map_and_vectors_that_are_no_numbers_are_errors() -> None:
    with pytest.raises(BundleError, match="no rows"):
        map_library(PlainLibrary(np.zeros((0, 4))))
    broken = np.ones((3, 4))
    broken[1, 2] = np.nan
    with pytest.raises(BundleError, match="row 1 of the catalogue is not finite"):
        map_library(PlainLibrary(broken))
