"""A library in memory, searched in the plainest way: what tests recommend from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tonearm.core.types import FloatArray
from tonearm.core.unit_length import unit_length
from tonearm.recommend.library import BoolArray, Found, IntArray, unknown_id


class PlainLibrary:
    """Vectors (rows, dim) and columns (rows,) as given; ids are ``t0``, ``t1``, … unless there is a column of them."""

    def __init__(self, vectors: np.ndarray, **columns: Sequence[Any]) -> None:
        self._vectors = unit_length(vectors)
        self.dim = vectors.shape[1]
        self._columns = {name: np.array(values) if _numeric(values) else _objects(values)
                         for name, values in columns.items()}  # fmt: skip
        self._columns.setdefault("track_id", _objects([f"t{i}" for i in range(len(vectors))]))

    def __len__(self) -> int:
        return len(self._vectors)

    def vectors(self, places: IntArray) -> FloatArray:
        return self._vectors[places]

    def column(self, name: str) -> np.ndarray | None:
        return self._columns.get(name)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._columns))

    def row(self, place: int) -> dict[str, Any]:
        cells = {name: values[place] for name, values in self._columns.items()}
        return {name: v for name, v in cells.items() if v is not None and v == v}

    def place(self, track_id: str) -> int:
        ids = self._columns["track_id"].tolist()
        if track_id not in ids:
            raise unknown_id(track_id, ids)
        return int(ids.index(track_id))

    def search(self, query: FloatArray, k: int, allowed: BoolArray | None = None) -> list[Found]:
        cosines = self._vectors @ query
        order = np.argsort(-cosines, kind="stable")
        kept = [i for i in order.tolist() if allowed is None or allowed[i]]
        return [Found(i, float(cosines[i])) for i in kept[:k]]


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(v, int | float | np.number) for v in values)


def _objects(values: Sequence[Any]) -> np.ndarray:
    cells = np.empty(len(values), dtype=object)
    cells[:] = values
    return cells


def random_library(rows: int = 60, dim: int = 8, seed: int = 0) -> PlainLibrary:
    """Directions at random; labels, artists, years and tempi that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    return PlainLibrary(
        rng.normal(size=(rows, dim)),
        label=[("folk", "jazz", "chorale")[i % 3] for i in range(rows)],
        artist=[f"Artist {i % 10}" for i in range(rows)],
        year=[float(1900 + i) for i in range(rows)],
        tempo=rng.uniform(60, 180, rows).tolist(),
    )
