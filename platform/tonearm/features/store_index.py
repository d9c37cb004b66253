"""The index of a feature store: a row a clip, in Parquet; see :mod:`tonearm.features.store` for the layout."""

from __future__ import annotations

import io
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

    Parts that are joined meanwhile are read where they are then.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return _read_index(uri)
        except _PartGoneError:
            continue
    return _read_index(uri)


def _read_index(uri: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [n.removesuffix(".parquet") for n in storage.list_files(storage.join(uri, "parts"), ".parquet")]
    tables = []
    known: set[str] = set()
    if storage.exists(storage.join(uri, INDEX)):
        common = _read_table(storage.join(uri, INDEX))
        common = common.filter(pc.is_in(common.column("part"), pa.array(parts, pa.string())))
        known = set(common.column("part").unique().to_pylist())
        tables.append(common)
    for part in parts:
        if part not in known:
            rows = _read_table(storage.join(uri, "parts", f"{part}.parquet"))
            tables.append(rows.append_column("part", pa.array([part] * len(rows), pa.string())))
    return pa.concat_tables(tables) if tables else index_schema().empty_table()


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
