"""An id for each request, the caller's own or a new one: in ``X-Request-ID`` of its answer, and in lines of the log."""

from __future__ import annotations

import re
import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
TAKEN = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")  # what may be written to a log as it is


class RequestIds:
    """ASGI middleware, in front of all others of Ray Serve's proxy: what these refuse has an id, too.

    Ray Serve has one of its own, which takes whatever comes and sees answers of applications alone; it finds ours.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = MutableHeaders(scope=scope)
        given = asked.get(HEADER, "")
        name = given if TAKEN.fullmatch(given) else str(uuid.uuid4())
        asked[HEADER] = name

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = name  # once, whoever set it before
            await send(message)

        await self._app(scope, receive, send_with_id)
