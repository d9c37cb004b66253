"""One driver a folder: two of one sweep, say, would train the same trials at the same places."""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from types import TracebackType
from typing import Any

from tonearm.core import storage
from tonearm.core.errors import JobError

logger = logging.getLogger(__name__)

FILE = "driver.json"
HEARTBEAT_SECONDS, STALE_SECONDS = 10.0, 60.0  # seconds between signs of life, and without one


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

    Raises
    ------
    JobError
        If another driver works there.
    """

    def __init__(self, folder: str, what: str = "sweep", file: str = FILE) -> None:
        self._folder, self._what, self._file = folder, what, file
        self._uri = storage.join(folder, file)
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._heartbeat_loop, name=f"lock of a {what}", daemon=True)

    def __enter__(self) -> DriverLock:
        other = running_driver(self._folder, self._file)
        if other:
            raise JobError(
                f"the {self._what} is being run since {time.ctime(other['since'])} by process {other['pid']} on "
                f"{other['host']}: wait for it, or stop it; then the same command goes on ({self._uri})"
            )
        import psutil  # lazy: the torch side runs without it

        self._owner = {"host": platform.node(), "pid": os.getpid(), "started": psutil.Process().create_time(),
                    "since": time.time(), "what": self._what}  # fmt: skip
        self._write_heartbeat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._released.set()
        self._thread.join()
        storage.write_json(self._uri, {**self._owner, "over": True})

    def _heartbeat_loop(self) -> None:
        told = False
        while not self._released.wait(HEARTBEAT_SECONDS):
            try:
                self._write_heartbeat()
            except Exception as error:  # a store that is away for a moment: the next beat is the next attempt
                if not told:
                    logger.warning("the lock %s cannot be renewed, trying again: %s", self._uri, error)
                told = True
            else:
                told = False

    def _write_heartbeat(self) -> None:
        storage.write_json(self._uri, {**self._owner, "beat": time.time()})


def running_driver(folder: str, file: str = FILE) -> dict[str, Any] | None:
    """The driver that works in a folder now, None if none: its ``host``, ``pid``, ``since`` (seconds since 1970) and
    ``what`` it does."""
    uri = storage.join(folder, file)
    driver: dict[str, Any] | None = storage.read_json(uri) if storage.exists(uri) else None
    return driver if driver and _is_alive(driver) else None


def _is_alive(other: dict[str, Any]) -> bool:
    if other.get("over"):
        return False
    if other["host"] != platform.node():
        return bool(time.time() - other["beat"] < STALE_SECONDS)
    import psutil

    try:
        return bool(abs(psutil.Process(other["pid"]).create_time() - other["started"]) < 1)
    except psutil.NoSuchProcess:
        return False
