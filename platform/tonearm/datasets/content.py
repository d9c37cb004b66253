"""The identity of a recording: a digest of its encoded bytes, whatever its name and place."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tonearm.core.progress import Progress
from tonearm.datasets.manifest import Reject

MOST_THREADS = 8
SHOWN_FROM = 1000  # files; fewer need no progress line


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


def digest_files(files: Mapping[str, Path]) -> tuple[dict[str, str], dict[str, Reject]]:
    """Read files, several at a time.

    Parameters
    ----------
    files
        By track id.

    Returns
    -------
    The contents of those that can be used, and the rejects: ``missing`` (it cannot be read, with the cause) and
    ``empty``. Both by track id, in the order given.
    """
    contents: dict[str, str] = {}
    rejects: dict[str, Reject] = {}
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool, Progress("files read", len(files)) as progress:
        for (track_id, path), found in zip(files.items(), pool.map(_read, files.values()), strict=True):
            if isinstance(found, str):
                contents[track_id] = found
            else:
                reason, detail, size = found
                rejects[track_id] = Reject(track_id=track_id, source=str(path), stage="scan", reason=reason,
                                           detail=detail, bytes=size)  # fmt: skip
            if len(files) >= SHOWN_FROM:
                progress.add()
    return contents, rejects


def _read(path: Path) -> str | tuple[str, str, int]:
    """A file's content, or reason, detail and size of a reject."""
    try:
        content, size = content_digest(path), path.stat().st_size
    except OSError as error:
        return "missing", f"cannot be read: {error.strerror or error}", -1
    return content if size else ("empty", "the file has no bytes", 0)
