"""Responses to failures: problem documents (RFC 9457), and refusals in the middle of a request's body."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MODEL_REFUSED = "model_refused"  # the code of a server whose only model cannot be used
MEDIA_TYPE = "application/problem+json"
DISCONNECTED: Message = {"type": "http.disconnect"}


class ProblemResponse(JSONResponse):
    """A problem document."""

    media_type = MEDIA_TYPE


class RefusedError(Exception):
    """A request that is refused; the parameters are those of :func:`problem`."""

    def __init__(self, status: int, error: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.error, self.detail, self.headers = status, error, detail, headers

    @property
    def document(self) -> dict[str, str | int]:
        """The problem document."""
        return document(self.status, self.error, self.detail)

    @property
    def response(self) -> ProblemResponse:
        """The response to the request."""
        return problem(self.status, self.error, self.detail, self.headers)


def problem(status: int, error: str, detail: str, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    """The response to a failure.

    Parameters
    ----------
    status
        Of HTTP, 400 to 599; its phrase is the title.
    error
        A short code, for programs. The ``type`` is ``about:blank``: it says no more than the status.
    detail
        A sentence: what was wrong and what to do.
    """
    return ProblemResponse(document(status, error, detail), status_code=status, headers=headers)


def document(status: int, error: str, detail: str) -> dict[str, str | int]:
    """The members of a problem document, as :func:`problem` has them."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "error": error,
    }


class Exchange:
    """A request and its response, which can be refused while the application still reads the body.

    The application is told that the client has gone, and what it sends afterwards is dropped.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.started = self.refused = self.read = False

    async def receive(self) -> Message:
        """The next message of the client; ``read`` is true once the body is whole."""
        if self.refused:
            return DISCONNECTED
        message = await self._receive()
        self.read = self.read or message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        """Let the application answer, reading by ``receive``."""
        try:
            await app(self.scope, receive, self.send)
        except ClientDisconnect:
            if not self.refused:  # else it is what it was told
                raise

    async def send(self, message: Message) -> None:
        """Send what the application answers."""
        if not self.refused:
            self.started = True
            await self._send(message)

    async def refuse(self, refusal: RefusedError) -> Message:
        """Answer with a problem, if no other answer has begun; returns what the application is to be told."""
        if not self.refused:
            self.refused = True
            if not self.started:
                await refusal.response(self.scope, self._receive, self._send)
        return DISCONNECTED
