"""What recommenders work upon: vectors and attributes of the rows of a catalogue, whatever holds them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tonearm.core.errors import BundleError, UnknownNameError
from tonearm.core.types import FloatArray

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

ID = "track_id"  # the column that names a row
NEAR = 3  # ids that are named beside an unknown one
COMPARED = 2000  # names that one is compared with, 0.1 ms each
LONGEST = 200  # characters of a name that are compared and told


@dataclass(frozen=True)
class Found:
    """A row that was found.

    Attributes
    ----------
    place
        Of the row, 0 to the library's length.
    similarity
        Cosine to the query, -1..1.
    """

    place: int
    similarity: float


class Library(Protocol):
    """What can be recommended: of each row a vector of unit length and attributes. It does not change.

    Attributes
    ----------
    dim
        Length of the vectors.
    """

    @property
    def dim(self) -> int: ...

    def __len__(self) -> int: ...

    def vectors(self, places: IntArray) -> FloatArray:
        """float32 (places, dim), unit length."""

    def column(self, name: str) -> np.ndarray | None:
        """An attribute of all rows: numbers as float64, NaN where unknown, else objects, None where unknown.

        None if no row says it.
        """

    def names(self) -> tuple[str, ...]:
        """The attributes that there are."""

    def row(self, place: int) -> dict[str, Any]:
        """What is known of one row, without what is not."""

    def place(self, track_id: str) -> int:
        """Where a row is.

        Raises
        ------
        UnknownNameError
            If there is none of this id; ids that are near are named.
        """

    def search(self, query: FloatArray, k: int, allowed: BoolArray | None = None) -> list[Found]:
        """The ``k`` rows that are nearest by cosine, nearest first; of equally near ones the first place is first.

        Parameters
        ----------
        query
            (dim,), of any length; zeros resemble nothing, so nothing is found.
        k
            At least 1; if there are fewer rows, all of them are found.
        allowed
            Of each row whether it may be found; None: any may.

        Raises
        ------
        BundleError
            If the query is of another model, or not finite.
        ConfigError
            If ``k`` is below 1, or ``allowed`` is not of these rows.
        """


def require_query(query: FloatArray, dim: int) -> None:
    """Check that a query is a vector of the catalogue's space.

    Raises
    ------
    BundleError
        If it has another shape, or holds what is no number.
    """
    if np.shape(query) != (dim,):
        raise BundleError(
            f"the query has shape {np.shape(query)}, the catalogue {dim} dimensions: use the model that it was made "
            "with"
        )
    bad = np.flatnonzero(~np.isfinite(query))
    if len(bad):
        raise BundleError(
            f"the query holds {query[bad[0]]} at {bad[0]}, and {len(bad)} of {dim} values are no finite numbers: the "
            "model that made it is damaged, or its input is"
        )


def unknown_id(track_id: str, known: Iterable[str]) -> UnknownNameError:
    """The error for an id that no row has, with those that are near."""
    there = list(known)
    near = near_names(track_id, there)
    hint = f" Near it are {', '.join(map(repr, near))}." if near else ""
    shown = repr(track_id[:LONGEST])
    return UnknownNameError(f"no row {shown} is in the catalogue of {len(there)} rows.{hint} Ask for one it holds")


def near_names(name: str, known: Sequence[str], most: int = NEAR) -> list[str]:
    """Of many names those that are most like one: compared are those that hold it, are in it, or share a half with it.
    Of these, and of all where there are none, the first :data:`COMPARED`."""
    name = name[:LONGEST]
    part = name.casefold()
    head, tail = part[: (len(part) + 1) // 2], part[len(part) // 2 :]

    def alike(other: str) -> bool:
        return part in other or other in part or other.endswith(tail) or other.startswith(head)

    chosen = [i for i in known if alike(i.casefold())] if part else []
    return difflib.get_close_matches(name, (chosen or known)[:COMPARED], most)
