"""Deploying: which version is the champion, and whether a server answers with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.servers import free_port
from tonearm.core.errors import JobError, TrackingError
from tonearm.tracking import names
from tonearm.tracking.log import client
from tonearm.tracking.query import registered
from tonearm.workflows import deploy as deploying
from tonearm.workflows.deploy import deploy

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def toy(database: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data set whose model has two versions: 1 is the champion, 2 was selected last."""
    name = names.model_name(dataset := f"toy-{len(request.node.name)}")
    api = client()
    monkeypatch.setattr(deploying, "SECONDS_BETWEEN_LOOKS", 0.01)
    api.create_registered_model(name)
    for _ in range(2):
        api.create_model_version(name, source="/nowhere")
    api.set_registered_model_alias(name, "champion", "1")
    api.set_registered_model_alias(name, "candidate", "2")
    return dataset


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server's URL, and what it says of its health, the last for ever."""
    says: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Says nothing."""

        def do_GET(self) -> None:
            said = says.pop(0) if len(says) > 1 else says[0]
            data = json.dumps({"status": "ok", "problem": "", **said}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}", says
    made.shutdown()
    made.server_close()
    thread.join()


def test_the_champion_is_named_and_what_was_selected_last_if_asked_for(toy: str) -> None:
    assert f"tonearm-{toy} version 1 is the champion (version 2, selected last, is not" in deploy(toy)
    assert deploy(toy, promote_anyway=True).startswith(f"tonearm-{toy} version 2 is the champion;")
    now = registered(toy, "champion")
    assert now is not None and now.version == "2"


def test_a_server_is_waited_for(toy: str, server: tuple[str, list[dict[str, Any]]]) -> None:
    url, says = server
    says += [{"status": "starting", "model": None, "version": None}, {"model": f"tonearm-{toy}", "version": "1"},
             {"model": f"tonearm-{toy}", "version": "1"}, {"model": f"tonearm-{toy}", "version": "2"}]  # fmt: skip
    assert deploy(toy, url, promote_anyway=True).endswith(f"answers at {url}")
    assert len(says) == 1


def test_a_server_that_does_not_take_it(toy: str, server: tuple[str, list[dict[str, Any]]]) -> None:
    url, says = server
    for said, told in (
        ({"model": "tonearm-other", "version": "1"}, "serves tonearm-other, and not the champion of tonearm-toy-"),
        ({"model": f"tonearm-{toy}", "version": ""}, "and not the champion"),
        (
            {"model": f"tonearm-{toy}", "version": "7", "problem": "it is damaged"},
            "did not take version 1 .*: it is dam",
        ),
        ({"model": f"tonearm-{toy}", "version": "7"}, "did not take version 1 in 0 s: it is ok, with version 7"),
    ):
        says[:] = [said]
        with pytest.raises(JobError, match=told):
            deploy(toy, url, seconds=0.1)
    with pytest.raises(JobError, match="did not take version 1"):
        deploy(toy, f"http://127.0.0.1:{free_port()}", seconds=0.1)


def test_nothing_to_deploy() -> None:
    with pytest.raises(TrackingError, match="no registered model tonearm-nothing: tonearm select SWEEP"):
        deploy("nothing")
    client().create_registered_model("tonearm-nothing")
    client().create_model_version("tonearm-nothing", source="/nowhere")
    client().set_registered_model_alias("tonearm-nothing", "candidate", "1")
    with pytest.raises(JobError, match="tonearm deploy nothing --promote"):
        deploy("nothing")
