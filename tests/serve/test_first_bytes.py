"""What is no audio is refused by its first bytes, before the rest of it is taken."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from serve.first_bytes import MOST_LOOKED_AT, FirstBytes
from tests.builders import encode, music
from tests.serve.asgi_server import begin, listening, read_answer

TAG = b"ID3\x04\x00\x00" + bytes([0, 2**4, 0, 0])  # says that 256 KiB follow
MUSIC = music(3.0)
REFUSED = {
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(2000),
    "page": b"<!doctype html><html><head><title>Not found</title>" + b"\n" * 2000,
    "text": b"this is no music, whatever its name says. " * 20,
    "archive": b"PK\x03\x04" + bytes(2000),
    "film": b"RIFF\xff\xff\xff\xffAVI LIST" + bytes(2000),
    "noise": b"\xf0" * MOST_LOOKED_AT,
}
TAKEN = {
    **{kind: encode(MUSIC, container=kind) for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF")},
    "junk in front": bytes(70_000) + encode(MUSIC, container="MP3"),
    "cover in front": TAG + os.urandom(2**18) + encode(MUSIC, container="MP3"),
    "short": b"neither",
    "nothing": b"",
}


async def answer(request: Request) -> JSONResponse:
    if request.headers["content-type"].startswith("multipart"):
        async with request.form() as form:
            files = [f for f in form.values() if isinstance(f, UploadFile)]
            return JSONResponse({"sizes": [f.size for f in files]})
    return JSONResponse({"size": len(await request.body())})


app = FirstBytes(
    Starlette(routes=[Route(path, answer, methods=["POST"]) for path in ("/audio", "/other")]),
    lambda scope: scope["path"] == "/audio",
)


def post(path: str = "/audio", **request: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.post(path, **request)

    return asyncio.run(asked())


def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    async def parts() -> AsyncIterator[bytes]:
        for place in range(0, len(data), size):
            yield data[place : place + size]

    return parts()


RAW = {"Content-Type": "application/octet-stream"}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("size", [100, 10**6])
def test_what_is_no_audio_is_refused(kind: str, size: int) -> None:
    form = httpx.Request("POST", "http://here", files={"audio": ("song.mp3", REFUSED[kind])}, data={"k": "3"})
    of_form = {"Content-Type": form.headers["content-type"]}
    for body, headers in ((REFUSED[kind], RAW), (form.read(), of_form)):
        refused = post(content=pieces(body, size), headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (415, "undecodable"), refused.text
        assert "begins as none" in refused.json()["detail"]


@pytest.mark.parametrize("kind", TAKEN)
@pytest.mark.parametrize("size", [1000, 10**6])
def test_music_and_what_may_be_music_is_taken_whole(kind: str, size: int) -> None:
    data = TAKEN[kind]
    assert post(content=pieces(data, size), headers=RAW).json() == {"size": len(data)}
    assert post(files={"audio": ("song", data)}).json() == {"sizes": [len(data)]}


def test_only_the_recording_is_looked_at() -> None:
    picture = REFUSED["picture"]
    assert post("/other", content=picture, headers=RAW).json() == {"size": len(picture)}
    assert post(files={"cover": ("cover.png", picture)}).json() == {"sizes": [len(picture)]}
    assert post(files={"audio": ("song", TAKEN["WAV"]), "cover": ("cover.png", picture)}).status_code == 200
    assert post(content=picture, headers={"Content-Type": "application/json"}).json() == {"size": len(picture)}


def test_a_broken_form_is_left_to_the_application() -> None:
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert post(content=b"no form at all", headers=broken).status_code == 400
    assert post(content=b"--x", headers={"Content-Type": "multipart/form-data"}).status_code == 400


def test_the_rest_is_not_waited_for() -> None:
    head = "POST /audio HTTP/1.1\nContent-Length: 40000000\nContent-Type: application/octet-stream"
    with listening(app) as port:
        assert read_answer(begin(port, head, REFUSED["picture"]))[0] == 415
