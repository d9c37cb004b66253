"""Failures are written down while an extraction goes on, so that a stopped or killed job has not met them in vain."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager

from tonearm.core.errors import JobError

logger = logging.getLogger(__name__)

REMEMBERED_EVERY = 2.0  # seconds; longer where writing them takes more than a tenth of a second


@contextmanager
def remembering(failed: Sized, write: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Gives what is to be called after each batch of results.

    Parameters
    ----------
    failed
        Grows with each failure.
    write
        Writes all of them: the first ones at once, later ones every few seconds, and when the work is broken off. It
        may end the work by raising.
    """
    due, known = 0.0, len(failed)

    def batch_ended() -> None:
        nonlocal due, known
        started = time.monotonic()
        if len(failed) > known and started >= due:
            write()
            now, known = time.monotonic(), len(failed)
            due = now + REMEMBERED_EVERY * max(1.0, 10 * (now - started))

    try:
        yield batch_ended
    except BaseException as first:
        try:
            write()
        except JobError:
            pass  # it ends anyway
        except Exception as error:
            logger.warning("what failed could not be written down, it will be tried again: %s", error)
            first.add_note(f"what failed could not be written down either: {error}")
        raise
