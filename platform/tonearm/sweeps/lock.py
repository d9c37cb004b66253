"""One driver a sweep: two of them would train the same trials in the same folders."""

from __future__ import annotations

import os
import platform
import threading
import time
from types import TracebackType
from typing import Any

import psutil

from tonearm.core import storage
from tonearm.core.errors import JobError

FILE = "driver.json"
HEARTBEAT_SECONDS, STALE_SECONDS = 10.0, 60.0  # seconds between signs of life, and without one


class SweepLock:
    """Held while a driver runs a sweep.

    A driver that was killed leaves its lock behind. On the same machine it is known to be dead at once, from another
    one after a minute without a sign of life.

    Parameters
    ----------
    folder
        The sweep's, at any URI.

    Raises
    ------
    JobError
        If another driver runs it.
    """

    def __init__(self, folder: str) -> None:
        self._uri = storage.join(folder, FILE)
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._heartbeat_loop, name="lock of a sweep", daemon=True)

    def __enter__(self) -> SweepLock:
        if storage.exists(self._uri):
            other = storage.read_json(self._uri)
            if _is_alive(other):
                raise JobError(
                    f"the sweep is being run since {time.ctime(other['since'])} by process {other['pid']} on "
                    f"{other['host']}: wait for it, or stop it; then the same command goes on ({self._uri})"
                )
        self._owner = {"host": platform.node(), "pid": os.getpid(), "started": psutil.Process().create_time(),
                    "since": time.time()}  # fmt: skip
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
        while not self._released.wait(HEARTBEAT_SECONDS):
            self._write_heartbeat()

    def _write_heartbeat(self) -> None:
        storage.write_json(self._uri, {**self._owner, "beat": time.time()})


def _is_alive(other: dict[str, Any]) -> bool:
    if other.get("over"):
        return False
    if other["host"] != platform.node():
        return bool(time.time() - other["beat"] < STALE_SECONDS)
    try:
        return bool(abs(psutil.Process(other["pid"]).create_time() - other["started"]) < 1)
    except psutil.NoSuchProcess:
        return False
