"""Vectors of unit length as they are stored: float16, and of many also codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tonearm.core.errors import BundleError
from tonearm.core.mapped import RowReader
from tonearm.recommend.codes import Codes
from tonearm.recommend.library import IntArray

ROWS_AT_ONCE = 1024
READ_MOST = 4096  # rows, 1 µs each; more are looked up
NOT_FINITE = 0x7C00  # the bits of a float16's exponent, all of them set
UNSIGNED = 0x7FFF


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors of rows.

    Attributes
    ----------
    halves
        float16 (rows, dim), of unit length but for the rounding; nobody writes to it.
    codes
        Of the same rows; None: none were made.
    reader
        Of the file that ``halves`` are mapped from: a few rows are read by it, so that the file does not become this
        process's memory, row by row. None: they are looked up.
    """

    halves: np.ndarray
    codes: Codes | None = None
    reader: RowReader | None = None

    def __len__(self) -> int:
        return len(self.halves)

    @property
    def dim(self) -> int:
        return int(self.halves.shape[1])

    def stored(self, places: IntArray) -> np.ndarray:
        """Vectors of some rows as they are, float16 (places, dim)."""
        places = np.asarray(places, np.int64)
        read = self.reader is not None and len(places) <= READ_MOST
        rows: np.ndarray = self.reader.read(places) if read and self.reader is not None else self.halves[places]
        return rows

    def unit(self, places: IntArray) -> np.ndarray:
        """Vectors of some rows as float64 (places, dim), of unit length."""
        rows = self.stored(places).astype(np.float64)
        lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
        unit: np.ndarray = rows / np.where(lengths == 0, 1, lengths)
        return unit

    def require_finite(self) -> None:
        """Check once that all of them are numbers.

        Raises
        ------
        BundleError
            If not; the row is named.
        """
        if self._not_finite is not None:
            raise not_finite(self._not_finite)

    @cached_property
    def _not_finite(self) -> int | None:
        """The first row that holds what is no number."""
        bits = self.halves.view(np.uint16)
        for start in range(0, len(bits), ROWS_AT_ONCE):
            largest = (bits[start : start + ROWS_AT_ONCE] & UNSIGNED).max(axis=1)
            if largest.max() >= NOT_FINITE:
                return start + int(np.argmax(largest >= NOT_FINITE))
        return None


def not_finite(row: int) -> BundleError:
    """The error for a stored vector that is no number."""
    return BundleError(f"the vector of row {row} of the catalogue is not finite: make the catalogue again")
