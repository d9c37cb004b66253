"""Rows by track key, stored next to the feature stores: fingerprints and descriptors.

A table is a folder of Parquet files, each written whole by one worker and joined with others at the end of a job; the
row of a track that was written last counts.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.damage import describe_unreadable
from tonearm.core.errors import StoreError
from tonearm.core.parquet import read_parquet
from tonearm.core.seeding import digest
from tonearm.features.joining_lock import joining_lock

logger = logging.getLogger(__name__)

FINGERPRINT_TABLE = "fingerprints-1"
DESCRIPTOR_TABLE = "descriptors-2"  # of all clips; loudness of the channels as they are
WRITTEN = "_written_ns"  # column that says when a row was written, by which the last of a track is told
FILE_BYTES = 16 * 2**20  # smaller files are joined
ATTEMPTS = 8  # to read a table while its files are joined
LOCK_SECONDS = 60.0


class _FileGoneError(StoreError):
    """A file that was listed is not there any more."""


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

    if not rows:
        return 0
    now = time.time_ns()
    # Never the name of another file: who joins files may delete them by their names.
    name = digest(sorted(str(r["track_key"]) for r in rows), now)
    return _write(root, table, name, pa.Table.from_pylist([{**r, WRITTEN: now} for r in rows]))


def read_rows(
    root: str, table: str, keys: Iterable[str] | None = None, columns: Sequence[str] | None = None
) -> dict[str, dict[str, Any]]:
    """The rows of a table by track key, all or those of some, whole or some columns; an absent table is empty.

    Raises
    ------
    StoreError
        If a file of it is damaged.
    """
    found: dict[str, dict[str, Any]] = {}
    written: dict[str, int] = {}
    for rows in scan_rows(root, table, keys, columns):
        for row in rows.to_pylist():
            key, at = row["track_key"], row.pop(WRITTEN, None) or 0  # none: of a table from before it was kept
            if at >= written.get(key, 0):
                found[key], written[key] = row, at
    return found


def scan_rows(
    root: str, table: str, keys: Iterable[str] | None = None, columns: Sequence[str] | None = None
) -> Iterator[Any]:
    """The same a file at a time, as Arrow tables: of a track any number of rows, of which the last written one counts.

    Parameters
    ----------
    keys
        Of the tracks; None: all.
    columns
        To be read beside the track's key and the time of writing; None: all. Each is in all files.

    Raises
    ------
    StoreError
        If a file of it is damaged.
    """
    wanted = None if columns is None else list(dict.fromkeys(["track_key", *columns, WRITTEN]))
    for _, rows in _scan(root, table, wanted, None if keys is None else sorted(set(keys))):
        yield rows


def read_keys(root: str, table: str) -> set[str]:
    """The track keys that a table has rows of; nothing else is read."""
    tables = _read(root, table, ["track_key"]).values()
    return {key for rows in tables for key in rows.column("track_key").to_pylist()}


def read_ages(root: str, table: str) -> dict[str, float | None]:
    """By track key how many seconds ago its row was written, however often files were joined since.

    Where a row does not say it, as those of earlier versions, it is as old as its file; None where that is not known.
    """
    now, folder = time.time(), storage.join(root, table)
    found: dict[str, float | None] = {}
    for name, rows in _read(root, table, ["track_key", WRITTEN]).items():
        keys = rows.column("track_key").to_pylist()
        times = rows.column(WRITTEN).to_pylist() if WRITTEN in rows.column_names else [None] * len(keys)
        of_file = storage.age(storage.join(folder, name)) if None in times else None
        for key, written in zip(keys, times, strict=True):
            age = of_file if written is None else max(0.0, now - written / 1e9)
            before = found.get(key, age)
            found[key] = None if age is None or before is None else min(age, before)
    return found


def join_rows(root: str, table: str) -> int:
    """Join small files of a table, as a job does at its end; returns how many there are fewer.

    Killed at any moment, rows are there twice at most, which readers know. On a full disk files stay as they are, and a
    warning says so.
    """
    folder = storage.join(root, table)
    names = storage.list_files(folder, ".parquet")
    if len(names) < 2:
        return 0
    with joining_lock(folder, LOCK_SECONDS) as alone:
        fewer, group, size = 0, list[str](), 0
        names = storage.list_files(folder, ".parquet") if alone else []
        small = {n: s for n, s in ((n, storage.size(storage.join(folder, n))) for n in names) if s < FILE_BYTES}
        for i, (name, more) in enumerate(small.items()):
            group, size = [*group, name], size + more
            if i + 1 == len(small) or size >= FILE_BYTES:
                fewer += _join(root, table, group) if len(group) > 1 else 0
                group, size = [], 0
        return fewer


def _join(root: str, table: str, names: Sequence[str]) -> int:
    try:
        return _replace(root, table, names)
    except OSError as error:  # a full disk, say: all is stored
        logger.warning("files of %s stay as they are, they could not be joined: %s", storage.join(root, table), error)
        return 0


def prune_rows(root: str, table: str, needed: Container[str]) -> None:
    """Take rows of other tracks than the needed ones out of a table; killed in between, rows are there twice."""
    for name in storage.list_files(storage.join(root, table), ".parquet"):
        _replace(root, table, [name], needed)


def _replace(root: str, table: str, names: Sequence[str], needed: Container[str] | None = None) -> int:
    """Write the rows of files as one file, then delete them; returns how many files there are fewer."""
    import pyarrow as pa

    try:
        rows = _last_rows(pa.concat_tables(_read(root, table, names=names).values(), promote_options="permissive"))
    except (pa.ArrowInvalid, pa.ArrowTypeError, StoreError) as error:
        if needed is not None:
            raise
        logger.warning("files of %s stay as they are, they cannot be joined: %s", storage.join(root, table), error)
        return 0
    if needed is not None:
        kept = [key in needed for key in rows.column("track_key").to_pylist()]
        if all(kept):
            return 0
        rows = rows.filter(pa.array(kept, pa.bool_()))
    if len(rows):
        _write(root, table, digest(list(names), len(rows)), rows)
    for name in names:
        storage.remove(storage.join(root, table, name))
    return len(names) - bool(len(rows))


def _last_rows(rows: Any) -> Any:
    """Of each track the row that was written last."""
    keys = rows.column("track_key").combine_chunks().dictionary_encode()
    keys = (keys.combine_chunks() if hasattr(keys, "combine_chunks") else keys).indices.to_numpy(zero_copy_only=False)
    written = rows.column(WRITTEN).to_numpy() if WRITTEN in rows.column_names else np.zeros(len(rows))
    order = np.argsort(np.nan_to_num(written), kind="stable")
    last = np.zeros(len(rows), np.int64)
    last[keys[order]] = order  # of an index that occurs several times the last value stays
    return rows.take(np.sort(last[np.unique(keys)]))


def _write(root: str, table: str, name: str, rows: Any) -> int:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(rows, buffer)
    storage.write_bytes(storage.join(root, table, f"{name}.parquet"), buffer.getvalue())
    return len(buffer.getvalue())


def _read(
    root: str,
    table: str,
    columns: list[str] | None = None,
    keys: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The Arrow tables of files by their names: of all files, also while some are joined, or of these."""
    if names is not None:
        return {name: _read_file(storage.join(root, table, name), columns, keys) for name in names}
    return dict(_scan(root, table, columns, keys))


def _scan(
    root: str, table: str, columns: list[str] | None, keys: Sequence[str] | None
) -> Iterator[tuple[str, Any]]:  # fmt: skip
    """Names and Arrow tables of all files. If some are joined meanwhile, the file that they became comes, too."""
    folder = storage.join(root, table)
    read: set[str] = set()
    listed = storage.list_files(folder, ".parquet")
    for attempt in range(ATTEMPTS):
        gone: StoreError | None = None
        try:
            for name in listed:
                if name not in read:
                    rows = _read_file(storage.join(folder, name), columns, keys)
                    read.add(name)
                    yield name, rows
        except _FileGoneError as error:
            gone = error
        before, listed = listed, storage.list_files(folder, ".parquet")
        if gone is None and (before == listed or attempt + 1 == ATTEMPTS):
            return
    raise StoreError(f"{folder} changes all the time: wait until the job that writes to it has ended")


def _read_file(uri: str, columns: list[str] | None, keys: Sequence[str] | None) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        data = storage.read_bytes(uri)
        if columns is not None and WRITTEN not in pq.read_schema(pa.BufferReader(data)).names:
            columns = [name for name in columns if name != WRITTEN]  # of a table from before it was kept
        rows = read_parquet(data, columns)
    except FileNotFoundError as error:
        raise _FileGoneError(describe_unreadable(f"table {uri}", error, "try again")) from None
    except (OSError, ValueError) as error:
        raise StoreError(describe_unreadable(f"table {uri}", error, "delete it, then extract again")) from None
    return rows if keys is None else rows.filter(pc.is_in(rows.column("track_key"), pa.array(keys, pa.string())))
