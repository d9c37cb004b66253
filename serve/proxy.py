"""What stands in front of Ray Serve's proxy, which takes whatever comes as fast as it comes, and holds it in memory.

Each request is given an id. There is a deadline for heads of requests: neither uvicorn nor Ray Serve has one, and each
socket that waits holds a file. What is no recording is refused by its first bytes, and bodies that are too many at a
time are refused; the ingress does so, too, but the proxy would have taken all of them before it hears of it.

Ray Serve's proxy calls :func:`install` where this is in its environment before Ray starts::

    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=serve.proxy.install
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.middleware import Middleware
from starlette.types import Scope
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve.admission import Admission, AdmissionMiddleware
from serve.first_bytes import AUDIO_PATHS, FirstBytes
from serve.request_ids import RequestIds

MOST_BYTES = 512 * 2**20  # of bodies at a time; above what an ingress holds
VARIABLES = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": f"{__name__}.install"}


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's connections, closed where the head of a request, or the rest of one that was answered already, does not
    come in time. For the body of one that is being answered see :class:`serve.reading.ReadDeadline`."""

    seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None
    _whole = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._come()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._whole = False
        self._expect()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._come()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._whole = True
        self._come()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._whole:
            self._expect()

    def _expect(self) -> None:
        """Close the connection in a while, unless something comes; a second call does not make it longer."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.seconds, self.timeout_keep_alive_handler)

    def _come(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def sends_audio(scope: Scope) -> bool:
    """Whether the body of a request is a recording, or a form with it, wherever our application is below."""
    path: str = scope["path"]
    return scope["method"] == "POST" and path.endswith(AUDIO_PATHS)


def install() -> list[Middleware]:
    """Let all servers that uvicorn starts in this process from now on have the deadline; the proxy's middleware."""
    module: Any = auto
    module.AutoHTTPProtocol = DeadlineProtocol
    return [
        Middleware(AdmissionMiddleware, Admission(most_bytes=MOST_BYTES), lambda scope: False, MOST_BYTES // 8),
        Middleware(FirstBytes, sends_audio),
        Middleware(RequestIds),
    ]
