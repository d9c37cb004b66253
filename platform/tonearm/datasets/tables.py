"""Tables that data sets come as: CSV of any usual separator, or Parquet; and lists that were written as text."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.core.remote_path import AnyPath
from tonearm.datasets.csv_text import CsvText, csv_reader, read_csv_text

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".parquet", ".csv")


def find_table(root: str, *stems: str) -> Path | None:
    """The first of these tables in a folder, Parquet before CSV where both are there; None if there is none."""
    candidates = (Path(root) / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def read_table(
    path: AnyPath, columns: Sequence[str], optional: Sequence[str] | None = (), guess_encoding: bool = False
) -> dict[str, np.ndarray]:
    """Columns of a table, a row a line.

    Parameters
    ----------
    path
        CSV (in UTF-8 or UTF-16; separated by comma, semicolon, tab or bar, whichever the first lines have as many of
        as the header, or as a first line ``sep=;`` says), or Parquet of this machine.
    columns
        That must be there.
    optional
        That are read where they are there. None: all.
    guess_encoding
        Whether a CSV in neither UTF-8 nor UTF-16 is read as what is likeliest, which the caller then has to tell.

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
        if isinstance(path, Path) and path.suffix == ".parquet":
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
    path: AnyPath, columns: Sequence[str], optional: Sequence[str] | None, guess_encoding: bool
) -> dict[str, np.ndarray]:
    import pandas as pd

    found = read_csv_text(path)
    if found.guessed and not guess_encoding:
        raise ValueError("it is not in UTF-8: save it as UTF-8")
    if not found.text.strip():
        raise ValueError("No columns: it is empty. Write a line with their names first, or remove the file")
    # All columns, since of a part of them pandas does not say where a row has too many fields.
    try:
        table = pd.read_csv(io.StringIO(found.text), sep=found.separator, dtype=object, keep_default_na=False,
                            skipinitialspace=found.spaced)  # fmt: skip
    except pd.errors.ParserError as error:
        if opened := re.search(r"EOF inside string starting at row (\d+)", str(error)):
            line = found.text.splitlines()[int(opened[1])]
            raise DatasetError(f"{path}: a quote that is opened in {line[:60]!r} is never closed: close it") from None
        table = _without_surplus(found)
    if not isinstance(table.index, pd.RangeIndex):  # what it makes of surplus fields in the first row
        try:
            table = _without_surplus(found)
        except ValueError as error:
            raise DatasetError(f"{path}: its rows have more fields than its header names: {error}") from None
    chosen = _chosen(path, [str(c) for c in table.columns], columns, optional)
    return {name: table[name].fillna("").to_numpy(dtype=object) for name in chosen}


def _without_surplus(found: CsvText) -> pd.DataFrame:
    """The table of a text with rows of more fields than the header names, where these are empty: ``a;b;;;;``.

    Raises
    ------
    ValueError
        If one is not; with its line.
    """
    import pandas as pd

    header = found.header()
    lines = csv_reader(found.text, found.separator, found.spaced)
    rows = []
    for fields in lines:
        if any(field.strip() for field in fields[len(header) :]):
            raise ValueError(
                f"line {lines.line_num} has more fields than its header names, {len(fields)} instead of "
                f"{len(header)}: {found.separator.join(fields)[:80]!r}; quote a field that holds a {found.separator!r}"
            )
        if fields:
            rows.append([*fields[: len(header)], *[""] * (len(header) - len(fields))])
    named = pd.read_csv(io.StringIO(found.text), sep=found.separator, nrows=0, skipinitialspace=found.spaced)
    return pd.DataFrame(rows[1:], columns=named.columns)


def _chosen(path: AnyPath, present: Sequence[str], columns: Sequence[str], optional: Sequence[str] | None) -> list[str]:
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
