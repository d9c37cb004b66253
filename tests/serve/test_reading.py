"""Clients that send a body slowly or not at all are not waited for, and disturb nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from serve.reading import ReadDeadline
from tests.serve.asgi_server import begin, listening, read_answer

FIRST, RATE = 0.2, 100_000.0
HEAD = "POST / HTTP/1.1\nContent-Length: 1000000"


async def measure(request: Request) -> JSONResponse:
    return JSONResponse({"size": len(await request.body())})


async def pause(request: Request) -> JSONResponse:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        await asyncio.sleep(1.5 * FIRST)  # the application's own time
    return JSONResponse({"size": size})


async def stream(request: Request) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"1"
        await asyncio.sleep(2 * FIRST)  # longer than any deadline: the body is there
        yield b"2"

    await request.body()
    return StreamingResponse(parts())


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    routes = [Route(f"/{f.__name__}", f, methods=["GET", "POST"]) for f in (pause, stream)]
    app = Starlette(routes=[Route("/", measure, methods=["GET", "POST"]), *routes])
    with listening(ReadDeadline(app, FIRST, RATE)) as port:
        yield port


@pytest.mark.parametrize("body", [b"", b"x" * 10])
def test_a_body_that_does_not_come_is_refused(port: int, body: bytes) -> None:
    status, headers, problem = read_answer(begin(port, HEAD, body))
    assert (status, problem["error"], headers["closed"]) == (408, "slow_upload", "True")
    assert headers["content-type"] == "application/problem+json"
    assert problem["title"] == "Request Timeout" and f"{len(body)} bytes" in problem["detail"]


def test_a_byte_now_and_then_is_too_slow(port: int) -> None:
    dripping = begin(port, HEAD)
    for _ in range(10):
        time.sleep(0.1)
        try:
            dripping.send(b"x")
        except OSError:
            break  # it has been closed
    assert read_answer(dripping)[0] == 408


def test_what_comes_fast_enough_is_taken(port: int) -> None:
    slow = begin(port, "POST / HTTP/1.1\nContent-Length: 120000")
    for _ in range(6):  # twice the rate, for longer than the body may take to begin
        slow.sendall(bytes(20_000))
        time.sleep(0.1)
    assert read_answer(slow)[2] == {"size": 120_000}


def test_the_time_that_the_application_takes_does_not_count(port: int) -> None:
    paused = begin(port, "POST /pause HTTP/1.1\nContent-Length: 30", b"x" * 10)
    for _ in range(2):
        time.sleep(FIRST / 2)
        paused.sendall(b"x" * 10)
    assert read_answer(paused)[2] == {"size": 30}


def test_an_answer_may_take_longer_than_the_body(port: int) -> None:
    assert httpx.post(f"http://127.0.0.1:{port}/stream", content=b"x").text == "12"


def test_sockets_that_wait_disturb_nobody(port: int) -> None:
    waiting = [begin(port, HEAD) for _ in range(100)]
    assert httpx.post(f"http://127.0.0.1:{port}/", content=b"abc").json() == {"size": 3}
    assert {read_answer(opened)[0] for opened in waiting} == {408}


def test_an_application_that_began_its_answer_is_told_that_the_client_has_gone() -> None:
    seen = []

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        seen.append(await receive())
        await send({"type": "http.response.body", "body": b"late"})

    with listening(ReadDeadline(app, FIRST, RATE)) as port, begin(port, HEAD) as opened:
        assert opened.recv(100).startswith(b"HTTP/1.1 200")
        opened.settimeout(5)
        assert b"late" not in opened.recv(100)
    assert seen == [{"type": "http.disconnect"}]
