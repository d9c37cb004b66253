"""A part of a catalogue, written once: vectors and rows that are mapped into memory, and of many an index.

::

    vectors.npy         float16 (rows, dim), unit length
    codes.npy           of many: uint8 (rows, dim), the same as bytes
    codes.json          of many: what the bytes stand for, and how far they are off
    rows.arrow          a row each, in the same order: an Arrow file, uncompressed
    neighbours.faiss    of many rows: an approximate index
    removed.npy         of a delta: the base's rows that do not count any more, int64, sorted

None of them says that it is whole: the catalogue's description does, which has the bytes of each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tonearm.core import storage
from tonearm.core.damage import describe_unreadable, is_damage
from tonearm.core.errors import BundleError, DamagedCatalogueError
from tonearm.core.mapped import RowReader, map_array, map_halves
from tonearm.core.node_copies import local_copy
from tonearm.core.text import command
from tonearm.recommend.approximate import ApproximateIndex, build_index
from tonearm.recommend.codes import Codes
from tonearm.recommend.columns import column_values
from tonearm.recommend.library import ID, IntArray
from tonearm.recommend.vectors import Vectors

if TYPE_CHECKING:
    import pyarrow as pa

VECTORS, ROWS, INDEX, REMOVED = "vectors.npy", "rows.arrow", "neighbours.faiss", "removed.npy"
CODES, STEPS = "codes.npy", "codes.json"
CODED_LEAST = 10_000  # rows of which codes are made: fewer are looked at in a millisecond as they are
EXACT_MOST = 250_000  # rows that are searched exactly: 110 000 of 800 dimensions took 4 ms on a busy core
AGAIN = f"make it again with {command('index')} and the options that made it"


@dataclass(frozen=True)
class PartFiles:
    """What a description says of a part.

    Attributes
    ----------
    folder
        Its name beside the description.
    rows
        How many it has.
    bytes
        Of each of its files.
    """

    folder: str
    rows: int
    bytes: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Part:
    """An opened part.

    Attributes
    ----------
    files
        What the description says of it.
    vectors
        Mapped, with codes where they were made.
    table
        The rows, mapped.
    removed
        Rows of the base that do not count any more, sorted; none of a base.
    index
        An approximate index, if it has one.
    """

    files: PartFiles
    vectors: Vectors
    table: pa.Table
    removed: IntArray
    index: ApproximateIndex | None
    _columns: dict[str, np.ndarray | int] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.files.rows

    def column(self, name: str) -> np.ndarray | int:
        """A column of its rows, kept for all states of the catalogue that share the part; where nothing is known of it,
        how many rows there are."""
        if name not in self._columns:
            self._columns[name] = column_values(self.table, name)
        return self._columns[name]

    @property
    def ids(self) -> pa.ChunkedArray:
        """The column of ids."""
        return self.table.column(ID)


def write_part(
    catalogue: str, folder: str, vectors: np.ndarray, rows: Sequence[Mapping[str, Any]],
    removed: IntArray | None = None, exact_most: int = EXACT_MOST,
) -> PartFiles:  # fmt: skip
    """Write a part; it counts as soon as a description names it.

    Parameters
    ----------
    catalogue, folder
        Folder or URI of the catalogue, and the name of the part's own in it.
    vectors
        float16 (rows, dim), unit length.
    rows
        What is known of each.
    removed
        Of a delta.
    exact_most
        So many rows get no approximate index.

    Raises
    ------
    BundleError
        If the index does not find what is in it.
    """
    place = storage.join(catalogue, folder)
    _write(place, VECTORS, lambda path: _save(path, vectors))
    if len(vectors) >= CODED_LEAST:
        codes = Codes.of(vectors)
        _write(place, CODES, lambda path: _save(path, codes.values))
        _write(place, STEPS, lambda path: _dump(path, codes.steps))
    _write(place, ROWS, lambda path: _write_rows(path, rows))
    if removed is not None:
        _write(place, REMOVED, lambda path: _save(path, np.asarray(removed, np.int64)))
    if len(vectors) > exact_most:
        _write(place, INDEX, lambda path: build_index(vectors, path))
    names = storage.list_files(place)
    return PartFiles(folder, len(rows), {name: storage.size(storage.join(place, name)) for name in names})


def open_part(catalogue: str, files: PartFiles) -> Part:
    """Open a part; files elsewhere are copied to this machine once.

    Raises
    ------
    FileNotFoundError
        If a file is not there: a merge may have replaced the part.
    DamagedCatalogueError
        If one is damaged.
    BundleError
        If one cannot be read now.
    """
    place = storage.join(catalogue, files.folder)
    try:
        paths = {name: local_copy(storage.join(place, name)) for name in files.bytes}
        for name, path in paths.items():
            if path.stat().st_size != files.bytes[name]:
                raise ValueError(f"{name} has {path.stat().st_size} bytes, {files.bytes[name]} were written")
        codes = Codes.open(paths[CODES], json.loads(paths[STEPS].read_bytes())) if CODES in paths else None
        reader = None if codes is None else RowReader(paths[VECTORS])
        vectors, table = Vectors(map_halves(paths[VECTORS]), codes, reader), _map_rows(paths[ROWS])
        removed = np.asarray(map_array(paths[REMOVED])) if REMOVED in paths else np.zeros(0, np.int64)
        if len(vectors) != files.rows or table.num_rows != files.rows or vectors.halves.ndim != 2:
            raise ValueError(f"{len(vectors)} vectors and {table.num_rows} rows, {files.rows} were written")
        if codes is not None and codes.values.shape != vectors.halves.shape:
            raise ValueError(f"codes of shape {codes.values.shape} for vectors of shape {vectors.halves.shape}")
        index = ApproximateIndex(paths[INDEX]) if INDEX in paths else None
        return Part(files, vectors, table, removed, index)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        what = f"the catalogue's part {place}"
        if not is_damage(error):
            raise BundleError(describe_unreadable(what, error, "")) from error
        raise DamagedCatalogueError(f"{what} is damaged ({error}): {AGAIN}") from error


def _write(place: str, name: str, write: Callable[[Path], None]) -> None:
    """Write a file under another name, and publish it."""
    uri = storage.join(place, name)
    path = storage.temporary_file(uri)
    try:
        write(path)
        storage.publish(path, uri)
    finally:
        path.unlink(missing_ok=True)


def _save(path: Path, values: np.ndarray) -> None:
    with path.open("wb") as file:  # np.save adds .npy to a path without it
        np.save(file, values, allow_pickle=False)


def _dump(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, allow_nan=False))


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa

    names = dict.fromkeys([ID, *(name for row in rows for name in row)])
    table = pa.table({name: _array([row.get(name) for row in rows]) for name in names})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _array(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values) if any(value is not None for value in values) else pa.nulls(len(values), pa.string())


def _map_rows(path: Path) -> pa.Table:
    """The rows of an Arrow file, which stay on disk until they are used."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as mapped:
        return pa.ipc.open_file(mapped).read_all()
