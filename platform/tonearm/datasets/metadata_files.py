"""Metadata on disk, as a manifest has it: what is a number or a text a track in Parquet, vectors in ``.npy`` beside it.

Vectors are mapped, all trials on a machine share them; of Parquet the columns are read that are asked for. Metadata
from before vectors had files of their own are read whole.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.damage import describe_unreadable
from tonearm.core.errors import DatasetError
from tonearm.core.mapped import map_array
from tonearm.core.node_copies import local_copy
from tonearm.core.parquet import read_parquet
from tonearm.datasets.columns import ArrayColumn, Column, Kind, ReadColumn, blocks_of
from tonearm.datasets.metadata import Metadata, as_metadata, text_or_numbers

VECTORS = b"vectors"
REMEDY = "make the data set again"


def write_metadata(uri: str, metadata: Metadata) -> None:
    """Write metadata, the Parquet file last.

    Parameters
    ----------
    uri
        Of the Parquet file. What lies there must never change: a manifest's bears the metadata's signature.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = metadata.track_ids
    arrays: dict[str, Any] = {"track_id": pa.array(ids, pa.string())}
    vectors: dict[str, dict[str, Any]] = {}
    for name in metadata:
        column = metadata.column(name)
        if len(column.shape) == 1:
            arrays[name] = text_or_numbers(metadata.of(ids, name))
            continue
        file = f"{len(vectors)}.npy"
        _write_vectors(_beside(uri, file), column, np.arange(len(ids)))
        vectors[name] = {"file": file, "shape": list(column.shape), "kind": column.kind}
    table = pa.table(arrays).replace_schema_metadata({VECTORS: json.dumps(vectors)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    storage.write_bytes(uri, buffer.getvalue())


def open_metadata(uri: str, signature: str = "") -> Metadata:
    """The metadata that :func:`write_metadata` wrote, or ``metadata.save_metadata``.

    Parameters
    ----------
    signature
        What it is, so that it need not be found out.

    Raises
    ------
    DatasetError
        If there are none at ``uri``, a file is damaged, or what it holds are no metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not storage.exists(uri):
        raise DatasetError(f"no metadata at {uri}")
    try:
        data = storage.read_bytes(uri)
        schema = pq.read_schema(pa.BufferReader(data))
        vectors: dict[str, Any] = json.loads((schema.metadata or {}).get(VECTORS, b"{}"))
        # Texts may be long; they are read when they are asked for.
        texts = [f.name for f in schema if pa.types.is_string(f.type) and f.name != "track_id"]
        table = read_parquet(data, [name for name in schema.names if name not in texts])
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        raise DatasetError(describe_unreadable(uri, error, REMEDY)) from None
    plain = as_metadata(uri, table)
    columns: dict[str, Column] = {name: plain.column(name) for name in plain}
    for name in texts:
        columns[name] = ReadColumn((len(plain),), "O", _TextReader(uri, name))
    for name, noted in vectors.items():
        columns[name] = _open_vectors(_beside(uri, noted["file"]), tuple(noted["shape"]), noted["kind"])
    return Metadata.of_columns(plain.track_ids, columns, signature)


class _TextReader:
    """Reads one column of texts."""

    def __init__(self, uri: str, name: str) -> None:
        self.uri, self.name = uri, name

    def __call__(self) -> np.ndarray:
        try:
            table = read_parquet(storage.read_bytes(self.uri), [self.name])
        except (OSError, ValueError) as error:
            raise DatasetError(describe_unreadable(self.uri, error, REMEDY)) from None
        return np.array(table.column(self.name).to_pylist(), dtype=object)


def _beside(uri: str, file: str) -> str:
    return f"{uri.removesuffix('.parquet')}.{file}"


def _open_vectors(uri: str, shape: tuple[int, ...], kind: Kind) -> Column:
    def read() -> np.ndarray:
        try:
            values: np.ndarray = map_array(local_copy(uri))
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(describe_unreadable(uri, error, REMEDY)) from None
        if values.shape != shape or values.dtype.kind != kind:
            raise DatasetError(f"{uri} is damaged: it holds {values.dtype} {values.shape}, expected {shape}: {REMEDY}")
        return values

    if storage.is_local(uri):  # told at once, while it costs nothing
        return ArrayColumn(read())
    return ReadColumn(shape, kind, read)


def _write_vectors(uri: str, column: Column, rows: np.ndarray) -> None:
    """Write a column of vectors as it is read again: whole numbers, float64, or float32 where that loses nothing."""
    if column.kind == "i":
        _write_blocks(uri, column.shape, np.dtype(np.int64), blocks_of(column, rows))
        return
    exact = all(_is_single(block) for block in blocks_of(column, rows))
    _write_blocks(uri, column.shape, np.dtype(np.float32 if exact else np.float64), blocks_of(column, rows))


def _is_single(block: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.array_equal(block.astype(np.float32).astype(np.float64), block, equal_nan=True))


def _write_blocks(uri: str, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterator[np.ndarray]) -> None:
    path = storage.temporary_file(uri)
    try:
        with path.open("wb") as file:
            descr = np.lib.format.dtype_to_descr(dtype)
            np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype).data)
        storage.publish(path, uri)
    finally:
        path.unlink(missing_ok=True)
