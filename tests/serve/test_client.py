"""The client, asking real servers: one that answers, and ones that fail on purpose."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from serve import schemas, schemas_feedback, schemas_server
from serve.ingress import api
from serve.problems import RefusedError
from tests.builders import encode, sounds_like
from tests.serve.asgi_server import listening
from tests.serve.conftest import SECONDS
from tests.serve.in_process import serve_in_process
from tonearm.client import Client, ClientError, answers, retries
from tonearm.core.errors import ConfigError

AUDIO = encode(sounds_like("flute", 7, SECONDS))
BUSY = RefusedError(503, "busy", "send it later")


@pytest.fixture
def client(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("TONEARM_HOME", str(place / "home"))
    serve_in_process(str(place / "model" / "bundle"), monkeypatch, batch_at_once=2)
    with listening(api) as port, Client(f"http://127.0.0.1:{port}", seconds=30) as asking:
        yield asking


def test_every_question_is_answered(client: Client, place: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(AUDIO)
    found = client.classify(tmp_path / "a.wav", timeline=True)
    again = client.classify(AUDIO)
    assert found["task"] == again["task"] == "single_label" and found["label"] == again["label"] and found["timeline"]
    assert client.attributes(AUDIO)["attributes"][0]["name"] == "key"
    like = client.recommend(like=["flute 0.wav"], k=2)
    assert [n["rank"] for n in like["neighbours"]] == [1, 2] and like["task"] == "seeds"
    heard = client.recommend(AUDIO, like=["flute 0.wav"], where={"track_id": ["bass 0.wav"]}, k=3)
    assert [n["track_id"] for n in heard["neighbours"]] == ["bass 0.wav"] and heard["task"] == "single_label"
    named = client.recommend(
        recording=heard["recording"], like=["flute 0.wav"], where={"track_id": ["bass 0.wav"]}, k=3
    )
    assert named["neighbours"] == heard["neighbours"] and client.recommend(like=["flute 0.wav"], k=None)["neighbours"]
    assert client.path("bass 0.wav", "flute 0.wav", n=1)["steps"][0]["track_id"] == "bass 0.wav"
    assert client.track("flute 0.wav")["track_id"] == "flute 0.wav"
    assert client.picture("flute 0.wav").startswith(b"\x89PNG") and len(client.clip("flute 0.wav")) > 1000
    assert client.search("flute", k=1)["count"] == 2
    client.listener = secrets.token_urlsafe()
    kept = client.feedback("like", "flute 0.wav", "one-event-0123456789", position=1)
    assert kept == {"event_id": "one-event-0123456789"}
    client.feedback("skip", "flute 1.wav", seconds=4)
    assert client.forget() == {"listener": client.listener, "events": 2} and client.forget()["events"] == 0
    assert client.model()["networks"] == 2 and client.health()["status"] == "ok"


def test_refusals_are_errors_with_code_and_sentence(client: Client) -> None:
    with pytest.raises(ClientError, match=r"flute 0.wav.* \(unknown_track, 404\)") as caught:
        client.track("flute 9/../x")
    assert (caught.value.code, caught.value.status) == ("unknown_track", 404)
    with pytest.raises(ClientError, match="other_task"):
        client.playlists(AUDIO)
    with pytest.raises(ConfigError, match="no address"):
        Client("127.0.0.1:8000")
    with pytest.raises(ConfigError, match="listener"):
        client.feedback("like", "flute 0.wav")


def test_a_batch_of_more_files_than_a_request_may_have(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tonearm.client.MOST_FILES", 2)
    names = [tmp_path / folder / "a.wav" for folder in "abcde"]
    for i, name in enumerate(names):
        name.parent.mkdir()
        name.write_bytes(AUDIO + bytes(2 * i) if i != 3 else b"no audio" * 100)
    found = {answer.file: answer for answer in client.batch(names)}
    assert set(found) == set(map(str, names))
    bad = found.pop(str(names[3]))
    assert bad.answer is None and bad.problem is not None and bad.problem.status == 415
    assert all(a.problem is None and a.answer is not None and a.answer["model"] == "bundle" for a in found.values())


class Failing:
    """An application that answers with what is given, one after another, then JSON."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[float]()
        self.headers: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(time.monotonic())
        self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        answer = self.answers.pop(0) if self.answers else JSONResponse({"status": "ok"})
        if answer == "broken":
            raise OSError("the connection is cut in the middle of an answer")
        await answer(scope, receive, send)


def ask(app: Failing, seconds: float = 20.0) -> Any:
    with listening(app) as port, Client(f"http://127.0.0.1:{port}", token="abc", seconds=seconds) as client:
        return client.health()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_SECONDS", 0.01)


def cut() -> StreamingResponse:
    async def half() -> Any:
        yield b'{"status": '
        raise OSError

    return StreamingResponse(half(), headers={"Content-Length": "100"}, media_type="application/json")


@pytest.mark.parametrize("failure", [
    lambda: RefusedError(503, "busy", "later").response,
    lambda: RefusedError(429, "too_many", "later").response,
    lambda: PlainTextResponse("Internal Server Error", 500),
    lambda: PlainTextResponse("bad gateway", 502),
    cut,
], ids=["busy", "too many", "proxy", "gateway", "cut"])  # fmt: skip
def test_what_may_succeed_is_asked_again(failure: Callable[[], Any]) -> None:
    app = Failing(failure(), failure(), failure())
    assert ask(app) == {"status": "ok"} and len(app.asked) == 4
    assert app.headers["authorization"] == "Bearer abc"


def test_what_cannot_succeed_is_not_asked_again() -> None:
    for status, code in ((500, "internal"), (422, "invalid"), (401, "no_token")):
        app = Failing(RefusedError(status, code, "a sentence").response)
        with pytest.raises(ClientError) as caught:
            ask(app)
        assert (caught.value.status, caught.value.code, caught.value.detail) == (status, code, "a sentence")
        assert len(app.asked) == 1


def test_retry_after_is_kept_to() -> None:
    app = Failing(RefusedError(503, "busy", "later", {"Retry-After": "1"}).response)
    assert ask(app) == {"status": "ok"} and app.asked[1] - app.asked[0] >= 1
    app = Failing(RefusedError(503, "busy", "later", {"Retry-After": "60"}).response)
    with pytest.raises(ClientError, match="busy"):
        ask(app)
    assert len(app.asked) == 1, "there would be no time for another try"


def test_a_time_in_all() -> None:
    app = Failing(*[BUSY.response] * 10_000)
    began = time.monotonic()
    with pytest.raises(ClientError, match="busy"):
        ask(app, seconds=0.5)
    assert len(app.asked) > 2 and time.monotonic() - began < 10

    async def hang(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(2)

    with pytest.raises(ClientError, match="no_answer") as caught:
        ask(Failing(hang), seconds=0.3)
    assert caught.value.status == 0


def test_a_server_that_is_away_for_a_moment(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ClientError, match="ConnectError"):
        Client(f"http://127.0.0.1:{port}", seconds=0.3).health()
    code = (
        "import time, http.server as h; time.sleep(1); "
        f"h.HTTPServer(('127.0.0.1', {port}), h.SimpleHTTPRequestHandler).handle_request()"
    )
    (tmp_path / "healthz").write_text('{"status": "ok"}')
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        try:
            assert Client(f"http://127.0.0.1:{port}", seconds=30).health()["status"] == "ok"
        finally:
            process.kill()


def test_a_page_that_is_no_answer_is_told() -> None:
    with pytest.raises(ClientError, match="is it a server of Tonearm"):
        ask(Failing(PlainTextResponse("<html>")))
    with listening(Failing(PlainTextResponse("<html>"))) as port, Client(f"http://127.0.0.1:{port}") as client, \
            pytest.raises(ClientError, match="no_json"):  # fmt: skip
        list(client.batch([__file__]))


def lines(*said: dict[str, Any], broken: bool = False) -> StreamingResponse:
    async def stream() -> Any:
        for line in said:
            yield json.dumps(line) + "\n"
        if broken:
            raise OSError

    return StreamingResponse(stream())


def test_what_a_batch_left_is_sent_again(tmp_path: Path) -> None:
    names = [tmp_path / name for name in "abc"]
    for name in names:
        name.write_bytes(b"audio")
    app = Failing(
        BUSY.response, lines({"place": 1, "answer": {"n": 1}}, {"place": 0, "problem": BUSY.document}),
        lines({"place": 1, "answer": {"n": 2}}, broken=True), lines({"place": 0, "answer": {"n": 3}}),
    )  # fmt: skip
    with listening(app) as port, Client(f"http://127.0.0.1:{port}", seconds=20) as client:
        found: list[Any] = [(answer.file[-1], answer.answer) for answer in client.batch(names)]
    assert found == [("b", {"n": 1}), ("c", {"n": 2}), ("a", {"n": 3})] and len(app.asked) == 4
    app = Failing(*[lines({"place": 0, "problem": BUSY.document}) for _ in range(10_000)])
    with listening(app) as port, Client(f"http://127.0.0.1:{port}", seconds=0.5) as client, \
            pytest.raises(ClientError, match="busy"):  # fmt: skip
        list(client.batch(names[:1]))


def test_tries_leave_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"audio")
    opened: list[int] = []

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        opened.append(len(list(Path("/proc/self/fd").iterdir())))
        await BUSY.response(scope, receive, send)

    app = Failing(*[busy] * 8, lines(*({"place": i, "answer": {}} for i in range(20))))
    with listening(app) as port, Client(f"http://127.0.0.1:{port}", seconds=20) as client:
        assert len(list(client.batch([tmp_path / "a"] * 20))) == 20
    assert len(opened) == 8 and max(opened) - min(opened) < 20


def test_types_are_those_of_the_server() -> None:
    served = {**vars(schemas), **vars(schemas_server), **vars(schemas_feedback)}
    known = {n: t for n, t in vars(answers).items() if isinstance(t, type) and hasattr(t, "__required_keys__")}
    assert len(known) > 20
    for name, own in known.items():
        if name == "Recommendation":
            assert set(own.__annotations__) | {"task"} >= {"neighbours", "notes", "task"}
            continue
        model = served[name]
        assert issubclass(model, BaseModel) and set(model.model_fields) == set(own.__required_keys__), name


def test_the_client_needs_httpx_alone() -> None:
    code = "import sys, tonearm.client; print(*{m.partition('.')[0] for m in sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"httpx", "tonearm"} <= set(found)
    assert {"numpy", "torch", "ray", "pydantic", "starlette", "fastapi", "mlflow", "serve"}.isdisjoint(found)
