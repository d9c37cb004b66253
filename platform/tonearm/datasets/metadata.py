"""Metadata of tracks, besides their row in the manifest: columns of numbers, vectors or texts."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.damage import describe_unreadable
from tonearm.core.errors import DatasetError
from tonearm.core.parquet import read_parquet
from tonearm.core.seeding import ByteBlocks, digest
from tonearm.datasets.columns import ArrayColumn, ChosenColumn, Column, ReadColumn, blocks_of

CONTENT = "_content"
"""Suffix of the column with the content digests of the files that another column points to."""


class Metadata:
    """A table with a row a track.

    Parameters
    ----------
    track_ids
        Of the rows, in any order; each once.
    columns
        By name, arrays with a row a track: numbers (tracks,) or vectors (tracks, dim), where NaN says "unknown", or
        whole numbers; texts (tracks,), where "" says "unknown".

    Raises
    ------
    DatasetError
        If an id occurs twice, or a column has another number of rows, rows of nothing or of unlike length, or values
        that are neither numbers nor texts (None is none: NaN or "" says "unknown").
    """

    def __init__(self, track_ids: Sequence[str] = (), columns: Mapping[str, Any] | None = None) -> None:
        self._set(track_ids, {name: _column(name, v, len(track_ids)) for name, v in sorted((columns or {}).items())})

    @classmethod
    def of_columns(cls, track_ids: Sequence[str], columns: Mapping[str, Column], signature: str = "") -> Metadata:
        """A table of columns that may lie in files.

        Parameters
        ----------
        signature
            What :meth:`signature` is, if that was found out before.
        """
        made = cls()
        made._set(track_ids, dict(sorted(columns.items())), signature)
        return made

    def _set(self, track_ids: Sequence[str], columns: dict[str, Column], signature: str = "") -> None:
        self._row = {track_id: i for i, track_id in enumerate(track_ids)}
        self._columns, self._signature = columns, signature
        if len(self._row) != len(track_ids):
            raise DatasetError(
                f"metadata: {len(track_ids)} rows for {len(self._row)} track ids: each track has one row"
            )

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, column: object) -> bool:
        return column in self._columns

    @property
    def track_ids(self) -> list[str]:
        return list(self._row)

    @property
    def columns(self) -> list[str]:
        """Names, sorted."""
        return list(self._columns)

    def of(self, track_ids: Iterable[str], column: str) -> np.ndarray:
        """The values of a column for these tracks, in their order: (tracks,) or (tracks, dim).

        Raises
        ------
        DatasetError
            If there is no such column, or a track has no row.
        """
        return self.column(column).take(self.rows(track_ids))

    def rows(self, track_ids: Iterable[str]) -> np.ndarray:
        """The rows of these tracks, in their order.

        Raises
        ------
        DatasetError
            If a track has none.
        """
        chosen = list(track_ids)
        try:
            return np.array([self._row[i] for i in chosen], dtype=np.int64)
        except KeyError:
            missing = [i for i in chosen if i not in self._row]
            raise DatasetError(f"metadata: {len(missing)} tracks have no row, e.g. {missing[0]!r}") from None

    def column(self, name: str) -> Column:
        """A column, of which rows can be taken.

        Raises
        ------
        DatasetError
            If there is none of this name.
        """
        if name not in self._columns:
            raise DatasetError(
                f"no metadata column {name!r} is known of these tracks: there are {', '.join(self) or 'none'}"
            )
        return self._columns[name]

    def chosen(self, track_ids: Sequence[str], rows: np.ndarray) -> Metadata:
        """The same columns for other tracks: of each its row here, -1 where nothing is known. Nothing is copied."""
        return Metadata.of_columns(track_ids, {name: ChosenColumn(self._columns[name], rows) for name in self})

    def texts(self, track_ids: Iterable[str], column: str) -> list[str]:
        """The texts of a column for these tracks.

        Raises
        ------
        DatasetError
            As of :meth:`of`, and if the column holds numbers.
        """
        rows = self.rows(track_ids)
        if self.column(column).kind != "O":
            raise DatasetError(f"the metadata column {column!r} holds numbers, not texts: name another one")
        return list(self.column(column).take(rows))

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Metadata) and self.signature() == other.signature()

    def __hash__(self) -> int:
        return hash(self.signature())

    def joined(self, other: Metadata) -> Metadata:
        """Both tables' columns for the tracks that are in both; of a column in both, the other's values."""
        ids = [i for i in self._row if i in other._row]
        columns: dict[str, Column] = {}
        for table in (self, other):
            same = ids == table.track_ids
            columns |= table._columns if same else table.chosen(ids, table.rows(ids))._columns
        return Metadata.of_columns(ids, columns)

    @property
    def known_signature(self) -> str:
        """The signature if it was found out before, else ""."""
        return self._signature

    def signature(self) -> str:
        """Identity of all values, whatever the order of the rows.

        Of a column ``x`` of places of files with a column ``x_content``, as of pictures, only the content counts.
        """
        if not self._signature:
            ids = sorted(self._row)
            rows = self.rows(ids)
            parts: list[Any] = [ids]
            for name in [n for n in self if f"{n}{CONTENT}" not in self]:
                column = self._columns[name]
                blocks = ByteBlocks(8 * math.prod(column.shape), (b.tobytes() for b in blocks_of(column, rows)))
                parts += [name, list(column.shape), column.take(rows).tolist() if column.kind == "O" else blocks]
            self._signature = digest(*parts)
        return self._signature


def _column(name: str, values: Any, rows: int) -> Column:
    """A column of values in memory, or one that is there already."""
    if isinstance(values, ArrayColumn | ReadColumn | ChosenColumn):
        return values
    try:
        array = np.asarray(values)
    except ValueError:
        raise DatasetError(f"metadata: the rows of column {name!r} are of unlike length") from None
    if array.ndim not in (1, 2) or len(array) != rows or 0 in array.shape[1:]:
        raise DatasetError(
            f"metadata: column {name!r} has the shape {array.shape}, expected ({rows},) or ({rows}, dim) with a dim of "
            "at least 1"
        )
    if array.dtype.kind == "f":
        return ArrayColumn(array.astype(np.float64))
    if array.dtype.kind in "iub":
        return ArrayColumn(array.astype(np.int64))
    strange = [v for v in array.flat if not isinstance(v, str)]
    if strange or array.ndim == 2:
        raise DatasetError(
            f"metadata: column {name!r} holds {f'{strange[0]!r}' if strange else 'several texts a row'}: "
            'give numbers (NaN where one is unknown), or one text a row ("" where it is unknown)'
        )
    return ArrayColumn(np.array([str(v) for v in array], dtype=object))


def save_metadata(uri: str, metadata: Metadata) -> None:
    """Write metadata as Parquet, a row a track; vectors are lists of one length."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays: dict[str, Any] = {"track_id": pa.array(metadata.track_ids, pa.string())}
    for name in metadata:
        values = metadata.of(metadata.track_ids, name)
        if values.ndim == 2:
            arrays[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        else:
            arrays[name] = text_or_numbers(values)
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays), buffer)
    storage.write_bytes(uri, buffer.getvalue())


def load_metadata(uri: str) -> Metadata:
    """The inverse of :func:`save_metadata`.

    Raises
    ------
    DatasetError
        If there are none at ``uri``, the file is damaged, or what it holds are no metadata.
    """
    if not storage.exists(uri):
        raise DatasetError(f"no metadata at {uri}")
    try:
        table = read_parquet(storage.read_bytes(uri))
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        raise DatasetError(describe_unreadable(uri, error, "make the data set again")) from None
    return as_metadata(uri, table)


def text_or_numbers(values: np.ndarray) -> Any:
    """A column (tracks,) as an Arrow array."""
    import pyarrow as pa

    return pa.array(values.tolist(), pa.string()) if values.dtype == object else pa.array(values)


def as_metadata(uri: str, table: Any) -> Metadata:
    """The metadata of an Arrow table that was read from ``uri``.

    Raises
    ------
    DatasetError
        If what it holds are no metadata.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name in table.column_names:
        values = table.column(name).combine_chunks()
        if pa.types.is_fixed_size_list(values.type):
            flat = values.values.to_numpy(zero_copy_only=False)
            columns[name] = flat.reshape(len(values), values.type.list_size)
        elif pa.types.is_string(values.type):
            columns[name] = np.array(values.to_pylist(), dtype=object)
        else:
            columns[name] = values.to_numpy(zero_copy_only=False)
    if "track_id" not in columns:
        raise DatasetError(f"{uri} has no column track_id: it has {', '.join(columns)}")
    ids = columns.pop("track_id")
    return Metadata(ids.tolist(), columns)
