"""Instances of a dataclass as a Parquet file, a row each: tracks, and what was set aside."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Sequence
from typing import Any

from tonearm.core import storage
from tonearm.core.damage import describe_unreadable
from tonearm.core.errors import DatasetError
from tonearm.core.parquet import read_parquet

NOT_WRITTEN = {"written": False}
"""Metadata of a field that a file does not have."""


def write_records(uri: str, rows: Sequence[Any], kind: type[Any], header: dict[str, str]) -> None:
    """Write instances of a dataclass, and texts that belong to all of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "bytes": pa.int64(),
        "year": pa.int32(),
        "latitude": pa.float64(),
        "longitude": pa.float64(),
        "labels": pa.list_(pa.string()),
    }
    fields = [pa.field(f.name, types.get(f.name, pa.string())) for f in _written(kind)]
    schema = pa.schema(fields, metadata=header)
    table = pa.Table.from_arrays([pa.array([getattr(r, f.name) for r in rows], f.type) for f in fields], schema=schema)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    storage.write_bytes(uri, buffer.getvalue())


def read_records(uri: str, kind: type[Any], needed: Sequence[str] = ()) -> tuple[Iterator[Any], dict[str, str]]:
    """Read them again, as dicts, and the texts, of which ``needed`` must be there.

    Raises
    ------
    DatasetError
        If the file is damaged, or another one.
    """
    try:
        table = read_parquet(storage.read_bytes(uri))
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        raise DatasetError(describe_unreadable(uri, error, "make the data set again")) from None
    header = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    fields = {f.name: f.default is dataclasses.MISSING for f in _written(kind)}
    strange = set(table.column_names) - set(fields)
    lacking = {name for name, required in fields.items() if required} - set(table.column_names)
    if strange or lacking or not header.keys() >= set(needed):
        raise DatasetError(
            f"{uri} is no table of {kind.__name__.lower()}s that was written here: make the data set again"
        )
    return (row for batch in table.to_batches(10_000) for row in batch.to_pylist()), header  # never all as dicts


def _written(kind: type[Any]) -> list[dataclasses.Field[Any]]:
    return [f for f in dataclasses.fields(kind) if f.metadata.get("written", True)]
