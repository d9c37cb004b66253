"""Who works on a home: jobs do so together, the job that deletes does so alone."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from typing import Any

from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.core.lock import DriverLock, running_driver

DELETING = "clean"


@contextlib.contextmanager
def using_home(what: str) -> Iterator[None]:
    """Held while a job reads or writes features of the home, from whatever process or machine; also a decorator.

    Parameters
    ----------
    what
        The job; :data:`DELETING` is alone on the home, all others share it.

    Raises
    ------
    JobError
        If this job or another one that works there would have to be alone.
    """
    own = f"{uuid.uuid4().hex}.json"
    try:
        with DriverLock(_folder(), what, own):
            # Written first, then looked for others: of two that begin at the same time at least one sees the other.
            others = [u for name, u in _users() if name != own and DELETING in (what, u["what"])]
            if others:
                told = ", ".join(f"{u['what']} (process {u['pid']} on {u['host']}, since {time.ctime(u['since'])})"
                                 for u in others)  # fmt: skip
                need = "may need what is deleted" if what == DELETING else "deletes what is not needed"
                raise JobError(f"{told} runs on this home and {need}: wait until it has ended ({home.home()})")
            yield
    finally:
        storage.remove(storage.join(_folder(), own))


def _folder() -> str:
    return storage.join(home.home(), "in-use")


def _users() -> Iterator[tuple[str, dict[str, Any]]]:
    """Those that work there now, by the names of their files; files that killed jobs left are removed."""
    for name in storage.list_files(_folder(), ".json"):
        try:
            user = running_driver(_folder(), name)
        except OSError:  # it has just ended
            continue
        if user:
            yield name, user
        else:
            storage.remove(storage.join(_folder(), name))
