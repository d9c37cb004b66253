"""Uploads that are none, without a server: reading ends at the limit, and what is wrong comes back as a value."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from starlette.requests import ClientDisconnect, Request

from serve.listener import Listener
from serve.problems import RefusedError
from serve.uploads import MULTIPART_OVERHEAD, read_upload
from serve.versions import resolve
from tests.builders import RATE, encode, music
from tests.serve.conftest import write_model

LIMIT = 200_000
CHUNK = 10_000
FORM = "Multipart/Form-Data; boundary=edge"  # a media type has no case


def form(content: bytes, name: str = "audio", file: bool = True) -> bytes:
    filename = '; filename="clip"' if file else ""
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'
    return head.encode() + content + b"\r\n--edge--\r\n"


class Upload:
    """A client that sends a body in chunks, and counts what was taken from it."""

    def __init__(self, body: bytes, content_type: str, declared: int | None = None, hangs_up: bool = False) -> None:
        parts: Sequence[bytes] = [body[i : i + CHUNK] for i in range(0, len(body), CHUNK)] or [b""]
        self.messages: list[dict[str, Any]] = [{"type": "http.request", "body": p, "more_body": True} for p in parts]
        if hangs_up:
            self.messages.append({"type": "http.disconnect"})
        self.messages[-1]["more_body"] = False
        self.taken = 0
        headers = [(b"content-type", content_type.encode())]
        if declared is not None:
            headers.append((b"content-length", str(declared).encode()))
        self.scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}

    async def receive(self) -> dict[str, Any]:
        message = self.messages.pop(0)
        self.taken += len(message.get("body", b""))
        return message

    def read(self) -> bytes:
        return asyncio.run(read_upload(Request(self.scope, self.receive), LIMIT))


@pytest.mark.parametrize("size", [1, CHUNK, LIMIT])
def test_up_to_the_limit_every_byte_arrives(size: int) -> None:
    content = np.random.default_rng(0).bytes(size)
    assert Upload(content, "audio/mpeg").read() == content
    assert Upload(form(content), FORM).read() == content


@pytest.mark.parametrize("content_type", ["audio/mpeg", "application/octet-stream", FORM])
def test_reading_ends_at_the_limit(content_type: str) -> None:
    body = bytes(5 * LIMIT)
    upload = Upload(form(body) if content_type == FORM else body, content_type)
    with pytest.raises(RefusedError, match="over the limit of 200000 bytes") as refused:
        upload.read()
    assert (refused.value.status, refused.value.error) == (413, "too_large")
    assert upload.taken <= LIMIT + MULTIPART_OVERHEAD + CHUNK


def test_one_byte_over_the_limit_in_a_form() -> None:
    with pytest.raises(RefusedError) as refused:
        Upload(form(bytes(LIMIT + 1)), FORM).read()
    assert refused.value.error == "too_large"


def test_declared_size_is_refused_unread() -> None:
    upload = Upload(bytes(5 * LIMIT), "audio/mpeg", declared=5 * LIMIT)
    with pytest.raises(RefusedError) as refused:
        upload.read()
    assert (refused.value.status, upload.taken) == (413, 0)


@pytest.mark.parametrize(
    "body, content_type, error",
    [
        (b"", "audio/mpeg", "empty"),
        (form(b""), FORM, "empty"),
        (form(b"RIFF", name="song"), FORM, "no_audio"),
        (form(b"RIFF", file=False), FORM, "no_audio"),
        (b"--edge", FORM, "no_audio"),
        (b"no form at all", FORM, "bad_form"),
        (form(b"RIFF"), "multipart/form-data", "bad_form"),
        (form(b"RIFF").replace(b"--edge--\r\n", b"") + form(b"RIFF"), FORM, "bad_form"),
    ],
    ids=["empty body", "empty file", "other field", "text field", "cut form", "no form", "no boundary", "two files"],
)
def test_no_audio(body: bytes, content_type: str, error: str) -> None:
    with pytest.raises(RefusedError, match="curl") as refused:
        Upload(body, content_type).read()
    assert (refused.value.status, refused.value.error) == (400, error)


@pytest.mark.parametrize("content_type", ["audio/mpeg", FORM])
def test_client_hangs_up(content_type: str) -> None:
    with pytest.raises(ClientDisconnect):
        Upload(form(bytes(3 * CHUNK))[:-CHUNK], content_type, hangs_up=True).read()


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Listener:
    return Listener(resolve(write_model(tmp_path_factory.mktemp("model"))), max_seconds=20.0)


@pytest.mark.parametrize(
    "audio, reason",
    [
        (b"no music", "undecodable"),
        (encode(np.zeros(2 * RATE, dtype=np.float32)), "silent"),
        (encode(music(0.1)), "too_short"),
        (encode(np.full(2 * RATE, np.nan, dtype=np.float32), subtype="FLOAT"), "not_finite"),
        (encode(music(20.2, seed=1)), "too_long"),
    ],
    ids=["text", "silence", "short", "NaN", "long"],
)
def test_what_is_wrong_with_a_recording_is_a_value(listener: Listener, audio: bytes, reason: str) -> None:
    answer = listener.recommend(audio, {"k": 3, "windows": False})
    assert set(answer) == {"problem", "detail"}
    assert answer["problem"] == reason


def test_too_long_names_both_lengths(listener: Listener) -> None:
    assert "at most 20 s are accepted, it is longer" in listener.classify(encode(music(20.2, seed=1)))["detail"]
