"""Feedback over HTTP: acknowledged once it is on the disk, whatever becomes of the disk; serving goes on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import ray.serve

from serve.admission import Admission
from serve.answers_cache import AnswersCache
from serve.feedback import FeedbackWriter
from serve.front import Front
from serve.guards import Guards
from serve.ingress import api
from serve.problems import RefusedError
from serve.settings import AppArgs
from serve.state import State
from tests.serve.asgi_server import listening
from tonearm.client import Client, ClientError, retries
from tonearm.core.errors import FeedbackError
from tonearm.feedback.events import Event
from tonearm.feedback.store import FeedbackStore

LISTENER = "listener-0123456789"


class Broken:
    """A database whose disk is full as often as it is said to be, and then is a real one; commits take a moment."""

    def __init__(self, times: int = 0) -> None:
        self.times, self.store, self.batches = times, FeedbackStore(), list[int]()

    def add(self, events: Sequence[Event]) -> set[str]:
        time.sleep(0.05)
        if self.times:
            self.times -= 1
            raise FeedbackError("its disk is full", "/srv/feedback.db: database or disk is full")
        self.batches.append(len(events))
        return self.store.add(events)

    def forget(self, listener: str) -> int:
        raise FeedbackError("it is away", "no route to db.example")


@pytest.fixture
def state() -> State:
    """What an ingress holds that has no model yet."""
    front = Front(lambda *_: {}, lambda version: None, Admission(), AnswersCache())
    return State(AppArgs(model="bundle"), Guards(front.admission), front)


@pytest.fixture
def port(state: State, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    replica = SimpleNamespace(servable_object=SimpleNamespace(state=state))
    monkeypatch.setattr(ray.serve, "get_replica_context", lambda: replica)
    with listening(api) as port:
        yield port


def event(number: int = 0, **said: Any) -> dict[str, Any]:
    return {"event_id": f"event-id-{number:08d}", "listener": LISTENER, "kind": "like", "track_id": "a", **said}


def post(port: int, said: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{port}/v1/feedback", json=said, timeout=30)


def test_it_is_kept_once_before_it_is_answered_and_no_model_is_needed(port: int) -> None:
    before = time.time()
    first = post(port, event(1, position=3, seconds=4.5, seed="b", request_id="r", model="m", version="2"))
    assert (first.status_code, first.json()) == (200, {"event_id": "event-id-00000001"})
    again = post(port, event(1, position=3, seconds=4.5, seed="b", request_id="r", model="m", version="2"))
    assert (again.status_code, again.json()) == (200, first.json()), "answered the same"
    found = FeedbackStore().read()
    assert found["position"] == [3] and found["version"] == ["2"]
    assert before - 1 <= found["received"][0] <= time.time() + 1, "when it came, however long that took"
    other = post(port, event(1, kind="dislike"))
    assert other.status_code == 409 and other.json()["error"] == "other_event"
    assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 503


@pytest.mark.parametrize("bad", [
    {"listener": "anna@example.org 123"}, {"kind": "love"}, {"kind": "skip"}, {"seconds": -1}, {"position": 0},
    {"track_id": ""}, {"track_id": "a\0b"}, {"event_id": "1"}, {"name": "Anna"},
])  # fmt: skip
def test_what_is_wrong_is_told_and_not_kept(bad: dict[str, Any], port: int) -> None:
    answer = post(port, event(**bad))
    assert answer.status_code == 422 and next(iter(bad)) in answer.json()["detail"].replace("skip", "kind")
    assert not FeedbackStore().is_there


def test_a_full_disk_is_told_and_the_client_sends_again(
    state: State, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Broken(times=2)
    state.__dict__["feedback"] = FeedbackWriter(lambda: broken)  # type: ignore[arg-type, return-value]
    answer = post(port, event(1))
    assert answer.status_code == 503 and answer.headers["content-type"] == "application/problem+json"
    assert "its disk is full" in answer.json()["detail"] and "/srv" not in answer.text
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200, "serving goes on"
    monkeypatch.setattr(retries, "FIRST_SECONDS", 0.01)
    with Client(f"http://127.0.0.1:{port}", seconds=20, listener=LISTENER) as client:
        assert client.feedback("like", "a", "event-id-00000001")["event_id"] == "event-id-00000001"
        assert FeedbackStore().read(("event_id",))["event_id"] == ["event-id-00000001"]
        client.seconds = 1
        with pytest.raises(ClientError, match=r"it is away.*503"):
            client.forget()
    assert state.feedback.refused == {"database": 2 + 1} and state.feedback.kept == {("like", ""): 1}
    text = state.metrics.text().decode()
    assert 'tonearm_feedback_refused_total{ingress="' in text and 'why="database"} 3.0' in text


def keep(writer: FeedbackWriter, events: Sequence[Event]) -> list[Any]:
    async def all_of_them() -> list[Any]:
        return list(await asyncio.gather(*map(writer.keep, events), return_exceptions=True))

    return asyncio.run(all_of_them())


def made(number: int) -> Event:
    return Event(f"event-id-{number:08d}", LISTENER, "play", "a")


def test_many_share_a_commit(tonearm_home: Path) -> None:
    store = Broken()
    writer = FeedbackWriter(lambda: store)  # type: ignore[arg-type, return-value]
    assert keep(writer, [made(i) for i in range(500)]) == [None] * 500
    assert sum(store.batches) == 500 and len(store.batches) < 50 and writer.commits == len(store.batches)
    assert len(store.store.read(("event_id",))["event_id"]) == 500


def test_who_cannot_wait_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    class Hanging(Broken):
        def add(self, events: Sequence[Event]) -> set[str]:
            release.wait(20)
            return set()

    monkeypatch.setattr("serve.feedback.MOST_WAITING", 3)
    monkeypatch.setattr("serve.feedback.SECONDS_TO_KEEP", 0.3)
    writer = FeedbackWriter(Hanging)  # type: ignore[arg-type]
    try:
        found = keep(writer, [made(i) for i in range(20)])
    finally:
        release.set()
    assert all(isinstance(e, RefusedError) and e.status == 503 for e in found)
    assert writer.refused["slow"] >= 3 and writer.refused["busy"] >= 10 and writer.refused.total() == 20


@pytest.mark.parametrize("failing", [RuntimeError("a bug"), FeedbackError("it is damaged")])
def test_a_fault_ends_nothing(failing: Exception) -> None:
    fails = [failing]
    real = FeedbackStore()

    class Once:
        def add(self, events: Sequence[Event]) -> set[str]:
            if fails:
                raise fails.pop()
            return real.add(events)

    opened: Callable[[], Any] = Once
    writer = FeedbackWriter(opened)
    (found,) = keep(writer, [made(1)])
    assert isinstance(found, RefusedError) and "a bug" not in found.detail
    assert keep(writer, [made(1)]) == [None]
