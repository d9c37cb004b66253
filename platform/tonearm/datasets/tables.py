"""Tables that data sets come as: CSV of any usual separator, or Parquet; and lists that were written as text."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.datasets.csv_text import read_csv_text

SUFFIXES = (".parquet", ".csv")


def find_table(root: str, *stems: str) -> Path | None:
    """The first of these tables in a folder, Parquet before CSV where both are there; None if there is none."""
    candidates = (Path(root) / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def read_table(
    path: Path, columns: Sequence[str], optional: Sequence[str] | None = (), guess_encoding: bool = False
) -> dict[str, np.ndarray]:
    """Columns of a table, a row a line.

    Parameters
    ----------
    path
        CSV (in UTF-8 or UTF-16; separated by comma, semicolon or tab, whichever the header has most of, or as
        a first line ``sep=;`` says), or Parquet.
    columns
        That must be there.
    optional
        That are read where they are there. None: all.
    guess_encoding
        Whether a CSV in neither UTF-8 nor UTF-16 is read as cp1252, which the caller then has to tell.

    Returns
    -------
    Arrays (rows,) by name: numbers from Parquet as they are, all else as objects; "" where a text is missing. Nothing
    of a CSV is interpreted: an artist called "NA" stays one.

    Raises
    ------
    DatasetError
        If the file cannot be read, or columns are missing; all of them are listed.
    """
    try:
        if path.suffix == ".parquet":
            return _read_parquet(path, columns, optional)
        return _read_csv(path, columns, optional, guess_encoding)
    except (OSError, ValueError) as error:  # what pandas and pyarrow raise is of these
        raise DatasetError(f"{path} cannot be read as a table: {error}") from None


def to_floats(values: np.ndarray) -> np.ndarray:
    """Values as float64; NaN where one is no number."""
    import pandas as pd

    return np.array(pd.to_numeric(pd.Series(values), errors="coerce"), dtype=np.float64)


def parse_list(value: Any) -> tuple[str, ...] | None:
    """The items of a list of texts, written as Python does (``"['rock', 'folk rock']"``) or kept as a list; or None."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        return None
    return tuple(value)


def _read_csv(
    path: Path, columns: Sequence[str], optional: Sequence[str] | None, guess_encoding: bool
) -> dict[str, np.ndarray]:
    import pandas as pd

    csv = read_csv_text(path)
    if csv.guessed and not guess_encoding:
        raise ValueError("it is not in UTF-8: save it as UTF-8")
    # All columns, since of a part of them pandas does not say where a row has too many fields.
    try:
        table = pd.read_csv(io.StringIO(csv.text), sep=csv.separator, dtype=object, keep_default_na=False,
                            skipinitialspace=csv.spaced)  # fmt: skip
    except pd.errors.ParserError as error:
        if opened := re.search(r"EOF inside string starting at row (\d+)", str(error)):
            line = csv.text.splitlines()[int(opened[1])]
            raise DatasetError(f"{path}: a quote that is opened in {line[:60]!r} is never closed: close it") from None
        raise
    if not isinstance(table.index, pd.RangeIndex):  # what it makes of surplus fields in the first row
        raise DatasetError(f"{path}: its rows have more fields than its header names")
    chosen = _chosen(path, [str(c) for c in table.columns], columns, optional)
    return {name: table[name].fillna("").to_numpy(dtype=object) for name in chosen}


def _chosen(path: Path, present: Sequence[str], columns: Sequence[str], optional: Sequence[str] | None) -> list[str]:
    missing = [name for name in columns if name not in present]
    if missing:
        raise DatasetError(f"{path} lacks the column(s) {', '.join(missing)}: it has {', '.join(present)}")
    requested = present if optional is None else dict.fromkeys([*columns, *optional])
    return [name for name in requested if name in present]


def _read_parquet(path: Path, columns: Sequence[str], optional: Sequence[str] | None) -> dict[str, np.ndarray]:
    import pyarrow.parquet as pq
    from pyarrow import types

    chosen = _chosen(path, list(pq.read_schema(path).names), columns, optional)
    table = pq.read_table(path, columns=chosen)
    found = {}
    for name in chosen:
        column = table.column(name)
        if types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type):
            found[name] = column.to_numpy()
        else:
            found[name] = np.fromiter(("" if v is None else v for v in column.to_pylist()), object, len(column))
    return found
