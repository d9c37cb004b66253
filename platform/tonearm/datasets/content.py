"""The identity of a recording, a digest of its encoded bytes, whatever its name and place; and its tags.

Both are read once, by several threads, and kept (:mod:`tonearm.datasets.file_table`).
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tonearm.core.progress import Progress
from tonearm.core.remote_files import HEAD_BYTES, open_remote, stamp_text
from tonearm.core.remote_path import AnyPath, RemotePath, reason_of
from tonearm.core.seeding import ByteBlocks, digest
from tonearm.datasets.file_table import (
    WRITTEN_MEANWHILE,
    FileRecord,
    FileTable,
    file_stamp,
    tag_reader,
    tags_from_text,
    tags_to_text,
)
from tonearm.datasets.manifest import Reject

MOST_THREADS = 16
"""They wait for disks and networks, and a digest lets go of Python's lock."""
FILES_AT_ONCE = 4096  # wait in memory to be read
CHECKED_AT_ONCE = 64  # by one thread: handing them over takes as long as the look at one
SHOWN_FROM, SHOWN_ELSEWHERE = 1000, 10  # files; fewer need no progress line
BYTES_AT_ONCE = 16 * 2**20  # of a file elsewhere, which each thread may hold


class FileReading(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    content
        Digest of its bytes, see :func:`content_digest`.
    tags
        Values by field, see :func:`tonearm.audio.tags.read_tag_values`.
    repairs
        Encoding, text as it stands there and as it was read, of each text that was read in another encoding.
    foreign
        Why it is none of the formats that are read, by its beginning, where tags were read; "" if it may be one.
    stamp
        Of the file that was read, see :func:`tonearm.core.storage.stamp_now`; "" if its store tells none.
    """

    content: str
    tags: Mapping[str, tuple[str, ...]] = {}
    repairs: tuple[tuple[str, str, str], ...] = ()
    foreign: str = ""
    stamp: str = ""


def content_digest(path: Path) -> str:
    """blake2 digest of a file's bytes: 32 hexadecimal characters.

    Raises
    ------
    OSError
        If it cannot be read, or is no regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "no regular file")  # reading a pipe would wait for ever
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def is_content(path: Path, content: str) -> bool:
    """Whether a file holds what a track's content says: its digest or, of rendered examples, that with its length.

    Raises
    ------
    OSError
        If it cannot be read, or is no regular file.
    """
    if content_digest(path) == content:
        return True
    with path.open("rb") as file:
        blocks = ByteBlocks(path.stat().st_size, iter(partial(file.read, 1 << 20), b""))
        return digest(blocks, size=16) == content


def digest_files(files: Mapping[str, Path], root: str = "") -> tuple[dict[str, str], dict[str, Reject]]:
    """The contents of files alone, see :func:`read_files`; ``root`` is by default the folder that all are in."""
    shared = root or os.path.commonpath([os.fspath(path.absolute().parent) for path in files.values()] or ["."])
    read, rejects = read_files(files, shared)
    return {track_id: reading.content for track_id, reading in read.items()}, rejects


def read_files(
    files: Mapping[str, AnyPath], root: str, tags: bool = False
) -> tuple[dict[str, FileReading], dict[str, Reject]]:
    """Read files, several at a time; those that are as they were when they were read last are not opened.

    Of a file elsewhere nothing is kept on this machine. Where its tags alone are lacking, only blocks of it are read in
    which they may be; so are they, after its digest, of one too large to be held in memory.

    Parameters
    ----------
    files
        By track id; those elsewhere as they were listed.
    root
        Folder or URI that they are in; what is read of it is kept together.
    tags
        Whether their tags are read, too, and whether they begin as audio.

    Returns
    -------
    What those hold that can be used, and the rejects: ``missing`` (it cannot be read, with the cause) and ``empty``.
    Both by track id, in the order given.
    """
    elsewhere = any(isinstance(path, RemotePath) for path in files.values())
    threads = MOST_THREADS if elsewhere else min(MOST_THREADS, 4 * (os.cpu_count() or 1))
    read: dict[str, FileRecord | Reject] = {}
    with _pool(threads) as pool, closing(FileTable(root)) as table:
        known: dict[str, FileRecord | None] = {}
        for records in pool.map(partial(_known, table), _some(files, CHECKED_AT_ONCE)):
            known.update(records)
        whole = {i: record for i, record in known.items() if record and (not tags or record.reader == tag_reader())}
        new = {track_id: path for track_id, path in files.items() if track_id not in whole}
        with Progress("files read", len(new)) as progress:
            for some in _some(new, FILES_AT_ONCE):
                results = pool.map(partial(_read, tags), some.values(), [known[track_id] for track_id in some])
                for (track_id, path), found in zip(some.items(), results, strict=True):
                    if isinstance(found, FileRecord):
                        table.add(path, found)
                        read[track_id] = found
                    else:
                        reason, detail, size = found
                        read[track_id] = Reject(track_id=track_id, source=str(path), stage="scan", reason=reason,
                                                detail=detail, bytes=size)  # fmt: skip
                    if len(new) >= (SHOWN_ELSEWHERE if elsewhere else SHOWN_FROM):
                        progress.add()
    everything = {track_id: whole.get(track_id) or read[track_id] for track_id in files}
    return (
        {i: _reading(found, tags, files[i]) for i, found in everything.items() if isinstance(found, FileRecord)},
        {i: found for i, found in everything.items() if isinstance(found, Reject)},
    )


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that, when the work is broken off, read to their end only the files that they have begun."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _some(files: Mapping[str, AnyPath], count: int) -> Iterator[dict[str, AnyPath]]:
    """The files, so many at a time."""
    items = iter(files.items())
    while some := dict(islice(items, count)):
        yield some


def _known(table: FileTable, files: Mapping[str, AnyPath]) -> dict[str, FileRecord | None]:
    """What was read of files, if that is what they hold now."""
    found: dict[str, FileRecord | None] = {}
    for track_id, path in files.items():
        record = table.get(path)
        try:
            same = record is not None and record.is_of(file_stamp(path))
        except OSError:
            same = False  # what is wrong is told by reading it
        found[track_id] = record if same else None
    return found


def _read(tags: bool, path: AnyPath, known: FileRecord | None) -> FileRecord | tuple[str, str, int]:
    """What a file holds, or reason, detail and size of a reject.

    Parameters
    ----------
    known
        Where its tags alone are lacking, what was read before.
    """
    if isinstance(path, RemotePath):
        return _read_elsewhere(tags, path, known)
    try:
        read_ns, before = time.time_ns(), file_stamp(path)
        content = known.content if known and known.is_of(before) else content_digest(path)
        own = _read_own(path) if tags and before[0] else ("", "", "")
        after = file_stamp(path)
    except OSError as error:
        return "missing", f"cannot be read: {error.strerror or error}", -1
    if not after[0]:
        return "empty", "the file has no bytes", 0
    if before != after:
        after = WRITTEN_MEANWHILE
    return FileRecord(after, read_ns, content, *own)


def _read_elsewhere(tags: bool, file: RemotePath, known: FileRecord | None) -> FileRecord | tuple[str, str, int]:
    """As :func:`_read`: a small file by one request, a large one by blocks."""
    if file.size == 0:
        return "empty", "the file has no bytes", 0
    read_ns, stamp, data = time.time_ns(), file.stamp, None
    try:
        if known:
            content = known.content
        elif 0 < file.size <= BYTES_AT_ONCE:
            data = file.read_bytes()
            content = hashlib.blake2b(data, digest_size=16).hexdigest()
            if len(data) != file.size:
                stamp = WRITTEN_MEANWHILE
        else:
            with open_remote(file.uri, held=1) as opened:
                content = hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        own = _read_own(file, data) if tags else ("", "", "")
    except Exception as error:  # every driver has errors of its own
        return "missing", f"cannot be read: {reason_of(error)}", file.size
    return FileRecord(stamp, read_ns, content, *own)


def _read_own(path: AnyPath, data: bytes | None = None) -> tuple[str, str, str]:
    """The reader, the tags and what is foreign of a file, as its record has them; ``data`` are all its bytes."""
    from tonearm.audio.tags import read_tag_values

    repairs: list[tuple[str, str, str]] = []
    values = read_tag_values(str(path), lambda *repair: repairs.append(repair), data)
    return tag_reader(), tags_to_text(values, repairs), _foreign(path, data)


def _foreign(path: AnyPath, data: bytes | None) -> str:
    from tonearm.audio.formats import find_format
    from tonearm.audio.sources import HeadReader, WatchedFile

    opened = io.BytesIO(data) if data is not None else path.open("rb") if isinstance(path, Path) else None
    with closing(WatchedFile(opened or open_remote(str(path), HEAD_BYTES))) as file:
        try:
            find_format(HeadReader(file), at_most=0)
        except RuntimeError as error:
            if file.error is not None:  # of the storage, and nothing about the file
                raise
            return str(error)
    return ""


def _reading(record: FileRecord, tags: bool, path: AnyPath) -> FileReading:
    values, repairs = tags_from_text(record.tags) if tags else ({}, [])
    return FileReading(record.content, values, tuple(repairs), record.foreign if tags else "", _stamp(record, path))


def _stamp(record: FileRecord, path: AnyPath) -> str:
    if record.stamp == WRITTEN_MEANWHILE:
        return "written meanwhile"  # which no file has: it is not used
    if isinstance(path, RemotePath):
        return stamp_text(path.size, path.mark, path.written)
    return f"{record.stamp[0]}-{record.stamp[1]}"
