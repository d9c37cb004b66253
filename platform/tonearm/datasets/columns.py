"""Columns of metadata: in memory, mapped from a file, or read when they are first asked for; rows are taken of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import numpy as np

ROWS_AT_ONCE = 4096
Kind = Literal["f", "i", "O"]
"""Floating-point numbers, where NaN says "unknown"; whole numbers; texts."""


class Column(Protocol):
    """Values of rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows,), or (rows, numbers in each)."""

    @property
    def kind(self) -> Kind:
        """What it holds."""

    def take(self, rows: np.ndarray, numbers: slice = slice(None)) -> np.ndarray:
        """A copy of some rows, of vectors these ``numbers`` of each: float64, int64 or objects."""


class ArrayColumn:
    """Values that are there: in memory, or in a file that is mapped into it.

    Parameters
    ----------
    values
        float64 or int64, or float32 that is to be read as float64, or texts as objects.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def kind(self) -> Kind:
        return "f" if self.values.dtype.kind == "f" else "i" if self.values.dtype.kind == "i" else "O"

    def take(self, rows: np.ndarray, numbers: slice = slice(None)) -> np.ndarray:
        chosen: np.ndarray = self.values[rows] if self.values.ndim == 1 else self.values[:, numbers][rows]
        return chosen.astype(np.float64, copy=False) if self.kind == "f" else chosen


class ReadColumn:
    """Values that are read when they are first asked for."""

    def __init__(self, shape: tuple[int, ...], kind: Kind, read: Callable[[], np.ndarray]) -> None:
        self._shape, self._kind, self._read = shape, kind, read
        self._values: ArrayColumn | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def kind(self) -> Kind:
        return self._kind

    def take(self, rows: np.ndarray, numbers: slice = slice(None)) -> np.ndarray:
        if self._values is None:
            self._values = ArrayColumn(self._read())
        return self._values.take(rows, numbers)


class ChosenColumn:
    """Rows of another column in another order, without a copy of them.

    Parameters
    ----------
    rows
        Of the other column; -1 where nothing is known, of floating-point numbers only.
    """

    def __init__(self, column: Column, rows: np.ndarray) -> None:
        self._column, self._rows = column, rows

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._rows), *self._column.shape[1:])

    @property
    def kind(self) -> Kind:
        return self._column.kind

    def take(self, rows: np.ndarray, numbers: slice = slice(None)) -> np.ndarray:
        there = self._rows[rows]
        values = self._column.take(np.maximum(there, 0), numbers)
        if self.kind == "f":
            values[there < 0] = np.nan
        return values


def blocks_of(column: Column, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of a column, some at a time, so that what is mapped need not fit into memory."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        yield column.take(rows[start : start + ROWS_AT_ONCE])
