"""The guards together, in front of an application, each as the settings say; and rates."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from serve.access import Tokens, new_token, tokens_uri
from serve.admission import Admission
from serve.guards import Guarded, Guards, guards_of
from serve.rates import Rates
from serve.settings import AppArgs
from tests.builders import encode, music
from tests.serve.asgi_server import begin, listening, read_answer
from tonearm.core.errors import ConfigError

AUDIO = encode(music(1.0))
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(2000)


class Served:
    """An application whose guards can be changed."""

    def __init__(self, guards: Guards) -> None:
        self.guards = guards
        routes = [Route("/healthz", self.answer), Route("/v1/tracks", self.answer),
                  Route("/v1/recommend", self.answer, methods=["POST"])]  # fmt: skip
        self.app = Starlette(routes=routes, middleware=[Middleware(Guarded, guards=lambda: self.guards)])

    async def answer(self, request: Request) -> JSONResponse:
        return JSONResponse({"size": len(await request.body())})

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://here") as client:
                return await client.request(method, path, **request)

        return asyncio.run(asked())


def status(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


def test_each_guard_stands_where_it_should(tmp_path: Path) -> None:
    uri = str(tmp_path / "tokens.json")
    own = {"Authorization": f"Bearer {new_token('anna', uri)}"}
    admission = Admission(most_seconds=5)
    served = Served(Guards(admission, tokens=Tokens(uri), origins=("https://music.example",)))
    assert served.ask("GET", "/healthz").status_code == 200
    assert status(served.ask("POST", "/v1/recommend", content=AUDIO)) == (401, "no_token")
    assert served.ask("POST", "/v1/recommend", content=AUDIO, headers=own).json() == {"size": len(AUDIO)}
    assert status(served.ask("POST", "/v1/recommend", content=PICTURE, headers=own)) == (415, "undecodable")
    assert served.ask("HEAD", "/v1/tracks", headers=own).status_code == 200
    admission.waiting = 6
    assert status(served.ask("POST", "/v1/recommend", content=AUDIO, headers=own)) == (503, "busy")
    assert served.ask("POST", "/v1/recommend", json={"like": ["a"]}, headers=own).status_code == 200
    assert served.ask("GET", "/v1/tracks", headers=own).status_code == 200


def test_pages_of_other_hosts_may_ask_if_they_are_listed(tmp_path: Path) -> None:
    uri = str(tmp_path / "tokens.json")
    new_token("anna", uri)
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    closed, listed = Served(Guards()), Served(Guards(tokens=Tokens(uri), origins=("https://music.example",)))
    for origin, allowed in (("https://music.example", "https://music.example"), ("https://evil.example", None)):
        headers = {"Origin": origin, **preflight}
        assert "access-control-allow-origin" not in closed.ask("OPTIONS", "/v1/recommend", headers=headers).headers
        asked = listed.ask("OPTIONS", "/v1/recommend", headers=headers)
        assert asked.headers.get("access-control-allow-origin") == allowed
        assert asked.status_code == (200 if allowed else 400)  # a browser asks for leave without the token
        refused = listed.ask("POST", "/v1/recommend", headers={"Origin": origin})
        assert refused.status_code == 401 and refused.headers.get("access-control-allow-origin") == allowed


def test_a_page_whose_name_leads_here_reads_nothing(tmp_path: Path) -> None:
    here = Served(guards_of(AppArgs(model="m")))
    for own in ("127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]:8000"):
        assert here.ask("GET", "/v1/tracks", headers={"Host": own}).status_code == 200
    for other in ("evil.example:8000", "evil.example", "127.0.0.1.evil.example", "[::2]", ""):
        refused = here.ask("GET", "/healthz", headers={"Host": other})
        assert status(refused) == (421, "wrong_host") and "as 127.0.0.1, [::1], localhost" in refused.json()["detail"]
    named = Served(guards_of(AppArgs(model="m", hosts=("music.example",))))
    assert named.ask("GET", "/v1/tracks", headers={"Host": "music.example"}).status_code == 200
    assert status(named.ask("GET", "/v1/tracks", headers={"Host": "evil.example"})) == (421, "wrong_host")


def test_whoever_has_a_token_may_use_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(tmp_path))
    own = {"Authorization": f"Bearer {new_token('anna', tokens_uri())}", "Host": "music.example"}
    served = Served(guards_of(AppArgs(model="m", tokens=True)))
    assert served.ask("GET", "/v1/tracks", headers=own).status_code == 200
    assert status(served.ask("GET", "/v1/tracks", headers={"Host": "music.example"})) == (401, "no_token")


def test_a_rate_is_of_each_caller(tmp_path: Path) -> None:
    pytest.importorskip("limits", reason="it is in constraints.txt: install it")
    uri = str(tmp_path / "tokens.json")
    anna, bob = ({"Authorization": f"Bearer {new_token(name, uri)}"} for name in ("anna", "bob"))
    served = Served(Guards(tokens=Tokens(uri), rates=Rates("3/minute; 100/hour")))
    assert [served.ask("GET", "/v1/tracks", headers=anna).status_code for _ in range(5)] == [200] * 3 + [429] * 2
    refused = served.ask("GET", "/v1/tracks", headers=anna)
    assert status(refused) == (429, "too_many") and 50 <= int(refused.headers["retry-after"]) <= 61
    assert served.ask("GET", "/v1/tracks", headers=bob).status_code == 200
    assert served.ask("GET", "/healthz").status_code == 200
    with pytest.raises(ConfigError, match="is no rate"):
        Rates("often")


def test_a_slow_body_holds_no_place(tmp_path: Path) -> None:
    admission = Admission()
    guards = Guards(admission, first_seconds=0.2)
    with listening(Served(guards).app) as port:
        head = "POST /v1/recommend HTTP/1.1\nContent-Length: 1000"
        waiting = [begin(port, head) for _ in range(10)]
        assert {read_answer(opened)[0] for opened in waiting} == {408}
        assert httpx.post(f"http://127.0.0.1:{port}/v1/recommend", content=AUDIO).status_code == 200
    assert (admission.waiting, admission.bytes_held) == (0, 0)


def test_new_settings_count_from_the_next_request(tmp_path: Path) -> None:
    served = Served(Guards())
    assert served.ask("GET", "/v1/tracks").status_code == 200
    served.guards = Guards(tokens=Tokens(str(tmp_path / "none.json")))
    assert status(served.ask("GET", "/v1/tracks")) == (401, "no_token")
