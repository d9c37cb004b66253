"""Neighbours of a vector, with what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tonearm.core.types import FloatArray
from tonearm.recommend.library import ID, Library


@dataclass(frozen=True)
class Neighbour:
    """A track with its cosine similarity (-1..1) to the query, and its metadata."""

    similarity: float
    track: dict[str, Any]


def neighbours_of(library: Library, vector: FloatArray, k: int = 5, exclude: str | None = None) -> list[Neighbour]:
    """The ``k`` nearest rows, nearest first.

    Parameters
    ----------
    vector
        (dim,), of any length; zeros resemble nothing.
    exclude
        An id to leave out: the query itself, when it is in the library.

    Raises
    ------
    BundleError
        If the vector is of another model, or not finite.
    """
    found = library.search(vector, k + (exclude is not None))
    near = [Neighbour(f.similarity, library.row(f.place)) for f in found]
    return [n for n in near if n.track[ID] != exclude][:k]
