"""What was read of a library's files, kept in the home: a file that is as it was then is not read again.

A table a root: of each file its size and its times of modification and change, the digest of its bytes, its tags, and
whether it begins as audio; of
one elsewhere its size and its store's mark of what it holds, or where there is none the time it was written. The
time of change (``ctime``) tells of programs that edit tags and put the time of modification back. A file that was
written within two seconds of being read may have been written again within one tick of its clock: it is read again.
"""

from __future__ import annotations

import io
import json
import logging
import os
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tonearm.core import home, storage
from tonearm.core.parquet import read_parquet
from tonearm.core.remote_path import AnyPath, RemotePath, any_path
from tonearm.core.seeding import digest

FOLDER = "files-1"
RACY_NS = 2_000_000_000
SECONDS_BETWEEN_WRITES = 10.0
MOST_PIECES = 8
COLUMNS = ("path", "size", "modified_ns", "changed_ns", "read_ns", "content", "reader", "tags", "foreign")
LATER = ("foreign",)  # which tables that were written before do not have: of their files it is read again
WRITTEN_MEANWHILE = (-1, 0, 0)  # instead of the stamp of a file that was not read as one: it will not be known again
logger = logging.getLogger(__name__)

Stamp = tuple[int, int, int]
"""Bytes, time of modification and time of change of a file, in ns since 1970; see also :class:`RemotePath`."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What was read of a file.

    Attributes
    ----------
    stamp
        Of the file that was read.
    read_ns
        When that began.
    content
        Digest of its bytes.
    reader
        Which code read what is below, see :func:`tag_reader`; "" if that was not read.
    tags
        JSON of the values by field and of the repairs.
    foreign
        Why it is none of the formats that are read, by its beginning; "" if it may be one.
    """

    stamp: Stamp
    read_ns: int
    content: str
    reader: str = ""
    tags: str = ""
    foreign: str = ""

    def is_of(self, stamp: Stamp) -> bool:
        """Whether a file of this stamp surely is the one that was read."""
        return stamp == self.stamp and all(abs(self.read_ns - at) >= RACY_NS for at in stamp[1:])


def file_stamp(path: AnyPath) -> Stamp:
    """The stamp of a file as it is now; of one elsewhere as it was listed.

    Raises
    ------
    OSError
        If it is not there.
    """
    if isinstance(path, RemotePath):
        return path.stamp
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


@cache
def tag_reader() -> str:
    """A digest of the code that reads tags and formats: other code may find others in the same file."""
    import mutagen

    from tonearm.audio import formats, mpeg, tag_texts, tags

    code = [Path(str(module.__file__)).read_bytes() for module in (tags, tag_texts, formats, mpeg)]
    return digest(mutagen.version_string, *code)


class FileTable:
    """The table of the files below a root, in the home.

    Parameters
    ----------
    root
        Folder or URI of the files.
    """

    def __init__(self, root: str) -> None:
        self._folder = storage.join(home.home(), FOLDER, digest(_name(any_path(root))))
        self._pieces: list[str] = []
        self._added: dict[bytes, FileRecord] = {}
        self._written = time.monotonic()
        self._records = self._load()

    def get(self, path: AnyPath) -> FileRecord | None:
        """What is known of a file."""
        return self._records.get(_name(path))

    def add(self, path: AnyPath, record: FileRecord) -> None:
        """Keep what was read; it is written every ten seconds, and by :meth:`close`."""
        self._added[_name(path)] = record
        if time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES:
            self._write(self._added)

    def close(self) -> None:
        """Write what was added; many pieces are made one."""
        if self._added:
            self._write(self._added)
        if len(self._pieces) > MOST_PIECES:
            before = list(self._pieces)
            if self._write(self._records):
                for name in before:
                    storage.remove(storage.join(self._folder, name))
                self._pieces = self._pieces[-1:]

    def _load(self) -> dict[bytes, FileRecord]:
        """All records; of a path that of the piece written last."""
        found: dict[bytes, FileRecord] = {}
        try:
            names = storage.list_files(self._folder, ".parquet")
        except OSError as error:  # a home that this user may not read
            logger.warning("%s cannot be listed (%s): the files are read again", self._folder, error)
            return found
        for name in names:
            uri = storage.join(self._folder, name)
            try:
                data = storage.read_bytes(uri)
            except FileNotFoundError:
                continue  # another job has just put it into one with others
            except OSError as error:
                logger.warning("%s cannot be read (%s): the files in it are read again", uri, error)
                continue
            try:
                columns = _columns(data)
            except (OSError, ValueError) as error:
                logger.warning("%s is damaged (%s): the files in it are read again", uri, error)
                storage.remove(uri)
                continue
            self._pieces.append(name)
            for path, size, modified, changed, *rest in zip(*columns, strict=True):
                found[path] = FileRecord((size, modified, changed), *rest)
        return found

    def _write(self, records: dict[bytes, FileRecord]) -> bool:
        """Write a piece; whether that was possible."""
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}.parquet"
        self._records |= self._added
        try:
            storage.write_bytes(storage.join(self._folder, name), _parquet(records.items()))
        except (OSError, ImportError) as error:  # the latter: no driver for such URIs here
            logger.warning("what was read of files cannot be kept in %s (%s): they are read again the next time",
                           self._folder, error)  # fmt: skip
            return False
        finally:
            self._added, self._written = {}, time.monotonic()
        self._pieces.append(name)
        return True


def _name(path: AnyPath) -> bytes:
    return os.fsencode(str(path.absolute()))


def _columns(data: bytes) -> list[list[Any]]:
    """The columns of a piece; one that was not there when it was written says "" of all."""
    table = read_parquet(data)
    if missing := [name for name in COLUMNS if name not in (*table.column_names, *LATER)]:
        raise ValueError(f"it has no column {missing[0]!r}")
    return [table[n].to_pylist() if n in table.column_names else [""] * table.num_rows for n in COLUMNS]


def _parquet(records: Iterable[tuple[bytes, FileRecord]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(path, *r.stamp, r.read_ns, r.content, r.reader, r.tags, r.foreign) for path, r in records]
    kinds = (pa.binary(), *(pa.int64(),) * 4, *(pa.string(),) * 4)
    arrays = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays, names=COLUMNS), buffer, compression="zstd")
    return buffer.getvalue()


def tags_to_text(values: dict[str, tuple[str, ...]], repairs: list[tuple[str, str, str]]) -> str:
    """The tags of a file as they are kept."""
    return json.dumps([values, repairs])


def tags_from_text(text: str) -> tuple[dict[str, tuple[str, ...]], list[tuple[str, str, str]]]:
    """The inverse of :func:`tags_to_text`."""
    values, repairs = json.loads(text)
    return {field: tuple(texts) for field, texts in values.items()}, [(a, b, c) for a, b, c in repairs]
