"""Attributes of rows as columns: numbers as float64, NaN where unknown, all else as objects, None where unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


def values_as_column(values: Sequence[Any]) -> np.ndarray | None:
    """Plain values as a column; None if none is known."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    column = np.empty(len(values), object)
    column[:] = values
    return column


def column_values(table: pa.Table, name: str) -> np.ndarray | int:
    """A column of an Arrow table; where nothing is known of it, how many rows there are."""
    import pyarrow as pa

    if name not in table.column_names or table.column(name).null_count == table.num_rows:
        return int(table.num_rows)
    column = table.column(name)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers: np.ndarray = column.cast(pa.float64()).to_numpy()  # nulls become NaN
        return numbers
    values = np.empty(table.num_rows, object)
    values[:] = [plain_value(value) for value in column.to_pylist()]
    return values


def as_column(parts: Sequence[np.ndarray | int]) -> np.ndarray | None:
    """The column of several parts, of which some know nothing."""
    known = [part for part in parts if not isinstance(part, int)]
    if not known:
        return None
    numbers = all(part.dtype == np.float64 for part in known)
    unknown: float | None = np.nan if numbers else None
    filled = [np.full(p, unknown, np.float64 if numbers else object) if isinstance(p, int) else p for p in parts]
    if numbers:
        return np.concatenate(filled)
    objects = [[None if v != v else v for v in p] if p.dtype == np.float64 else list(p) for p in filled]
    column = np.empty(sum(map(len, objects)), object)
    column[:] = [value for part in objects for value in part]
    return column


def plain_value(value: Any) -> Any:
    """A value of an Arrow row: lists as tuples, which are compared and hashed."""
    return tuple(value) if isinstance(value, list) else value
