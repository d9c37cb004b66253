"""What OpenSubsonic says of every answer: its envelope in JSON or XML, its errors, and who may ask.

https://opensubsonic.netlify.app, with version 1 of its extensions ``sonicSimilarity``, ``apiKeyAuthentication`` and
``formPost``.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.paths import own_path
from serve.problems import RefusedError
from tonearm import __version__

PREFIX = "/rest/"
EXTENSIONS = "getOpenSubsonicExtensions"
OPEN_PATHS = frozenset((f"{PREFIX}{EXTENSIONS}", f"{PREFIX}{EXTENSIONS}.view"))  # which everybody may ask for
API_VERSION = "1.16.1"  # of Subsonic's protocol
NAMESPACE = "http://subsonic.org/restapi"
GENERIC, MISSING, NO_TOKENS, NO_PASSWORDS, CONFLICT, BAD_KEY, UNKNOWN = 0, 10, 41, 42, 43, 44, 70  # errors
UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML
MOST_FORM = 64 * 1024  # bytes
KEPT = (429, 503)  # statuses that are told as such, for who waits; else the status is 200, as in Subsonic


class SubsonicError(RefusedError):
    """A failure as Subsonic numbers it."""

    def __init__(self, code: int, message: str, status: int = 200) -> None:
        super().__init__(status, f"subsonic_{code}", message)
        self.code = code


def api_key(scope: Scope) -> str:
    """The token of a request, which is its parameter ``apiKey``.

    Passwords and tokens made of them cannot be checked: what is kept of our tokens is a digest.

    Raises
    ------
    SubsonicError
        If there is none, or another mechanism beside it or in its place.
    """
    given: dict[str, list[str]] = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    others = [name for name in ("u", "p", "t", "s") if name in given]
    how = "send apiKey=TOKEN; the server's owner makes one with tonearm serve --new-token NAME"
    if "apiKey" in given:
        if others:
            raise SubsonicError(CONFLICT, f"apiKey and {', '.join(others)} are given: send apiKey alone")
        return given["apiKey"][0]
    if "t" in given or "s" in given:
        raise SubsonicError(NO_TOKENS, f"tokens that are made of passwords cannot be checked: {how}")
    if "p" in given:
        raise SubsonicError(NO_PASSWORDS, f"there are no passwords: {how}")
    raise SubsonicError(MISSING, f"apiKey is missing: {how}")


class FormAsQuery:
    """ASGI middleware: what OpenSubsonic's clients post as a form is asked as if it stood in the address.

    Parameters
    ----------
    seconds
        In which the form must have come; above 0.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not own_path(scope).startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        query = scope.get("query_string", b"")
        try:
            if Headers(scope=scope).get("content-type", "").startswith("application/x-www-form-urlencoded"):
                async with asyncio.timeout(self._seconds):
                    query = b"&".join(filter(None, [query, await _body(receive)]))
        except TimeoutError:
            slow = RefusedError(408, "slow_upload", f"the form did not come within {self._seconds:g} s")
            await slow.response(scope, receive, send)
        except RefusedError as refusal:
            await refusal.response(scope, receive, send)
        else:
            await self._app({**scope, "method": "GET", "query_string": query}, receive, send)


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > MOST_FORM:
            raise RefusedError(413, "too_large", f"the form is over {MOST_FORM} bytes")
    return body


def envelope(content: Mapping[str, Any], form: str = "xml") -> Response:
    """An answer; ``form`` is ``json`` or ``xml``."""
    return _response({"status": "ok"}, content, form)


def failed(refusal: RefusedError, form: str = "xml") -> Response:
    """The answer to what failed."""
    codes = {404: UNKNOWN, 401: BAD_KEY}
    code = refusal.code if isinstance(refusal, SubsonicError) else codes.get(refusal.status, GENERIC)
    keeps = isinstance(refusal, SubsonicError) or refusal.status in KEPT
    answer = _response({"status": "failed"}, {"error": {"code": code, "message": refusal.detail}}, form)
    answer.status_code = refusal.status if keeps else 200
    if refusal.headers and "Retry-After" in refusal.headers:
        answer.headers["Retry-After"] = refusal.headers["Retry-After"]
    return answer


def form_of(scope: Scope) -> str:
    """In which form a request wants its answer: ``json``, or ``xml`` if it does not say."""
    wanted = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("f", ["xml"])[0]
    return "json" if wanted in ("json", "jsonp") else "xml"


def _response(status: Mapping[str, Any], content: Mapping[str, Any], form: str) -> Response:
    body = {**status, "version": API_VERSION, "type": "tonearm", "serverVersion": __version__, "openSubsonic": True,
            **content}  # fmt: skip
    if form == "json":
        return Response(json.dumps({"subsonic-response": body}), media_type="application/json")
    root = _element("subsonic-response", body)
    root.set("xmlns", NAMESPACE)
    return Response(ElementTree.tostring(root, "utf-8", xml_declaration=True), media_type="text/xml")


def _element(name: str, value: Any) -> ElementTree.Element:
    """A dictionary as an element: what is single are attributes, what is a dictionary or of a list are its children."""
    element = ElementTree.Element(name)
    if not isinstance(value, Mapping):
        element.text = _text(value)
        return element
    for key, part in value.items():
        if isinstance(part, Mapping):
            element.append(_element(key, part))
        elif isinstance(part, list):
            element.extend([_element(key, each) for each in part])
        else:
            element.set(key, _text(part))
    return element


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else UNSPEAKABLE.sub("\ufffd", str(value))
