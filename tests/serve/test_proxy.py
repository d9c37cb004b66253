"""Sockets that send no whole head, or nothing at all, are closed; others are not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http import auto

from serve import proxy
from serve.proxy import DeadlineProtocol, install
from tests.serve.asgi_server import begin, listening

SECONDS = 0.3


class Quick(DeadlineProtocol):
    seconds = SECONDS


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once, or with the size of the body."""
    size = len(await Request(scope, receive).body()) if scope["path"] in ("/size", "/below/v1/classify") else 0
    await PlainTextResponse(str(size))(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listening(app, http=Quick) as port:
        yield port


def seconds_until_closed(opened: socket.socket, drip: bytes = b"") -> float:
    """How long the server leaves it open, though bytes come; at most three seconds."""
    started, at = time.monotonic(), 0
    opened.settimeout(0.05)
    while time.monotonic() - started < 3:
        try:
            if drip:
                opened.send(drip[at : at + 1])
                at = min(at + 1, len(drip) - 1)
            if opened.recv(1000) == b"":
                break
        except TimeoutError:
            pass
        except OSError:
            break
    opened.close()
    return time.monotonic() - started


@pytest.mark.parametrize("sent", [b"", b"POST", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le"])
@pytest.mark.parametrize("drip", [b"", b"x" * 100])
def test_a_head_that_does_not_come_is_not_waited_for(port: int, sent: bytes, drip: bytes) -> None:
    if drip and not sent:
        sent = b"GET /x"
    opened = socket.create_connection(("127.0.0.1", port))
    opened.sendall(sent)
    assert seconds_until_closed(opened, drip) < 2


def test_the_rest_of_a_request_that_was_answered_is_not_waited_for(port: int) -> None:
    assert seconds_until_closed(begin(port, "POST / HTTP/1.1\nContent-Length: 100000"), b"x" * 1000) < 2


def test_bodies_answers_and_connections_that_are_used_again_have_their_time(port: int) -> None:
    slow = begin(port, "POST /size HTTP/1.1\nContent-Length: 40")
    for _ in range(4):
        time.sleep(SECONDS / 2)
        slow.sendall(b"x" * 10)
    assert slow.recv(1000).endswith(b"40")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(3):
            assert client.post("/size", content=b"abc").text == "3"
            time.sleep(1.5 * SECONDS)  # uvicorn's own 5 s count between requests


def test_many_sockets_are_gone_in_time(port: int) -> None:
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    assert httpx.post(f"http://127.0.0.1:{port}/size", content=b"abc").text == "3"
    assert max(map(seconds_until_closed, waiting)) < 2


def test_servers_have_it_once_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)  # put back afterwards
    install()
    config = uvicorn.Config(app)
    config.load()
    assert config.http_protocol_class is DeadlineProtocol
    ((name, place),) = proxy.VARIABLES.items()
    from ray._common.utils import import_attr
    from ray.serve._private import constants

    assert import_attr(place) is install and hasattr(constants, name)


def test_what_is_no_recording_is_refused_wherever_the_application_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    guarded: Any = app
    for middleware in reversed(install()):
        guarded = cast(Any, middleware.cls)(guarded, *middleware.args)
    with listening(guarded) as port:
        url = f"http://127.0.0.1:{port}"
        assert httpx.post(f"{url}/below/v1/classify", content=b"garbage!" * 512).status_code == 415
        assert httpx.post(f"{url}/size", content=b"garbage!" * 512).text == "4096"


def test_bodies_that_are_too_many_at_a_time_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    monkeypatch.setattr(proxy, "MOST_BYTES", 1000)
    admission, *_ = install()
    with listening(cast(Any, admission.cls)(app, *admission.args)) as port:
        with begin(port, "POST /size HTTP/1.1\nContent-Length: 999", bytes(950)):
            time.sleep(0.2)
            refused = httpx.post(f"http://127.0.0.1:{port}/size", content=bytes(60))
            assert (refused.status_code, refused.json()["error"]) == (503, "busy")
        time.sleep(0.2)
        assert httpx.post(f"http://127.0.0.1:{port}/size", content=bytes(60)).text == "60"
