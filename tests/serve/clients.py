"""Clients that ask a server for as long as something is done to it, and the processes that it consists of."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from tests.servers import wait_until

PATIENCE = 90.0  # seconds that a client waits for an answer on a busy machine


@dataclass(frozen=True)
class Asked:
    """One request: which clip, when it began, and what came of it: 0 is a connection that broke."""

    clip: int
    began: float
    status: int
    answer: dict[str, Any]
    text: str = ""


@dataclass
class Clients:
    """What some clients were answered."""

    asked: list[Asked] = field(default_factory=list)

    @property
    def failed(self) -> list[Asked]:
        return [a for a in self.asked if a.status != 200]

    def wait_for(self, count: int) -> None:
        """Until so many more were answered."""
        wanted = len(self.asked) + count
        wait_until(lambda: len(self.asked) >= wanted, f"{count} answers more than {wanted - count}")


@contextmanager
def asking(url: str, clips: Sequence[bytes], count: int = 4) -> Iterator[Clients]:
    """So many clients that ask one after the other, each for every clip in turn, meanwhile."""
    clients, ended = Clients(), threading.Event()

    def ask(first: int) -> None:
        for i in itertools.count(first, count):
            if ended.is_set():
                return
            began = time.monotonic()
            try:  # a connection each, as many users have
                answer = httpx.post(f"{url}/v1/classify", content=clips[i % len(clips)], timeout=PATIENCE)
            except httpx.TransportError as error:
                clients.asked.append(Asked(i % len(clips), began, 0, {}, repr(error)))
                continue
            body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
            clients.asked.append(Asked(i % len(clips), began, answer.status_code, body, answer.text[:300]))

    threads = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        ended.set()
        for thread in threads:
            thread.join(PATIENCE)


def processes_of(application: str, deployment: str, parent: int | None = None) -> list[psutil.Process]:
    """Those of a deployment of Serve's, of the applications whose names begin so, below a process: this one."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            title = process.cmdline()[0]
        except (psutil.Error, IndexError):
            continue
        if title.startswith(f"ray::ServeReplica:{application}") and f":{deployment}" in title:
            found.append(process)
    return found


def kill(processes: Sequence[psutil.Process]) -> float:
    """End a process as a lack of memory would: the first of these; when, as ``time.monotonic`` has it."""
    assert processes, "nothing to kill"
    os.kill(processes[0].pid, signal.SIGKILL)
    return time.monotonic()
