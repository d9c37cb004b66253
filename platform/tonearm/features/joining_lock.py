"""One job at a time joins the small files of a folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from tonearm.core import storage

logger = logging.getLogger(__name__)

LOCK = ".joining"


@contextmanager
def joining_lock(uri: str, seconds: float) -> Iterator[bool]:
    """Held while files of a folder on this machine are joined; gives whether it could be had in so many seconds.

    On a mount that has no locks, or where no file can be made, it cannot be had, and a warning says so once.
    """
    if not storage.is_local(uri):
        yield True
        return
    from filelock import FileLock, Timeout

    lock = FileLock(storage.local_path(storage.join(uri, LOCK)))
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        _tell_that_it_cannot_be_locked(uri, str(error))
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@cache
def _tell_that_it_cannot_be_locked(uri: str, reason: str) -> None:
    logger.warning("small files of %s stay as they are: they are joined under a lock, and none can be had there (%s)",
                   uri, reason)  # fmt: skip
