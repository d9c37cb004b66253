"""One writer a folder: two drivers of one sweep, say, would train the same trials at the same places."""

from __future__ import annotations

import logging
import os
import platform
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tonearm.core import storage
from tonearm.core.errors import JobError
from tonearm.core.process_identity import process_identity
from tonearm.core.seeding import digest

if TYPE_CHECKING:
    from filelock import BaseFileLock

logger = logging.getLogger(__name__)

FILE = "driver.json"
HEARTBEAT_SECONDS, STALE_SECONDS = 10.0, 60.0  # seconds between signs of life, and without one
SECONDS_BETWEEN_LOOKS = 1.0  # of one that waits
SECONDS_OF_A_CLAIM, SECONDS_BETWEEN_TRIES = 10.0, 0.02  # after which it is a killed process's; between two attempts
SECONDS_TO_SETTLE = 1.0  # until a claim elsewhere than on this machine is seen by who claimed at the same time


class DriverLock:
    """Held while a driver works in a folder.

    A driver that was killed leaves its lock behind. On the same machine it is known to be dead at once, from another
    one after a minute without a sign of life.

    Parameters
    ----------
    folder
        At any URI.
    what
        Is done there, for messages.
    file
        Name of the lock in the folder.
    wait
        Whether to wait for another driver, as long as it lives.

    Raises
    ------
    JobError
        If another driver works there, and is not to be waited for.
    """

    def __init__(self, folder: str, what: str = "sweep", file: str = FILE, wait: bool = False) -> None:
        self._folder, self._what, self._file, self._wait = folder, what, file, wait
        self._uri = storage.join(folder, file)
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._heartbeat_loop, name=f"lock of a {what}", daemon=True)

    def __enter__(self) -> DriverLock:
        self._owner = {"host": platform.node(), "pid": os.getpid(), "process": process_identity(os.getpid()),
                       "since": time.time(), "what": self._what, "token": uuid.uuid4().hex}  # fmt: skip
        told = False
        while other := self._claim():
            if not self._wait:
                raise JobError(f"{_told(other, self._what)}: wait for it, or stop it; then the same command goes on "
                               f"({self._uri})")  # fmt: skip
            if not told:
                logger.warning("  note: %s: waiting for it", _told(other, self._what))
            told = True
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._released.set()
        self._thread.join()
        if not self._is_ours():
            return
        try:
            storage.write_json(self._uri, {**self._owner, "over": True})
        except OSError:  # the disk is full, say
            storage.remove(self._uri)

    def _claim(self) -> dict[str, Any] | None:
        """Write our name down, unless another driver works there, which is returned."""
        with machine_lock("lock", self._uri), _alone(self._folder, self._file) as is_alone:
            other = running_driver(self._folder, self._file)
            if other:
                return other
            self._write_heartbeat()
            was_alone = is_alone()
        if storage.is_local(self._uri) and was_alone:
            return None
        time.sleep(SECONDS_TO_SETTLE)
        return None if self._is_ours() else running_driver(self._folder, self._file)

    def require(self) -> None:
        """Check that the lock is held still.

        Raises
        ------
        JobError
            If this machine gave no sign of life for a minute, so that another driver has taken it, or it was deleted.
        """
        if not self._is_ours():
            raise JobError(
                f"the {self._what} is not this job's any more, which gave no sign of life for a minute, or "
                f"{self._uri} was deleted: give the command again, it goes on from what is there"
            )

    def _is_ours(self) -> bool:
        """Whether the lock is ours still: another may have taken it, having had no sign of life for a minute."""
        found = storage.read_json(self._uri) if storage.exists(self._uri) else {}
        return bool(found.get("token") == self._owner["token"])

    def _heartbeat_loop(self) -> None:
        told = False
        while not self._released.wait(HEARTBEAT_SECONDS):
            try:
                if self._is_ours():
                    self._write_heartbeat()
            except Exception as error:  # a store that is away for a moment: the next beat is the next attempt
                if not told:
                    logger.warning("the lock %s cannot be renewed, trying again: %s", self._uri, error)
                told = True
            else:
                told = False

    def _write_heartbeat(self) -> None:
        storage.write_json(self._uri, {**self._owner, "beat": time.time()})


def _told(driver: dict[str, Any], what: str) -> str:
    return (f"the {what} is being run since {time.ctime(driver['since'])} by process {driver['pid']} on "
            f"{driver['host']}")  # fmt: skip


@contextmanager
def _alone(folder: str, file: str) -> Iterator[Callable[[], bool]]:
    """Held by one process of all machines that share a folder by a mount, while it looks who works there and writes its
    own name down.

    A file that is made only where none is, which is exclusive on network mounts, too. One that a killed process left is
    removed, which one that was suspended for long finds out by what is given: whether it was alone so far.
    """
    if not storage.is_local(folder):
        yield lambda: True
        return
    path = storage.local_path(storage.join(folder, f".{file}.claim"))
    path.parent.mkdir(parents=True, exist_ok=True)
    seen, since, own = "", time.monotonic(), uuid.uuid4().hex
    while True:
        try:
            with path.open("x") as file_of_claim:
                file_of_claim.write(own)
            break
        except FileExistsError:
            pass
        found = _claim_in(path)
        if found != seen:
            seen, since = found, time.monotonic()
        elif time.monotonic() - since > SECONDS_OF_A_CLAIM:
            _remove_claim(path, found)
        time.sleep(SECONDS_BETWEEN_TRIES)
    try:
        yield lambda: _claim_in(path) == own
    finally:
        _remove_claim(path, own)


def _claim_in(path: Path) -> str:
    """Which claim a file holds: its token, or its time if it has none; "" if there is no claim."""
    try:
        return path.read_text("utf-8") or str(path.stat().st_mtime_ns)
    except FileNotFoundError:
        return ""


def _remove_claim(path: Path, claim: str) -> None:
    """Remove a claim, unless the file holds another one: of several that see one stale claim each might else remove
    what the first of them has claimed since."""
    if not claim or _claim_in(path) != claim:
        return
    aside = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        path.rename(aside)  # of several one succeeds
    except FileNotFoundError:
        return
    if _claim_in(aside) != claim:  # made since the look above: it goes back, unless there is another already
        with suppress(OSError):
            os.link(aside, path)
    aside.unlink(missing_ok=True)


def machine_lock(*what: str) -> BaseFileLock:
    """A lock that one process of this machine has at a time; one of 256 files, which stay."""
    from filelock import FileLock

    user = os.getuid() if hasattr(os, "getuid") else 0
    return FileLock(Path(tempfile.gettempdir()) / f"tonearm-{user}-{digest(*what)[:2]}.lock")


def running_driver(folder: str, file: str = FILE) -> dict[str, Any] | None:
    """The driver that works in a folder now, None if none: its ``host``, ``pid``, ``since`` (seconds since 1970) and
    ``what`` it does."""
    uri = storage.join(folder, file)
    driver: dict[str, Any] | None = storage.read_json(uri) if storage.exists(uri) else None
    return driver if driver and _is_alive(driver, uri) else None


def _is_alive(other: dict[str, Any], uri: str) -> bool:
    """Whether who wrote a lock lives. One of another machine, or of which nothing is known, is judged by its signs of
    life, and by the store's clock: theirs may be an hour off, or ours."""
    if other.get("over"):
        return False
    if other["host"] == platform.node() and other.get("process"):  # earlier versions wrote none
        identity = process_identity(other["pid"])
        if identity != "":
            return bool(identity == other["process"])
    silent = storage.age_by_store(uri)
    return (time.time() - float(other["beat"]) if silent is None else silent) < STALE_SECONDS
