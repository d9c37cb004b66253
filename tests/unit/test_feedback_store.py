"""Feedback in a database: kept once, on the disk, forgotten; what is wrong is told."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tonearm.core import home
from tonearm.core.errors import ConfigError, FeedbackError
from tonearm.feedback.events import CHALLENGER, CHAMPION, Event, arm_of
from tonearm.feedback.store import FeedbackStore


def event(number: int = 0, listener: str = "listener-0123456789", **said: object) -> Event:
    made = Event(f"event-{number:06d}", listener, "like", "flute 0.wav", seed="flute 1.wav", received=float(number))
    return dataclasses.replace(made, **said)  # type: ignore[arg-type]


@pytest.fixture
def store(tonearm_home: Path) -> FeedbackStore:
    return FeedbackStore()


def test_an_event_is_kept_once_as_it_came_first(store: FeedbackStore) -> None:
    assert not store.is_there
    assert store.add([event(2), event(1, seconds=3.0), event(2)]) == set() and store.is_there
    assert store.add([event(1, seconds=3.0, received=9.0), event(3)]) == set()
    found = store.read()
    assert found["event_id"] == ["event-000001", "event-000002", "event-000003"]
    assert found["received"] == [1.0, 2.0, 3.0] and found["seconds"] == [3.0, None, None]


def test_an_id_that_says_something_else_is_told(store: FeedbackStore) -> None:
    store.add([event(1)])
    assert store.add([event(1, kind="dislike"), event(2)]) == {"event-000001"}
    assert store.add([event(3), event(3, track_id="bass 0.wav")]) == {"event-000003"}
    assert store.read(("kind", "track_id")) == {"kind": ["like"] * 3, "track_id": ["flute 0.wav"] * 3}


def test_a_listener_is_forgotten_even_by_the_file(store: FeedbackStore, tonearm_home: Path) -> None:
    gone = "nobody-shall-know-this-one"
    store.add([event(i, gone if i % 2 else "listener-0123456789") for i in range(100)])
    assert any(gone.encode() in f.read_bytes() for f in tonearm_home.glob("feedback.db*"))
    assert store.forget(gone) == 50 and store.forget(gone) == 0
    store.close()
    assert not any(gone.encode() in f.read_bytes() for f in tonearm_home.glob("feedback.db*"))
    assert set(store.read()["listener"]) == {"listener-0123456789"}


def test_many_threads_and_stores_write_one_file(store: FeedbackStore) -> None:
    def write(first: int) -> None:
        own = FeedbackStore()
        for i in range(10):
            own.add([event(first * 100 + i, received=0.0)])
        own.close()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.read(("event_id",))["event_id"]) == 80


KILLED = """
import sys, time
from tests.unit.test_feedback_store import event
from tonearm.feedback.store import FeedbackStore
store = FeedbackStore()
for i in range(int(sys.argv[1]), 10**6):
    store.add([event(i)])
    print(i, flush=True)  # acknowledged
"""


def test_what_was_added_is_there_after_a_kill(store: FeedbackStore) -> None:
    acknowledged = []
    for first in (0, 100_000):
        root = Path(__file__).parents[2]
        path = os.pathsep.join((str(root / "platform"), str(root)))
        with subprocess.Popen([sys.executable, "-c", KILLED, str(first)], cwd=root, stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": path}) as process:  # fmt: skip
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(50)]
            process.kill()
            acknowledged += [int(line) for line in [*lines, *process.stdout] if line.endswith("\n")]
    kept = {int(i.removeprefix("event-")) for i in store.read(("event_id",))["event_id"]}
    assert len(acknowledged) >= 100 and set(acknowledged) <= kept


def test_a_full_disk_is_told_and_loses_nothing(store: FeedbackStore) -> None:
    store.add([event(i) for i in range(10)])
    with store._engine.connect() as connection:  # the pool has this one connection: the file may grow no further
        connection.exec_driver_sql("PRAGMA max_page_count=1")
    with pytest.raises(FeedbackError) as caught:
        store.add([event(i, track_id="t" * 1000) for i in range(10, 500)])
    assert caught.value.why == "its disk is full" and "full" in caught.value.cause
    assert "listener-0123456789" not in str(caught.value.__cause__), "the log tells it, and forgets nobody"
    assert len(store.read(("event_id",))["event_id"]) == 10, "all or none"
    assert store.add([event(500)]) == set(), "once there is room, it goes on"


@pytest.mark.parametrize(("spoil", "why"), [
    (lambda file: file.write_bytes(b"no database" * 1000), "damaged"),
    (lambda file: file.mkdir(), "cannot be opened"),
])  # fmt: skip
def test_a_file_that_is_none_is_told(spoil: object, why: str, store: FeedbackStore, tonearm_home: Path) -> None:
    tonearm_home.mkdir()
    spoil(tonearm_home / "feedback.db")  # type: ignore[operator]
    with pytest.raises(FeedbackError, match=why) as caught:
        store.add([event()])
    assert str(tonearm_home) not in caught.value.why


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tonearm_home: Path) -> None:
    assert (
        home.feedback_uri() == f"sqlite:///{tonearm_home}/feedback.db" and home.FEEDBACK not in home.place_variables()
    )
    monkeypatch.setenv(home.FEEDBACK, "postgresql://me@there/feedback")
    assert home.place_variables()[home.FEEDBACK] == FeedbackStore().uri == "postgresql://me@there/feedback"
    monkeypatch.setenv(home.FEEDBACK, "mysql://me:pass@there/feedback")
    with pytest.raises(ConfigError, match="begins with 'mysql'") as caught:
        home.feedback_uri()
    assert "pass" not in str(caught.value)
    monkeypatch.delenv(home.FEEDBACK)
    monkeypatch.setenv(home.HOME, "s3://bucket/home")
    with pytest.raises(ConfigError, match="set TONEARM_FEEDBACK"):
        home.feedback_uri()


def test_a_listener_always_has_the_same_arm() -> None:
    listeners = [f"listener-{i}" for i in range(20_000)]
    arms = [arm_of(one, "a", 0.3) for one in listeners]
    assert arms == [arm_of(one, "a", 0.3) for one in listeners]
    assert abs(arms.count(CHALLENGER) / len(arms) - 0.3) < 0.01
    other = [arm_of(one, "b", 0.3) for one in listeners]
    both = sum(a == b == CHALLENGER for a, b in zip(arms, other, strict=True)) / len(arms)
    assert abs(both - 0.09) < 0.01, "another salt assigns anew"
    assert (
        arm_of("", "a", 1.0) == CHAMPION and arm_of("x", "a", 0.0) == CHAMPION and arm_of("x", "a", 1.0) == CHALLENGER
    )
    pinned = [arm_of(f"listener-{i}", "a", 0.5) == CHALLENGER for i in range(8)]
    assert pinned == [True, False, False, True, False, False, True, False], "a release must not move listeners"
