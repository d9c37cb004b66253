"""A library in two dimensions: what is near in the model's space lies together.

Principal components, then t-SNE (van der Maaten and Hinton 2008, *Visualizing Data using t-SNE*), which keeps
neighbours; distances between far groups mean little. How well they are kept is measured (Venna and Kaski 2001,
*Neighborhood preservation in nonlinear projection methods*).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tonearm.core.errors import BundleError
from tonearm.core.seeding import derive_seed, digest
from tonearm.core.types import FloatArray
from tonearm.recommend.library import IntArray, Library

logger = logging.getLogger(__name__)

COMPONENTS = 50  # that t-SNE sees: it is quicker, and what is left out is mostly noise
SMALL, APART = 1e-4, 0.01  # deviation of the coordinates that t-SNE begins with, and what they are disturbed by
PERPLEXITY = 30.0  # neighbours that t-SNE keeps together, about
FEW = 4  # fewer different vectors lie in a plane as they are, and have no neighbourhoods to keep
MOST = 20_000  # rows that t-SNE places; it would take minutes for more
BESIDE = 5  # nearest rows of these, in whose middle another one is placed
NEIGHBOURS = 10  # that are compared to tell how faithful the map is
COMPARED = 2_000  # rows among which they are looked for, at most: all distances are computed
BLOCK = 4_096  # rows that are read at once
SECONDS_FROM = 2_000  # rows from which on placing takes so long that it is told


@dataclass(frozen=True)
class Faithfulness:
    """How well a map keeps neighbours.

    Attributes
    ----------
    trustworthiness
        0..1: 1 if the nearest rows on the map are the nearest in the model's space, too.
    chance
        The same of coordinates at random, about 0.5.
    rows
        Among how many rows the :data:`NEIGHBOURS` nearest were looked for.
    """

    trustworthiness: float
    chance: float
    rows: int


@dataclass(frozen=True)
class LibraryMap:
    """Where the rows of a library lie.

    Attributes
    ----------
    coordinates
        float32 (rows, 2) in 0..1, with one scale for both axes; equal vectors lie at one place.
    fitted
        How many different vectors were placed by all of their neighbours; the others lie beside the nearest of these.
    different
        How many different vectors there are.
    faithfulness
        None of so few different vectors that most are neighbours.
    """

    coordinates: FloatArray
    fitted: int
    different: int
    faithfulness: Faithfulness | None


def map_library(library: Library, most: int = MOST) -> LibraryMap:
    """Place the rows of a library in two dimensions; the same library gives the same map.

    Parameters
    ----------
    most
        Different vectors that t-SNE places; of more it places a sample, and each other one lies in the middle (the
        median of either coordinate) of the :data:`BESIDE` nearest of it.

    Raises
    ------
    BundleError
        If there are no rows, or a vector is not finite.
    """
    if not len(library):
        raise BundleError("the catalogue has no rows, so there is nothing to map: index a library first")
    first, same = _different(library)
    rng = np.random.default_rng(derive_seed("map", len(first)))
    chosen = np.arange(len(first))
    if len(first) > most:
        chosen = np.sort(rng.choice(len(first), most, replace=False))
    if len(chosen) >= SECONDS_FROM:
        logger.info(f"placing {len(chosen)} of {len(library)} rows on the map, which takes a while ...")
    reduced = _components(library, first, chosen)
    places = _scaled(_placed_beside(_placed(reduced[chosen]), chosen, reduced))
    return LibraryMap(places[same], len(chosen), len(first), _faithfulness(library, first, places, rng))


def _different(library: Library) -> tuple[IntArray, IntArray]:
    """The first row of each vector that there is, and of all rows which of these they are."""
    known: dict[str, int] = {}
    first, same = list[int](), np.empty(len(library), np.int64)
    for start, vectors in _blocks(library, np.arange(len(library))):
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise BundleError(f"the vector of row {start + bad[0]} of the catalogue is not finite: make it again")
        for row, vector in enumerate(vectors, start):
            same[row] = number = known.setdefault(digest(vector.tobytes(), size=16), len(known))
            if number == len(first):
                first.append(row)
    return np.array(first, np.int64), same


def _blocks(library: Library, rows: IntArray) -> Iterator[tuple[int, FloatArray]]:
    """Vectors of rows, some at once: all of a large library need not fit into memory."""
    for start in range(0, len(rows), BLOCK):
        yield start, library.vectors(rows[start : start + BLOCK])


def _components(library: Library, rows: IntArray, chosen: IntArray) -> np.ndarray:
    """Principal components of rows, float32 (rows, at most COMPONENTS), fitted on the chosen ones."""
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    if len(chosen) < 2:
        return np.zeros((len(rows), 1), np.float32)
    components = min(COMPONENTS, len(chosen), library.dim)
    with threadpool_limits(1):  # sums of several threads differ in the last bit, which t-SNE makes large
        fitted = PCA(components, svd_solver="covariance_eigh").fit(library.vectors(rows[chosen]).astype(np.float64))
        found = [fitted.transform(vectors.astype(np.float64)) for _, vectors in _blocks(library, rows)]
    reduced: np.ndarray = np.concatenate(found).astype(np.float32)
    return reduced


def _placed(reduced: np.ndarray) -> np.ndarray:
    """Coordinates (rows, 2) of components (rows, n)."""
    rows = len(reduced)
    if rows < FEW or reduced.shape[1] < 2:
        return np.pad(reduced[:, :2], ((0, 0), (0, max(0, 2 - reduced.shape[1]))))
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    # Principal components, as init="pca" has them; what they make one is pulled apart, else it may stay together.
    start = reduced[:, :2] / reduced[:, 0].std() + np.random.default_rng(derive_seed("start")).normal(
        scale=APART, size=(rows, 2)
    )
    with threadpool_limits(1):
        model = TSNE(2, perplexity=min(PERPLEXITY, (rows - 1) / 3), init=SMALL * start, n_jobs=1)
        places: np.ndarray = model.fit_transform(reduced)
    return places


def _placed_beside(places: np.ndarray, chosen: IntArray, reduced: np.ndarray) -> np.ndarray:
    """Coordinates of all rows: those of the chosen ones as they are, each other one amid the nearest of these."""
    others = np.setdiff1d(np.arange(len(reduced)), chosen)
    everyone = np.empty((len(reduced), 2), np.float32)
    everyone[chosen] = places
    if len(others):
        from sklearn.neighbors import NearestNeighbors

        search = NearestNeighbors(n_neighbors=min(BESIDE, len(chosen)), algorithm="brute").fit(reduced[chosen])
        near = search.kneighbors(reduced[others], return_distance=False)
        everyone[others] = np.median(places[near], axis=1)
    return everyone


def _scaled(places: np.ndarray) -> FloatArray:
    """The same within 0..1, amid it, both axes by one scale."""
    low, high = places.min(axis=0), places.max(axis=0)
    size = float((high - low).max())
    scaled: FloatArray = (0.5 + (places - (low + high) / 2) / (size or 1.0)).clip(0, 1).astype(np.float32)
    return scaled


def _faithfulness(
    library: Library, first: IntArray, places: FloatArray, rng: np.random.Generator
) -> Faithfulness | None:
    if len(first) <= 2 * NEIGHBOURS:  # it is not defined
        return None
    from sklearn.manifold import trustworthiness

    compared = np.sort(rng.choice(len(first), min(COMPARED, len(first)), replace=False))
    vectors = library.vectors(first[compared])  # of unit length: the nearest by distance are so by cosine
    kept = trustworthiness(vectors, places[compared], n_neighbors=NEIGHBOURS)
    chance = trustworthiness(vectors, rng.random((len(compared), 2)), n_neighbors=NEIGHBOURS)
    return Faithfulness(float(kept), float(chance), len(compared))
