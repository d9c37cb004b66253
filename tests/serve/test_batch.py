"""Many recordings in one form: a line each as soon as it is known, limits, and who hangs up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.front import Front
from serve.ingress import api
from serve.state import current_state
from tests.builders import encode, sounds_like
from tests.serve.asgi_server import listening
from tests.serve.conftest import LIMIT_BYTES
from tests.serve.in_process import serve_in_process

AUDIO = [encode(sounds_like("flute", i)) for i in range(4)]


@pytest.fixture
def port(model: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    serve_in_process(model, monkeypatch, max_upload_bytes=LIMIT_BYTES, batch_files=4, batch_bytes=2 * LIMIT_BYTES,
                     batch_at_once=2)  # fmt: skip
    with listening(api) as port:
        yield port


def send(port: int, *files: tuple[str, bytes], **request: Any) -> httpx.Response:
    form = [("audio", file) for file in files]
    return httpx.post(f"http://127.0.0.1:{port}/v1/batch", files=form, timeout=60, **request)


def test_each_file_is_answered_in_a_line(port: int) -> None:
    answer = send(port, ("a.wav", AUDIO[0]), ("a.wav", AUDIO[1]), ("no.wav", b"no audio" * 100), ("empty.wav", b""))
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = sorted((json.loads(line) for line in answer.text.splitlines()), key=lambda line: line["place"])
    assert [line["file"] for line in lines] == ["a.wav", "a.wav", "no.wav", "empty.wav"]
    alone = httpx.post(f"http://127.0.0.1:{port}/v1/classify", content=AUDIO[1]).json()
    assert lines[1] == {"file": "a.wav", "place": 1, "answer": alone}
    assert lines[2]["problem"]["status"] == 415 and lines[3]["problem"]["error"] == "empty"
    assert "answer" not in lines[2]


def test_limits_of_a_batch(port: int) -> None:
    def refused(*files: tuple[str, bytes]) -> tuple[int, str]:
        answer = send(port, *files)
        return answer.status_code, answer.json()["error"]

    assert refused(*[("a", AUDIO[0])] * 5) == (413, "too_many_files")
    assert refused(*[("a", bytes(LIMIT_BYTES))] * 3) == (413, "too_large")
    plain = httpx.post(f"http://127.0.0.1:{port}/v1/batch", content=AUDIO[0])
    assert (plain.status_code, plain.json()["error"]) == (415, "no_form")
    form = httpx.post(f"http://127.0.0.1:{port}/v1/batch", files={"a": (None, b"b")})
    assert (form.status_code, form.json()["error"]) == (400, "no_audio")
    large = json.loads(send(port, ("large", bytes(LIMIT_BYTES + 1))).text)
    assert large["problem"]["status"] == 413 and str(LIMIT_BYTES) in large["problem"]["detail"]


@pytest.fixture
def held(port: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes]]:
    """Recordings that were asked of the listener, and those whose answers were not waited for; the one with index 1
    gets no answer."""
    seen: dict[str, list[bytes]] = {"asked": [], "cancelled": []}
    real = Front.ask

    async def ask(self: Front, shelf: Any, method: str, audio: bytes) -> Any:
        seen["asked"].append(audio)
        try:
            if audio == AUDIO[1]:
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen["cancelled"].append(audio)
            raise
        return await real(self, shelf, method, audio)

    monkeypatch.setattr(Front, "ask", ask)
    return seen


def test_who_hangs_up_is_listened_to_no_more(port: int, held: dict[str, list[bytes]]) -> None:
    form = [("audio", (f"{i}.wav", AUDIO[i])) for i in (1, 0)]
    with httpx.stream("POST", f"http://127.0.0.1:{port}/v1/batch", files=form, timeout=20) as stream:
        first = json.loads(next(stream.iter_lines()))
        assert first["file"] == "0.wav", "it is told while another one is waited for"
    until = time.monotonic() + 20
    while not held["cancelled"] and time.monotonic() < until:
        time.sleep(0.02)
    assert held["cancelled"] == [AUDIO[1]]
    while current_state().front.admission.waiting and time.monotonic() < until:
        time.sleep(0.02)
    assert current_state().front.admission.waiting == 0


def test_a_batch_waits_where_others_are_refused(port: int) -> None:
    admission = current_state().front.admission
    admission.waiting = 1000

    async def asked() -> tuple[int, str]:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            batch = asyncio.create_task(client.post("/v1/batch", files={"audio": ("a.wav", AUDIO[2])}))
            alone = await client.post("/v1/classify", content=AUDIO[3])
            assert alone.status_code == 503 and not batch.done()
            admission.waiting -= 1000
            answer = await batch
            return answer.status_code, answer.text

    status, text = asyncio.run(asked())
    assert status == 200 and "answer" in json.loads(text)


def test_a_fault_of_ours_is_told_in_the_line(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async def broken(*arguments: Any) -> Any:
        raise OSError(str(tmp_path))

    monkeypatch.setattr(Front, "ask", broken)
    problem = json.loads(send(port, ("a.wav", AUDIO[0])).text)["problem"]
    assert (problem["status"], problem["error"]) == (500, "internal") and str(tmp_path) not in problem["detail"]
