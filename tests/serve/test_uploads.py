"""What the server answers for what is no music: a status, a code, a sentence, and never a traceback."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from tests.builders import RATE, encode, music
from tests.serve.conftest import LIMIT_BYTES

pytestmark = pytest.mark.integration

FLAC = encode(music(3.0), container="FLAC")
NAN = np.full(2 * RATE, np.nan, dtype=np.float32)
UPLOADS = {
    "empty file": (b"", 400, "empty"),
    "text": (b"this is no music, whatever its name says", 415, "undecodable"),
    "image": (b"\x89PNG\r\n\x1a\n" + bytes(200), 415, "undecodable"),
    "truncated": (FLAC[: len(FLAC) // 10], None, None),
    "silence": (encode(np.zeros(2 * RATE, dtype=np.float32)), 422, "silent"),
    "too short": (encode(music(0.1)), 422, "too_short"),
    "not a number": (encode(NAN, subtype="FLOAT"), 422, "not_finite"),
    "too many bytes": (bytes(LIMIT_BYTES + 1), 413, "too_large"),
    "far too many bytes": (bytes(4 * LIMIT_BYTES), 413, "too_large"),
    "too long": (encode(music(21.0, seed=1), container="OGG"), 413, "too_long"),
}


def check(answer: httpx.Response, status: int, error: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail", "error"}
    assert len(answer.json()["detail"]) > 10
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("kind", UPLOADS)
@pytest.mark.parametrize("path", ["/v1/classify", "/v1/recommend"])
def test_bad_upload(server: str, path: str, kind: str) -> None:
    audio, status, error = UPLOADS[kind]
    answer = httpx.post(f"{server}{path}", files={"audio": ("clip.mp3", audio)}, timeout=30)
    if status is None or error is None:  # a decoder may keep what is whole of a truncated file
        assert answer.status_code in (415, 422)
        check(answer, answer.status_code, answer.json()["error"])
    else:
        check(answer, status, error)


def test_chunked_upload_over_the_limit(server: str) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(8):
            yield bytes(LIMIT_BYTES // 4)

    check(httpx.post(f"{server}/v1/classify", content=chunks(), timeout=30), 413, "too_large")


def test_no_audio(server: str) -> None:
    check(httpx.post(f"{server}/v1/classify", timeout=30), 400, "empty")
    check(httpx.post(f"{server}/v1/classify", files={"song": ("clip", FLAC)}, timeout=30), 400, "no_audio")
    broken = {"Content-Type": "multipart/form-data"}
    check(httpx.post(f"{server}/v1/classify", content=b"--x", headers=broken, timeout=30), 400, "bad_form")


@pytest.mark.parametrize("k", ["0", "51", "-1", "many"])
def test_bad_number_of_neighbours(server: str, k: str) -> None:
    url = f"{server}/v1/recommend"
    check(httpx.post(url, params={"k": k}, files={"audio": ("clip", FLAC)}, timeout=30), 422, "invalid")


def test_wrong_address(server: str) -> None:
    check(httpx.get(f"{server}/v2/classify", timeout=30), 404, "not_found")
    wrong_method = httpx.get(f"{server}/v1/classify", timeout=30)
    check(wrong_method, 405, "method_not_allowed")
    assert wrong_method.headers["allow"] == "POST"


def test_our_own_fault_is_told_by_a_reference(broken: str) -> None:
    answer = httpx.post(f"{broken}/v1/recommend", files={"audio": ("clip", FLAC)}, timeout=30)
    check(answer, 503, "damaged")
    assert re.search(r"\b[0-9a-f]{12}\b", answer.json()["detail"])
    assert "dimensions" not in answer.text  # what went wrong is for the log
    sound = httpx.post(f"{broken}/v1/classify", files={"audio": ("clip", FLAC)}, timeout=30)
    assert sound.status_code == 200, "the catalogue alone is broken"


def test_server_goes_on_afterwards(server: str) -> None:
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as leaving:  # a client that hangs up in the middle of its upload
        leaving.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nRIFF")
    assert httpx.post(f"{server}/v1/classify", files={"audio": ("clip", FLAC)}, timeout=30).status_code == 200
