"""Exact neighbours: a quick look at all vectors, then what is near enough in float64.

The look is at bytes where there are such, else at float16. It is known how far it may be off; whatever it leaves within
that of the k-th value is compared again, so the result is that of an exact comparison of the stored vectors, in which
equal vectors are equally near.
"""

from __future__ import annotations

import math

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray
from tonearm.recommend.library import BoolArray, Found, IntArray
from tonearm.recommend.scan import largest_products
from tonearm.recommend.vectors import ROWS_AT_ONCE, Vectors, not_finite

SOME = 0.2  # share of rows: of so few it is quicker to ask of each whether it is allowed than to multiply all
LOOKED = 400  # rows, or four for each that is asked for, that a look leaves; 236 random ones were within its error
WIDER = 8  # times as many, where these were too few


def exact_nearest(vectors: Vectors, query: FloatArray, k: int, allowed: BoolArray | None = None) -> list[Found]:
    """The ``k`` nearest rows by cosine, nearest first; of equally near ones the first is first.

    Parameters
    ----------
    vectors
        Of all rows, of which none is zero.
    query
        (dim,), finite, of any length but zero.
    k
        At least 1.
    allowed
        (rows,); None: all are.

    Raises
    ------
    BundleError
        If a vector that is looked at holds what is no number: all are where there are no codes, else those that are
        near.
    ConfigError
        If ``k`` is below 1, or ``allowed`` has another length.
    """
    require_choice(len(vectors), k, allowed)
    unit = unit_query(query)
    count = len(vectors) if allowed is None else int(np.count_nonzero(allowed))
    if count <= max(LOOKED, k):
        near = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
    else:
        near = _near(vectors, unit, k, allowed, count)
    return nearest_of(vectors, near, unit, k)


def unit_query(query: FloatArray) -> np.ndarray:
    """A query that is not zero as float64 of unit length."""
    unit = np.asarray(query, np.float64)
    unit = unit / np.abs(unit).max()  # squares of what is tiny or huge are no numbers
    scaled: np.ndarray = unit / np.linalg.norm(unit)
    return scaled


def require_choice(rows: int, k: int, allowed: BoolArray | None) -> None:
    """Check what is asked for.

    Raises
    ------
    ConfigError
        If ``k`` is below 1, or ``allowed`` is not a truth value for each row.
    """
    if k < 1:
        raise ConfigError(f"k is {k}: ask for at least 1 neighbour")
    if allowed is not None and (allowed.shape != (rows,) or allowed.dtype != np.bool_):
        raise ConfigError(f"allowed is {allowed.dtype} of shape {allowed.shape}: give a bool for each of {rows} rows")


def nearest_of(vectors: Vectors, places: IntArray, unit: np.ndarray, k: int) -> list[Found]:
    """The ``k`` nearest of some rows, compared in float64; ``unit`` is a query of unit length."""
    cosines = np.empty(len(places), np.float32)
    for start in range(0, len(places), ROWS_AT_ONCE):
        rows = vectors.unit(places[start : start + ROWS_AT_ONCE])
        # Not by BLAS, whose sums depend on where a row lies: equal vectors must be equally near.
        cosines[start : start + ROWS_AT_ONCE] = (rows * unit).sum(axis=1)
    if np.isnan(cosines).any():
        raise not_finite(int(places[np.isnan(cosines)][0]))
    order = np.lexsort((places, -cosines))[:k]
    return list(map(Found, places[order].tolist(), np.clip(cosines[order], -1, 1).tolist()))


def _near(vectors: Vectors, unit: np.ndarray, k: int, allowed: BoolArray | None, count: int) -> IntArray:
    """The rows that may be among the ``k`` nearest of the ``count`` allowed ones."""
    by_one = allowed if count < SOME * len(vectors) else None
    among = len(vectors) if by_one is None else count
    most = min(among, math.ceil(max(LOOKED, 4 * k) * among / count))
    if vectors.codes is not None:
        near = _within(vectors, unit, k, allowed, vectors.codes.nearest(unit, most, by_one), among)
        if near is not None:
            return near
    vectors.require_finite()
    while True:
        near = _within(vectors, unit, k, allowed, _nearest_halves(vectors, unit, most, by_one), among)
        if near is not None:
            return near
        most = min(WIDER * most, among)


def _nearest_halves(
    vectors: Vectors, unit: np.ndarray, most: int, allowed: BoolArray | None
) -> tuple[np.ndarray, IntArray, float]:
    """As :meth:`~tonearm.recommend.codes.Codes.nearest`."""
    products, places = largest_products("QT_fp16", vectors.halves, unit.astype(np.float32), most, allowed)
    # A vector's length is rounded to 11 bits, and each sum of float32 to 24.
    return products.astype(np.float64), places, 2.0**-11 + len(unit) * 2.0**-23


def _within(
    vectors: Vectors, unit: np.ndarray, k: int, allowed: BoolArray | None,
    looked: tuple[np.ndarray, IntArray, float], among: int,
) -> IntArray | None:  # fmt: skip
    """Of what a look at ``among`` rows left, those that may be among the ``k`` nearest; None if others may be, too."""
    values, places, error = looked
    all_of_them, least_seen = len(values) == among, values.min()
    if allowed is not None:
        kept = allowed[places]
        values, places = values[kept], places[kept]
    if len(values) < k:
        return None
    best = places[np.argpartition(-values, k - 1)[:k]]
    # No row that is as near as the last of these can look farther than that less the error.
    edge = nearest_of(vectors, best, unit, k)[-1].similarity - error
    return places[values >= edge] if all_of_them or least_seen < edge else None
