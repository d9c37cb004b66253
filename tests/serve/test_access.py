"""From another machine only who has a token is answered; what is kept of a token does not give it away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from serve import access
from serve.access import Access, HeadAsGet, Tokens, new_token, read_tokens, remove_token, require_tokens
from tonearm.core.errors import ConfigError


async def who(request: Request) -> JSONResponse:
    return JSONResponse({"caller": request.scope["state"].get("caller")})


async def text(request: Request) -> PlainTextResponse:
    return PlainTextResponse("0123456789", headers={"X-Own": request.method})


app = Starlette(routes=[Route("/who", who), Route("/healthz", text), Route("/post", text, methods=["POST"])])


def ask(app: Any, path: str, method: str = "GET", **headers: str | bytes) -> httpx.Response:
    raw = {name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in headers.items()}

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.request(method, path, headers=raw)

    return asyncio.run(asked())


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "tokens.json")


def test_only_who_has_a_token_is_answered(uri: str) -> None:
    tokens = {name: new_token(name, uri) for name in ("anna", "bob")}
    guarded = Access(app, Tokens(uri))
    for name, token in tokens.items():
        assert ask(guarded, "/who", Authorization=f"Bearer {token}").json() == {"caller": name}
        assert ask(guarded, "/who", authorization=f"bearer  {token} ").json() == {"caller": name}
    without = ask(guarded, "/who")
    assert (without.status_code, without.json()["error"]) == (401, "no_token")
    assert without.headers["www-authenticate"] == 'Bearer realm="tonearm"'
    assert without.headers["content-type"] == "application/problem+json"
    short, digest = tokens["anna"][:-1], read_tokens(uri)["anna"]["digest"]
    for wrong in ("Basic YTpi", "Bearer", f"Bearer {short}", f"Bearer {digest}", b"Bearer \xe4", tokens["bob"]):
        refused = ask(guarded, "/who", Authorization=wrong)
        assert refused.status_code == 401 and "tonearm" in refused.headers["www-authenticate"]
    assert ask(guarded, "/healthz").text == "0123456789"
    assert ask(guarded, "/healthz/").status_code == ask(guarded, "/nowhere").status_code == 401


def test_the_file_keeps_no_token(uri: str) -> None:
    token = new_token("anna", uri)
    other = new_token("bob", uri)
    kept = Path(uri).read_text()
    assert len(token) == 43 and token not in kept and other != token
    assert "anna" in kept and read_tokens(uri)["anna"]["salt"] != read_tokens(uri)["bob"]["salt"]


def test_names_are_given_once(uri: str) -> None:
    new_token("anna", uri)
    with pytest.raises(ConfigError, match="anna has a token"):
        new_token("anna", uri)
    for name in ("", "a b", "../x", "a" * 65, "ä"):
        with pytest.raises(ConfigError, match="is no name of a token"):
            new_token(name, uri)
    with pytest.raises(ConfigError, match="'bob' has no token; these have one: anna"):
        remove_token("bob", uri)


def test_a_server_notices_new_and_removed_tokens(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = new_token("anna", uri)
    guarded = Access(app, Tokens(uri))
    bob = new_token("bob", uri)
    assert ask(guarded, "/who", Authorization=f"Bearer {bob}").status_code == 401  # it looks now and then
    monkeypatch.setattr(access, "SECONDS_TO_LOOK", 0.0)
    assert ask(guarded, "/who", Authorization=f"Bearer {bob}").status_code == 200
    remove_token("anna", uri)
    assert ask(guarded, "/who", Authorization=f"Bearer {anna}").status_code == 401
    Path(uri).write_text("damaged")
    assert ask(guarded, "/who", Authorization=f"Bearer {bob}").status_code == 200  # what was known stays
    Path(uri).unlink()
    assert ask(guarded, "/who", Authorization=f"Bearer {bob}").status_code == 401


@pytest.mark.parametrize("kept", ["damaged", "[]", '{"a": 1}', '{"a": {"salt": "xy", "digest": ""}}'])
def test_a_damaged_file_is_named(uri: str, kept: str) -> None:
    Path(uri).write_text(kept)
    with pytest.raises(ConfigError, match="is no file of tokens"):
        read_tokens(uri)


def test_another_host_demands_tokens(uri: str) -> None:
    for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.1.2.3"):
        assert not require_tokens(host, uri)
    for host in ("0.0.0.0", "::", "192.168.1.5", "music.example"):
        with pytest.raises(ConfigError, match="nobody has a token: make one"):
            require_tokens(host, uri)
    new_token("anna", uri)
    assert require_tokens("0.0.0.0", uri) and not require_tokens("localhost", uri)


def test_without_tokens_everybody_is_answered() -> None:
    assert ask(Access(app, None), "/who").json() == {"caller": ""}


def test_head_is_get_without_a_body() -> None:
    guarded = HeadAsGet(app)
    head, got = ask(guarded, "/healthz", "HEAD"), ask(guarded, "/healthz")
    assert head.status_code == 200 and not head.content and got.text == "0123456789"
    assert head.headers == got.headers and head.headers["content-length"] == "10"
    assert ask(guarded, "/post", "HEAD").status_code == 405 and ask(guarded, "/nowhere", "HEAD").status_code == 404
