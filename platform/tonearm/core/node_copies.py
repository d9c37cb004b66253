"""Files elsewhere are copied to this machine once, for all processes that read them here.

The node's cache holds, beside others' things, a folder for each copy. Its time says when it was last used; who makes a
copy deletes those that were not used for a week.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from tonearm.core import home, storage
from tonearm.core.seeding import digest

LOCK = ".copying"  # in each copy's folder
WEEK = 7 * 86_400.0
SECONDS_BETWEEN_NOTES = 3_600.0  # that a copy is used still


def local_copy(uri: str) -> Path:
    """The path of a file on this machine: its own, or of a copy in the node's cache, which is made once.

    What lies at ``uri`` must never change: files that are named by their content.
    """
    if storage.is_local(uri):
        return storage.local_path(uri)
    name = uri.rsplit("/", 1)[-1]
    with node_folder(f"file-{digest(uri)}") as folder:
        if not (folder / name).exists():
            storage.fetch(uri, folder / name)
    return folder / name


@contextlib.contextmanager
def node_folder(name: str) -> Iterator[Path]:
    """A folder of the node's cache, held while what is to be there is made: of processes that begin at once one makes
    it, the others find it done."""
    from filelock import FileLock

    cache = Path(home.node_cache())
    if not (cache / name).exists():
        forget_unused(cache)
    (cache / name).mkdir(parents=True, exist_ok=True)
    with FileLock(cache / name / LOCK):
        mark_used(cache / name)
        yield cache / name


def mark_used(folder: Path) -> None:
    """Note that a copy is used now."""
    os.utime(folder)


class CopyInUse:
    """Notes now and then that a copy is used still, as a training of many days does; a folder that is no copy is left
    as it is."""

    def __init__(self, uri: str) -> None:
        self._folder = storage.local_path(uri) if storage.is_local(uri) else None
        if self._folder is not None and not (self._folder / LOCK).exists():
            self._folder = None
        self._noted = time.monotonic()

    def note(self) -> None:
        """It is used now."""
        if self._folder is None or time.monotonic() - self._noted < SECONDS_BETWEEN_NOTES:
            return
        self._noted = time.monotonic()
        with contextlib.suppress(OSError):  # of another user, say: what is mapped stays readable
            mark_used(self._folder)


def forget_unused(cache: Path, seconds: float = WEEK) -> int:
    """Delete copies that were not used for so long; returns how many.

    Arrays that are mapped stay readable for the processes that mapped them.
    """
    forgotten = 0
    for folder in [lock.parent for lock in cache.glob(f"*/{LOCK}")]:
        with contextlib.suppress(OSError):  # another process has just deleted it
            if time.time() - folder.stat().st_mtime > seconds:
                shutil.rmtree(folder)
                forgotten += 1
    return forgotten
