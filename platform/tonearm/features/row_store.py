"""Rows by track key, stored next to the feature stores: fingerprints and descriptors.

A table is a folder of Parquet files, each written whole by one worker; the row of a track that was written last counts.
"""

from __future__ import annotations

import io
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from tonearm.core import storage
from tonearm.core.damage import describe_unreadable
from tonearm.core.errors import StoreError
from tonearm.core.parquet import read_parquet
from tonearm.core.seeding import digest

FINGERPRINT_TABLE = "fingerprints-1"
DESCRIPTOR_TABLE = "descriptors-2"  # of all clips; loudness of the channels as they are
WRITTEN = "_written_ns"  # column that says when a row was written, by which the last of a track is told


def write_rows(root: str, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write rows, each with a ``track_key``; returns the bytes written.

    Parameters
    ----------
    root
        Folder or URI of the stores.
    table
        Name and version, e.g. :data:`FINGERPRINT_TABLE`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not rows:
        return 0
    buffer, now = io.BytesIO(), time.time_ns()
    pq.write_table(pa.Table.from_pylist([{**r, WRITTEN: now} for r in rows]), buffer)
    name = digest(sorted(str(r["track_key"]) for r in rows))
    storage.write_bytes(storage.join(root, table, f"{name}.parquet"), buffer.getvalue())
    return len(buffer.getvalue())


def read_rows(root: str, table: str, keys: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """The rows of a table by track key; an absent table is empty.

    Raises
    ------
    StoreError
        If a file of it is damaged.
    """
    chosen = None if keys is None else set(keys)
    return {k: row for k, row in _read(root, table).items() if chosen is None or k in chosen}


def _read(root: str, table: str, columns: list[str] | None = None) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    written: dict[str, int] = {}
    for name in storage.list_files(storage.join(root, table), ".parquet"):
        uri = storage.join(root, table, name)
        try:
            rows = read_parquet(storage.read_bytes(uri), columns).to_pylist()
        except (OSError, ValueError) as error:
            raise StoreError(describe_unreadable(f"table {uri}", error, "delete it, then extract again")) from None
        for row in rows:
            key, at = row["track_key"], row.pop(WRITTEN, 0)
            if at >= written.get(key, 0):
                found[key], written[key] = row, at
    return found


def prune_rows(root: str, table: str, needed: Container[str]) -> None:
    """Write the rows of needed tracks as one file, then delete the others; killed in between, rows are there twice."""
    folder = storage.join(root, table)
    before = storage.list_files(folder, ".parquet")
    kept = [row for key, row in _read(root, table).items() if key in needed]
    name = digest(sorted(str(r["track_key"]) for r in kept), len(before)) + ".parquet"
    if kept:
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer, now = io.BytesIO(), time.time_ns()
        pq.write_table(pa.Table.from_pylist([{**r, WRITTEN: now} for r in kept]), buffer)
        storage.write_bytes(storage.join(folder, name), buffer.getvalue())
    for file in before:
        if file != name or not kept:
            storage.remove(storage.join(folder, file))


def read_keys(root: str, table: str) -> set[str]:
    """The track keys that a table has rows of; nothing else is read."""
    return set(_read(root, table, ["track_key"]))
