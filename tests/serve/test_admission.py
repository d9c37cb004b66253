"""Who would wait too long, or whose body would be too many bytes, is told so before it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from serve.admission import Admission, AdmissionMiddleware
from serve.problems import RefusedError
from tests.serve.asgi_server import begin, listening, read_answer

LARGEST = 1000


class Busy:
    """An application whose Listener answers when it is let."""

    def __init__(self) -> None:
        self.admission = Admission(most_seconds=10, most_bytes=2500, workers=2, service_seconds=4)
        self.let, self.read = asyncio.Event(), 0
        app = Starlette(routes=[Route("/listen", self.listen, methods=["POST"]), Route("/id", self.look_up),
                                Route("/id", self.listen, methods=["POST"])])  # fmt: skip
        self.app = AdmissionMiddleware(app, self.admission, lambda scope: scope["path"] == "/listen", LARGEST)

    async def listen(self, request: Request) -> JSONResponse:
        size = len(await request.body())
        self.read += 1
        await self.let.wait()
        return JSONResponse({"size": size})

    async def look_up(self, request: Request) -> JSONResponse:
        return JSONResponse({"id": 1})


@pytest.fixture
def busy() -> Busy:
    return Busy()


def client(busy: Busy) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(busy.app), base_url="http://here")


async def fill(busy: Busy, asking: httpx.AsyncClient, count: int, path: str = "/listen", **request: Any) -> list[Any]:
    tasks = [asyncio.create_task(asking.post(path, **request)) for _ in range(count)]
    while busy.read < count and not any(task.done() for task in tasks):
        await asyncio.sleep(0)
    return tasks


def test_a_long_wait_is_refused_at_once_and_only_for_the_listener(busy: Busy) -> None:
    async def test() -> None:
        async with client(busy) as asking:
            waiting = await fill(busy, asking, 6, content=b"x")  # 6 of 4 s each by two: 12 s for the next
            refused = await asking.post("/listen", content=b"x")
            assert (refused.status_code, refused.json()["error"]) == (503, "busy")
            assert refused.headers["retry-after"] == "2"
            assert refused.headers["content-type"] == "application/problem+json"
            assert "6 recordings" in refused.json()["detail"]
            assert (await asking.get("/id")).status_code == 200
            waiting[0].cancel()  # who leaves makes room
            await asyncio.sleep(0.01)
            more = asyncio.create_task(asking.post("/listen", content=b"x"))
            await asyncio.sleep(0)
            busy.let.set()
            assert (await more).status_code == 200
            assert {(await w).status_code for w in waiting[1:]} == {200}
        assert (busy.admission.waiting, busy.admission.bytes_held) == (0, 0)

    asyncio.run(test())


def test_the_wait_is_learned_from_what_answers_take() -> None:
    admission = Admission(service_seconds=1)
    for _ in range(30):
        admission.measured(0.25)
    assert admission.service_seconds == pytest.approx(0.25, abs=0.01) and admission.expected_wait == 0
    with admission.listened(), admission.listened():
        assert admission.expected_wait == pytest.approx(0.5, abs=0.02)
        admission.workers = 0.5  # of one Listener and two ingresses
        assert admission.expected_wait == pytest.approx(1, abs=0.04)


def test_too_many_bytes_are_refused_by_what_they_declare(busy: Busy) -> None:
    async def test() -> None:
        async with client(busy) as asking:
            waiting = await fill(busy, asking, 3, "/id", content=bytes(800))
            refused = await asking.post("/id", content=bytes(101))
            assert (refused.status_code, refused.headers["retry-after"], busy.read) == (503, "4", 3)
            assert (await asking.get("/id")).status_code == 200
            small = asyncio.create_task(asking.post("/id", content=bytes(100)))
            await asyncio.sleep(0.01)
            assert busy.admission.bytes_held == 2500
            busy.let.set()
            assert {(await w).status_code for w in [*waiting, small]} == {200}
        assert busy.admission.bytes_held == 0

    asyncio.run(test())


def test_bytes_that_were_not_declared_are_counted_as_they_come(busy: Busy) -> None:
    async def chunks() -> Any:
        for _ in range(5):
            yield bytes(200)

    async def test() -> None:
        async with client(busy) as asking:
            waiting = await fill(busy, asking, 2, "/id", content=bytes(800))
            refused = await asking.post("/listen", content=chunks())
            assert (refused.status_code, refused.json()["error"], busy.read) == (503, "busy", 2)
            assert (busy.admission.bytes_held, busy.admission.waiting) == (1600, 0)
            busy.let.set()
            assert {(await w).status_code for w in waiting} == {200}

    asyncio.run(test())


def test_who_declares_more_than_is_ever_taken_is_left_to_the_application(busy: Busy) -> None:
    async def test() -> None:
        busy.let.set()
        async with client(busy) as asking:
            headers = {"Content-Length": str(10**12)}
            assert (await asking.post("/listen", content=b"x", headers=headers)).status_code == 200
        assert busy.admission.bytes_held == 0

    asyncio.run(test())


@pytest.fixture
def full() -> Iterator[int]:
    busy = Busy()
    busy.admission.waiting = 6
    with listening(busy.app) as port:
        yield port


def test_the_refusal_comes_before_the_body(full: int) -> None:
    status, headers, _ = read_answer(begin(full, "POST /listen HTTP/1.1\nContent-Length: 900"))
    assert (status, headers["retry-after"]) == (503, "2")


def test_who_declares_much_and_sends_nothing_takes_nobodys_place() -> None:
    busy = Busy()
    busy.let.set()
    with listening(busy.app) as port:
        waiting = [begin(port, "POST /listen HTTP/1.1\nContent-Length: 900", b"x") for _ in range(20)]
        assert httpx.post(f"http://127.0.0.1:{port}/listen", content=bytes(900)).json() == {"size": 900}
        assert (busy.admission.waiting, busy.admission.bytes_held) == (0, 20)
        for opened in waiting:
            opened.close()


def test_of_many_who_send_at_once_those_are_refused_who_would_wait_too_long(busy: Busy) -> None:
    async def test() -> None:
        async with client(busy) as asking:
            tasks = [asyncio.create_task(asking.post("/listen", content=b"x")) for _ in range(9)]
            await asyncio.sleep(0.05)
            assert (busy.read, busy.admission.waiting) == (6, 6)
            busy.let.set()
            assert sorted([(await task).status_code for task in tasks]) == [200] * 6 + [503] * 3
        assert busy.admission.waiting == 0

    asyncio.run(test())


def test_a_refusal_may_be_raised_for_one_of_several_recordings() -> None:
    admission = Admission(most_seconds=1, service_seconds=2)
    with admission.listened(), pytest.raises(RefusedError, match="1 recordings are before"), admission.listened():
        pass
    assert admission.waiting == 0
