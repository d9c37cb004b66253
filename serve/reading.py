"""A deadline for bodies: who sends a header and waits, or sends a byte now and then, is not waited for."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.problems import Exchange, RefusedError


class ReadDeadline:
    """ASGI middleware: a body that comes too slowly is refused with 408, and the connection is closed.

    Only the time that the application waits for the body counts, not what it does in between.

    Parameters
    ----------
    first_seconds
        Within which the body must begin; above 0.
    bytes_per_second
        At which it must arrive then, on average; above 0.
    """

    def __init__(self, app: ASGIApp, first_seconds: float = 5.0, bytes_per_second: float = 64 * 1024) -> None:
        self._app, self._first_seconds, self._bytes_per_second = app, first_seconds, bytes_per_second

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange, waited, size = Exchange(scope, receive, send), 0.0, 0

        async def receive_in_time() -> Message:
            nonlocal waited, size
            if exchange.read:
                return await exchange.receive()
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._first_seconds + size / self._bytes_per_second - waited):
                    message = await exchange.receive()
            except TimeoutError:
                return await exchange.refuse(self._refusal(size, waited + time.monotonic() - began))
            waited += time.monotonic() - began
            size += len(message.get("body", b""))
            return message

        await exchange.run(self._app, receive_in_time)

    def _refusal(self, size: int, waited: float) -> RefusedError:
        detail = (
            f"{size} bytes of the body came in {waited:.1f} s: it must begin within {self._first_seconds:g} s and then "
            f"arrive at {self._bytes_per_second:g} bytes/s or more; send it again, all at once"
        )
        return RefusedError(408, "slow_upload", detail, {"Connection": "close"})
