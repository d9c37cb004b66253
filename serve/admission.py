"""Who comes when the wait would be too long is told so at once, before the body is read."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.problems import Exchange, RefusedError

WEIGHT = 0.2  # of the last answer in the mean: a dozen answers are remembered
LONGEST_RETRY = 60  # seconds
SECONDS_BETWEEN_LOOKS = 0.1  # of who waits for the wait to be short


class Admission:
    """Counts who waits for the Listener and the bytes that are held meanwhile.

    It is no thread's but the event loop's. With several ingresses each counts its own and has a share of the Listener.

    Parameters
    ----------
    most_seconds
        That anybody is expected to wait for the Listener; above 0.
    most_bytes
        Of all bodies that are being read or answered; above 0.
    workers
        Replicas of the Listener, divided by the ingresses; above 0.
    service_seconds
        That the Listener is supposed to take for an answer before the first was measured; above 0.
    """

    def __init__(
        self, most_seconds: float = 10.0, most_bytes: int = 256 * 2**20, workers: float = 1.0,
        service_seconds: float = 1.0,
    ) -> None:  # fmt: skip
        self._most_seconds, self._most_bytes = most_seconds, most_bytes
        self.workers, self.service_seconds = workers, service_seconds
        self.waiting = self.bytes_held = 0

    @property
    def expected_wait(self) -> float:
        """Seconds until the Listener would begin with who comes now."""
        return self.waiting * self.service_seconds / self.workers

    def measured(self, seconds: float) -> None:
        """Take account of what an answer took the Listener, the wait not included."""
        self.service_seconds += WEIGHT * (seconds - self.service_seconds)

    def require_room(self, size: int, listens: bool) -> None:
        """Check that somebody who comes now, with a body of so many bytes, can be answered soon.

        Raises
        ------
        RefusedError
            503 if not.
        """
        if self.bytes_held + size > self._most_bytes:
            detail = f"uploads of {self.bytes_held} bytes are being answered, too many for another: send it later"
            raise busy(detail, self.service_seconds)
        if listens and (wait := self.expected_wait) > self._most_seconds:
            detail = f"{self.waiting} recordings are before this one, some {wait:.0f} s of work: send it later"
            raise busy(detail, wait - self._most_seconds)

    @contextmanager
    def listened(self) -> Iterator[None]:
        """Be one of those who wait for the Listener, until it has answered.

        Raises
        ------
        RefusedError
            503 if the wait would be too long.
        """
        self.require_room(0, listens=True)
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    @asynccontextmanager
    async def listened_in_turn(self) -> AsyncIterator[None]:
        """:meth:`listened`, for who is not refused but waits until the wait is short enough."""
        while self.expected_wait > self._most_seconds:
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        with self.listened():
            yield

    @contextmanager
    def held(self) -> Iterator[Callable[[int], None]]:
        """Hold a body, until it has been answered; gives a function that takes so many bytes more.

        Raises
        ------
        RefusedError
            503, from that function, if that were too many.
        """
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            self.require_room(size, listens=False)
            self.bytes_held, held = self.bytes_held + size, held + size

        try:
            yield hold
        finally:
            self.bytes_held -= held


class AdmissionMiddleware:
    """ASGI middleware: 503 with ``Retry-After`` where :class:`Admission` says so.

    What a request declares is looked at before its body is read, what has come of it counts: who declares much and
    sends nothing takes nobody's place.

    Parameters
    ----------
    needs_listener
        Whether a request waits for the Listener; others are never refused for its queue.
    largest
        Bytes of a body; who declares more is not counted with more, since the application refuses it unread.
    """

    def __init__(
        self, app: ASGIApp, admission: Admission, needs_listener: Callable[[Scope], bool], largest: int
    ) -> None:
        self._app, self._admission, self._needs_listener, self._largest = app, admission, needs_listener, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange, listens = Exchange(scope, receive, send), self._needs_listener(scope)
        declared = Headers(scope=scope).get("content-length", "")
        with ExitStack() as places:
            hold, has_place = places.enter_context(self._admission.held()), False

            async def receive_held() -> Message:
                nonlocal has_place
                message = await exchange.receive()
                if message["type"] != "http.request":
                    return message
                try:
                    hold(len(message.get("body", b"")))
                    if listens and exchange.read and not has_place:
                        has_place = True
                        places.enter_context(self._admission.listened())
                except RefusedError as refusal:
                    return await exchange.refuse(refusal)
                return message

            try:
                size = min(int(declared), self._largest) if declared.isdecimal() else 0
                self._admission.require_room(size, listens)
                await exchange.run(self._app, receive_held)
            except RefusedError as refusal:
                await exchange.refuse(refusal)


def busy(detail: str, seconds: float) -> RefusedError:
    """A refusal with the seconds after which to come again, rounded up."""
    return RefusedError(503, "busy", detail, {"Retry-After": str(min(LONGEST_RETRY, max(1, math.ceil(seconds))))})
