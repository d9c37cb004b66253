"""Feedback is kept by a thread of its own: what has come meanwhile goes to the disk together, then all are told."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from serve.problems import RefusedError
from tonearm.core.errors import ConfigError, FeedbackError
from tonearm.feedback.events import Event
from tonearm.feedback.store import FeedbackStore

MOST_AT_ONCE = 1000  # events of one transaction
MOST_WAITING = 10_000
SECONDS_TO_KEEP = 10.0  # that somebody waits for the disk
AGAIN = {"Retry-After": "2"}

logger = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class _Waiting:
    """An event, and who waits for it."""

    event: Event
    told: asyncio.Future[bool]
    loop: asyncio.AbstractEventLoop


class FeedbackWriter:
    """Keeps events, and says so when they are on the disk.

    Parameters
    ----------
    open_store
        The database; called when the first event comes, so that a server starts without it.

    Attributes
    ----------
    kept
        How many events were kept since the process began, by kind and arm; one that was sent again counts again.
    refused
        How many were not, by why: ``database``, ``busy``, ``slow``, ``other_event``.
    commits
        Transactions that kept them.
    """

    def __init__(self, open_store: Callable[[], FeedbackStore] = FeedbackStore) -> None:
        self._open_store, self._store = open_store, None
        self._lock, self._come = threading.Lock(), threading.Event()
        self._waiting: list[_Waiting] = []
        self._thread: threading.Thread | None = None
        self._said = ""
        self.kept: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        self.commits = 0

    _store: FeedbackStore | None

    @property
    def waiting(self) -> int:
        """Events that wait for the disk."""
        return len(self._waiting)

    async def keep(self, event: Event) -> None:
        """Return once an event is on the disk.

        Raises
        ------
        RefusedError
            503 if it cannot be kept now, and may be sent again; 409 if another one was kept under its id.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(event, loop.create_future(), loop)
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                raise self._refusal("busy", f"{MOST_WAITING} others wait for the disk")
            self._waiting.append(waiting)
            self._come.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, daemon=True, name="feedback")
                self._thread.start()
        try:
            async with asyncio.timeout(SECONDS_TO_KEEP):
                is_other = await waiting.told
        except TimeoutError:
            raise self._refusal("slow", f"the database did not answer within {SECONDS_TO_KEEP:g} s") from None
        except FeedbackError as error:
            raise self._refusal("database", error.why) from error
        if is_other:
            self.refused["other_event"] += 1
            raise RefusedError(409, "other_event", f"event_id {event.event_id} was used for something else: make "
                                                   "another one, at random, for each event")  # fmt: skip
        self.kept[event.kind, event.arm] += 1

    async def forget(self, listener: str) -> int:
        """Delete all events of a listener; how many there were.

        Raises
        ------
        RefusedError
            503 if that cannot be done now.
        """
        try:
            return await asyncio.to_thread(lambda: self._opened().forget(listener))
        except (FeedbackError, ConfigError) as error:
            raise self._refusal("database", _why(error)) from error

    def _refusal(self, reason: str, why: str) -> RefusedError:
        self.refused[reason] += 1
        said = f"feedback cannot be kept or deleted now: {why}; send it again later, with the same event_id"
        return RefusedError(503, "feedback_unavailable", said, AGAIN)

    def _opened(self) -> FeedbackStore:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def _write(self) -> None:
        while True:
            self._come.wait()
            with self._lock:
                batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                if not self._waiting:
                    self._come.clear()
            others, error = set[str](), None
            try:
                others = self._opened().add([waiting.event for waiting in batch])
                self.commits += 1
                self._said = ""
            except Exception as caught:
                error = caught if isinstance(caught, FeedbackError) else FeedbackError(_why(caught), str(caught))
                if error.cause != self._said:
                    logger.error("feedback is not kept: %s", error, exc_info=caught)
                self._said = error.cause
            for loop in {waiting.loop for waiting in batch}:
                own = [waiting for waiting in batch if waiting.loop is loop]
                try:
                    loop.call_soon_threadsafe(_tell, own, others, error)
                except RuntimeError:  # the loop has ended, and who waited with it
                    logger.debug("nobody waits any more for %d events", len(own))


def _tell(batch: Sequence[_Waiting], others: set[str], error: FeedbackError | None) -> None:
    for waiting in batch:
        if waiting.told.done():  # who waited has gone
            continue
        if error is not None:
            waiting.told.set_exception(error)
        else:
            waiting.told.set_result(waiting.event.event_id in others)


def _why(error: Exception) -> str:
    """What is wrong, in words that name no place."""
    if isinstance(error, FeedbackError):
        return error.why
    if isinstance(error, ConfigError):
        return "this server has no database for it, and its log says what to set"
    return "a fault of ours, which the log has"
