"""Ways to recommend that a model's neighbours are compared with: each gives lists to the same queries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.features.descriptors import DESCRIPTORS
from tonearm.recommend.attributes import numbers
from tonearm.recommend.library import Library
from tonearm.recommend.lists import Lists

Allowed = Callable[[int], npt.NDArray[np.bool_]]
"""Of the row of a query, which rows may be recommended for it, bool (rows,)."""


def nearest(library: Library, queries: npt.NDArray[np.int64], allowed: Allowed, k: int) -> Lists:
    """The neighbours of each query in the library, by its own search."""
    vectors = library.vectors(queries)
    found = (library.search(vector, k, allowed(int(row))) for vector, row in zip(vectors, queries, strict=True))
    return _lists([[hit.place for hit in hits] for hits in found], k)


def nearest_vectors(
    vectors: FloatArray, queries: npt.NDArray[np.int64], allowed: Allowed, k: int, cosine: bool = True
) -> Lists:
    """The neighbours among vectors (rows, dim) of any kind, by cosine or by Euclidean distance."""
    space = vectors.astype(np.float32)
    squares = np.square(space).sum(axis=1)
    if cosine:
        space = space / np.maximum(np.sqrt(squares), np.finfo(np.float32).tiny)[:, None]

    def scores(row: int) -> npt.NDArray[np.floating]:
        products: npt.NDArray[np.floating] = space @ space[row]
        return products if cosine else 2 * products - squares

    return _by_score(scores, queries, allowed, k)


def at_random(queries: npt.NDArray[np.int64], rows: int, allowed: Allowed, k: int, seed: int = 0) -> Lists:
    """Any rows, others for each query."""
    rng = np.random.default_rng(derive_seed("recommended at random", seed, k))
    return _by_score(lambda row: rng.random(rows), queries, allowed, k)


def most_popular(
    listeners: npt.NDArray[np.floating], queries: npt.NDArray[np.int64], allowed: Allowed, k: int
) -> Lists:
    """Those that most listen to, the same for each query; of equally many the first row."""
    return _by_score(lambda row: listeners, queries, allowed, k)


def same_value(column: np.ndarray, queries: npt.NDArray[np.int64], allowed: Allowed, k: int, seed: int = 0) -> Lists:
    """Any rows with the query's own value first, such as its label, then any others."""
    rng = np.random.default_rng(derive_seed("recommended of the same value", seed, k))
    known = np.array([value is not None for value in column])
    return _by_score(lambda row: rng.random(len(column)) + (known & (column == column[row])), queries, allowed, k)


def described(library: Library) -> FloatArray | None:
    """Descriptors as vectors, float32 (rows, descriptors), in standard deviations; 0 where one is not known.

    None if the library has none.
    """
    parts = []
    for name in DESCRIPTORS:
        values = numbers(library, name)
        known = None if values is None else values[np.isfinite(values)]
        if values is not None and known is not None and len(known) and known.std() > 0:
            parts.append(np.nan_to_num((values - known.mean()) / known.std()))
    return np.stack(parts, axis=1).astype(np.float32) if parts else None


def _by_score(
    scores: Callable[[int], npt.NDArray[np.floating]], queries: npt.NDArray[np.int64], allowed: Allowed, k: int
) -> Lists:
    found = []
    for row in queries.tolist():
        places = np.flatnonzero(allowed(row))
        order = np.argsort(-scores(row)[places], kind="stable")[:k]
        found.append(places[order].tolist())
    return _lists(found, k)


def _lists(found: list[list[int]], k: int) -> Lists:
    lists = np.full((len(found), k), -1, dtype=np.int64)
    for i, places in enumerate(found):
        lists[i, : len(places)] = places
    return lists
