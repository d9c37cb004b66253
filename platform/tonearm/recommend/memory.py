"""A library in memory: of a few rows, and of what was computed just now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tonearm.core.errors import BundleError
from tonearm.core.types import FloatArray
from tonearm.core.unit_length import unit_length
from tonearm.recommend.columns import values_as_column
from tonearm.recommend.exact import exact_nearest
from tonearm.recommend.library import ID, BoolArray, Found, IntArray, require_query, unknown_id
from tonearm.recommend.vectors import ROWS_AT_ONCE, Vectors


class MemoryLibrary:
    """Rows whose vectors are kept in memory as float16.

    Parameters
    ----------
    vectors
        float32 (rows, dim), of any length but zero.
    rows
        What is known of each; a ``track_id`` in each, no two alike.

    Raises
    ------
    BundleError
        If they do not fit together, or a vector is zero or not finite.
    """

    def __init__(self, vectors: FloatArray, rows: Sequence[dict[str, Any]]) -> None:
        require_vectors(vectors, [str(row[ID]) for row in rows])
        self._rows = [{name: value for name, value in row.items() if value is not None} for row in rows]
        self._vectors = Vectors(half_of(vectors))
        self._columns: dict[str, np.ndarray] = {}
        self._places = {row[ID]: place for place, row in enumerate(self._rows)}
        if len(self._places) < len(self._rows):
            raise BundleError(f"{len(self._rows)} rows have {len(self._places)} ids: give each row an id of its own")

    @property
    def dim(self) -> int:
        return self._vectors.dim

    def __len__(self) -> int:
        return len(self._rows)

    def vectors(self, places: IntArray) -> FloatArray:
        return self._vectors.unit(places).astype(np.float32)

    def column(self, name: str) -> np.ndarray | None:
        if name not in self._columns:
            found = values_as_column([row.get(name) for row in self._rows])
            if found is None:  # not kept: anybody may ask for any name
                return None
            found.flags.writeable = False
            self._columns[name] = found
        return self._columns[name]

    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for row in self._rows for name in row))

    def row(self, place: int) -> dict[str, Any]:
        return dict(self._rows[place])

    def place(self, track_id: str) -> int:
        if track_id not in self._places:
            raise unknown_id(track_id, self._places)
        return self._places[track_id]

    def search(self, query: FloatArray, k: int, allowed: BoolArray | None = None) -> list[Found]:
        require_query(query, self.dim)
        return exact_nearest(self._vectors, query, k, allowed) if query.any() else []


def half_of(vectors: FloatArray) -> np.ndarray:
    """Vectors of any length as float16 of unit length."""
    halves = np.empty(vectors.shape, np.float16)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        halves[start : start + ROWS_AT_ONCE] = unit_length(vectors[start : start + ROWS_AT_ONCE])
    return halves


def require_vectors(vectors: FloatArray, ids: Sequence[str], dim: int = 0) -> None:
    """Check vectors of rows before they are kept.

    Parameters
    ----------
    vectors
        (rows, dim).
    ids
        Of the rows.
    dim
        That they must have; 0: any.

    Raises
    ------
    BundleError
        If they do not fit together, or one is zero or not finite; the row is named.
    """
    if vectors.ndim != 2 or len(vectors) != len(ids) or not vectors.size:
        raise BundleError(f"vectors of shape {vectors.shape} for {len(ids)} rows: give one vector a row, at least one")
    if dim and vectors.shape[1] != dim:
        raise BundleError(
            f"vectors of {vectors.shape[1]} dimensions for a catalogue of {dim}: they are another model's; make a "
            "catalogue of their own"
        )
    for what, bad in (("not finite", ~np.isfinite(vectors).all(axis=1)), ("zero", ~vectors.any(axis=1))):
        if bad.any():
            raise BundleError(
                f"the vector of {ids[int(np.flatnonzero(bad)[0])]} is {what}, and so are {int(bad.sum())} of "
                f"{len(ids)}: leave them out, nothing can be near them"
            )
