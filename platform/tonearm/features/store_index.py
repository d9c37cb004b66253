"""The index of a feature store: a row a clip, in Parquet; see :mod:`tonearm.features.store` for the layout."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from tonearm.core import storage
from tonearm.core.damage import describe_unreadable
from tonearm.core.errors import StoreError
from tonearm.core.parquet import read_parquet

INDEX = "index.parquet"
ATTEMPTS = 8  # to read an index while parts are joined


class _PartGoneError(StoreError):
    """A part that was listed is not there any more."""


def read_index(uri: str) -> Any:
    """The rows of all complete parts: the common index, as far as its parts are still there, and what it lacks.

    Parts that are joined meanwhile are read where they are then: a part that takes others' place is there before they
    go, so a list of parts that is the same before and after has all rows.
    """
    read: dict[str, Any] = {}
    parts = _list_parts(uri)
    for _ in range(ATTEMPTS):
        try:
            table = _rows_of(uri, parts, read)
        except _PartGoneError:
            table = None
        before, parts = parts, _list_parts(uri)
        if table is not None and parts == before:
            return table
    return _rows_of(uri, parts, read)


def _list_parts(uri: str) -> list[str]:
    return [n.removesuffix(".parquet") for n in storage.list_files(storage.join(uri, "parts"), ".parquet")]


def _rows_of(uri: str, parts: Sequence[str], read: dict[str, Any]) -> Any:
    """The rows of these parts; those of parts that the common index lacks are kept in ``read``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = []
    known: set[str] = set()
    if storage.exists(storage.join(uri, INDEX)):
        common = _read_table(storage.join(uri, INDEX))
        common = common.filter(pc.is_in(common.column("part"), pa.array(parts, pa.string())))
        known = set(common.column("part").unique().to_pylist())
        tables.append(common)
    for part in parts:
        if part not in known:
            if part not in read:
                rows = read_part_index(uri, part)
                read[part] = rows.append_column("part", pa.array([part] * len(rows), pa.string()))
            tables.append(read[part])
    return pa.concat_tables(tables) if tables else index_schema().empty_table()


def read_part_index(uri: str, part: str) -> Any:
    """The rows of one part, as the index has them without their part."""
    return _read_table(storage.join(uri, "parts", f"{part}.parquet"))


def index_schema() -> Any:
    """Columns of the index."""
    import pyarrow as pa

    counts = [pa.field(n, pa.int64()) for n in ("clip", "frames", "offset", "frame_offset")]
    means = [pa.field(n, pa.float64()) for n in ("mean", "deviation", "start")]
    return pa.schema([pa.field("key", pa.string()), *counts, *means, pa.field("part", pa.string())])


def write_index(uri: str) -> None:
    """Write the common index of all complete parts; a job does so when it has ended."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(read_index(uri), buffer)
    storage.write_bytes(storage.join(uri, INDEX), buffer.getvalue())


def _read_table(uri: str) -> Any:
    import pyarrow as pa

    try:
        table = read_parquet(storage.read_bytes(uri))
        if "start" not in table.column_names:  # of a store from before it was kept
            table = table.append_column("start", pa.nulls(len(table), pa.float64()))
        return table.select([name for name in index_schema().names if name in table.column_names])
    except FileNotFoundError as error:
        raise _PartGoneError(describe_unreadable(f"index {uri}", error, "try again")) from None
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        raise StoreError(describe_unreadable(f"index {uri}", error, "delete it, then extract again")) from None
