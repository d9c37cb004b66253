"""Each answer says the id of its request, whoever gave it, and so does the log."""

from __future__ import annotations

import asyncio
import uuid

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http import auto

from serve.log_settings import log_settings
from serve.proxy import install
from serve.request_ids import HEADER, RequestIds
from tests.builders import encode, sounds_like
from tonearm.core.errors import ConfigError


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the id that it was asked with, and says it in a header, as Ray Serve's own middleware does."""
    request = Request(scope, receive)
    await request.body()
    name = request.headers[HEADER]
    await PlainTextResponse(name, headers={HEADER: name})(scope, receive, send)


def ask(asked: ASGIApp, path: str = "/", method: str = "GET", **request: object) -> httpx.Response:
    async def answer() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(asked), base_url="http://here") as client:
            return await client.request(method, path, **request)  # type: ignore[arg-type]

    return asyncio.run(answer())


def test_an_id_is_taken_over_and_said_once() -> None:
    answer = ask(RequestIds(app), headers={HEADER: "a-1_2:3"})
    assert answer.headers.get_list(HEADER) == ["a-1_2:3"] and answer.text == "a-1_2:3"


@pytest.mark.parametrize("given", ["", "x" * 129, 'a" onto="log', "a b", "{}"])
def test_who_gives_none_or_nonsense_is_given_one(given: str) -> None:
    first, second = (ask(RequestIds(app), headers={HEADER: given} if given else {}) for _ in range(2))
    assert first.text == first.headers[HEADER] != second.text
    assert uuid.UUID(first.text)


def test_what_the_proxy_refuses_has_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: ASGIApp = app
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    for middleware in install():  # as Ray Serve does
        asked = middleware.cls(asked, *middleware.args, **middleware.kwargs)
    refused = ask(asked, "/v1/classify", "POST", content=b"no audio" * 100, headers={HEADER: "mine"})
    assert refused.status_code == 415 and refused.headers.get_list(HEADER) == ["mine"]


def test_every_answer_of_a_real_server_has_one_id(server: str) -> None:
    audio = encode(sounds_like("flute", 0))
    asked = [("GET", "/healthz", b""), ("GET", "/nowhere", b""), ("POST", "/v1/classify", audio),
             ("POST", "/v1/classify", b"no audio" * 100)]  # fmt: skip
    codes = []
    for method, path, content in asked:
        for given in ({HEADER: "mine-1"}, {}):
            answer = httpx.request(method, f"{server}{path}", content=content, headers=given, timeout=60)
            (name,) = answer.headers.get_list(HEADER)
            assert name == "mine-1" if given else uuid.UUID(name)
            codes.append(answer.status_code)
    assert codes == [200, 200, 404, 404, 200, 200, 415, 415]


def test_serves_log_is_json_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TONEARM_LOG", raising=False)
    assert log_settings() == {"encoding": "TEXT", "log_level": "WARNING", "enable_access_log": False}
    monkeypatch.setenv("TONEARM_LOG", "JSON")
    assert log_settings() == {"encoding": "JSON", "log_level": "INFO", "enable_access_log": True}
    monkeypatch.setenv("TONEARM_LOG", "xml")
    with pytest.raises(ConfigError, match="TONEARM_LOG is 'xml': give text or json"):
        log_settings()
