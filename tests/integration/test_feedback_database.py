"""Feedback in PostgreSQL: several processes at once, and a server that goes away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Postgres, running_postgres
from tests.unit.test_feedback_store import event
from tonearm.core.errors import FeedbackError
from tonearm.feedback.store import FeedbackStore

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
WRITE = """
import sys
from tests.unit.test_feedback_store import event
from tonearm.feedback.store import FeedbackStore
store = FeedbackStore()
for i in range(20):
    assert store.add([event(n, received=0.0) for n in range(i * 10 + 9, i * 10 - 1, -1)]) == set()
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    yield from running_postgres()


def test_processes_at_once_and_a_server_that_goes_away(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_FEEDBACK", postgres.uri)
    path = os.pathsep.join((str(ROOT / "platform"), str(ROOT)))
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITE], cwd=ROOT, env={**os.environ, "PYTHONPATH": path})
        for _ in range(3)
    ]  # the same ids, in batches: whoever comes first keeps them, and none waits for the other in a circle
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    store = FeedbackStore()
    assert len(set(store.read(("event_id",))["event_id"])) == 200 == len(store.read(("event_id",))["event_id"])
    assert store.add([event(1, kind="skip", seconds=2.5)]) == {"event-000001"}
    postgres.stop()
    with pytest.raises(FeedbackError, match=r"it is away|cannot be reached"):
        store.add([event(1000)])
    postgres.start()
    assert store.add([event(1000, position=3)]) == set()
    assert store.read(("position",), experiment="")["position"] == [None] * 200 + [3]
    assert store.forget("listener-0123456789") == 201 and store.read(("event_id",)) == {"event_id": []}


def test_an_address_that_cannot_be_is_told(postgres: Postgres) -> None:
    for uri, why in ((f"{postgres.uri}x", "does not exist"), ("postgresql+nothing://a@b/c", "its address")):
        with pytest.raises(FeedbackError, match=why):
            FeedbackStore(uri).add([event()])
