"""Metadata from a user's table of numbers or vectors, with a row a track or an artist."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.tables import read_table, to_floats

ID_COLUMNS = ("track_id", "artist")


def read_metadata_table(path: str) -> Metadata:
    """Read a table of metadata.

    Parameters
    ----------
    path
        CSV, or Parquet, where a column may hold lists of one length. The column ``track_id`` or ``artist`` says whose
        the row is; every other column that holds numbers, or such lists, becomes metadata. An empty
        cell is unknown (NaN).

    Raises
    ------
    DatasetError
        If it cannot be read, has no such column, names a row twice, or holds no number.
    """
    file = Path(path)
    if not file.is_file():
        raise DatasetError(
            f"no metadata at {path}: give a CSV or Parquet table with a column {' or '.join(ID_COLUMNS)}"
        )
    table = read_table(file, (), None)
    key = next((name for name in ID_COLUMNS if name in table), None)
    if key is None:
        raise DatasetError(f"{path} has no column {' or '.join(ID_COLUMNS)}: it has {', '.join(table)}")
    columns = {name: _values(values) for name, values in table.items() if name != key}
    metadata = {name: values for name, values in columns.items() if values is not None}
    if not metadata:
        raise DatasetError(f"{path} holds no numbers besides {key}: it has {', '.join(columns) or 'no other column'}")
    return Metadata([str(v) for v in table[key]], metadata)


def _values(column: np.ndarray) -> np.ndarray | None:
    """Numbers (rows,) or vectors (rows, dim) as float64; None for a column of texts."""
    if column.dtype.kind in "fiub":
        return column.astype(np.float64)
    lists = [v for v in column if isinstance(v, list | tuple | np.ndarray)]
    if lists:
        lengths = {len(v) for v in lists}
        if len(lengths) > 1:
            raise DatasetError(f"a column holds lists of {sorted(lengths)[:3]} numbers: vectors have one length")
        unknown = [np.nan] * lengths.pop()
        return np.array([v if isinstance(v, list | tuple | np.ndarray) else unknown for v in column], dtype=np.float64)
    made = to_floats(column)
    empty = np.array([str(v).strip() == "" for v in column])
    return made if len(made) and not np.isnan(made[~empty]).any() and not empty.all() else None
