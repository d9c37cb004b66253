"""OpenSubsonic: its envelope in two forms, its errors, its tokens, and what sounds alike."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from serve.access import Tokens, new_token
from serve.guards import Guards
from serve.ingress import api
from serve.rates import Rates
from serve.state import current_state
from serve.subsonic import NAMESPACE
from tests.builders import CLASSES
from tests.serve.asgi_server import begin, listening, read_answer
from tests.serve.in_process import Ask, serve_in_process

IDS = {f"{label}{i}" for label in CLASSES for i in range(3)}


@pytest.fixture(autouse=True)
def asked(model: str, monkeypatch: pytest.MonkeyPatch) -> Ask:
    return serve_in_process(model, monkeypatch)


def get(method: str, **query: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://here") as client:
            return await client.get(f"/rest/{method}", params=query)

    return asyncio.run(ask())


def answer(method: str, **query: Any) -> dict[str, Any]:
    """The answer in JSON, without what all have."""
    response = get(method, f="json", v="1.16.1", c="test", **query)
    assert response.headers["content-type"].startswith("application/json")
    told: dict[str, Any] = response.json()["subsonic-response"]
    assert told.pop("version") == "1.16.1" and told.pop("type") == "tonearm"
    assert told.pop("openSubsonic") is True and told.pop("serverVersion")
    return told


def code(method: str, **query: Any) -> int:
    told = answer(method, **query)
    assert told["status"] == "failed" and told["error"]["message"]
    return int(told["error"]["code"])


def test_a_server_is_found() -> None:
    assert answer("ping") == answer("ping.view", u="me", t="abc", s="def") == {"status": "ok"}
    assert answer("getLicense")["license"] == {"valid": True}
    extensions = answer("getOpenSubsonicExtensions")["openSubsonicExtensions"]
    assert {"name": "sonicSimilarity", "versions": [1]} in extensions
    unknown = get("getAlbum", f="json")
    assert unknown.status_code == 404 and unknown.json()["subsonic-response"]["error"]["code"] == 0


def test_what_sounds_alike_is_what_recommend_answers(asked: Ask) -> None:
    matches = answer("getSonicSimilarTracks", id="flute0", count=4)["sonicMatch"]
    neighbours = asked("POST", "/v1/recommend", json={"like": ["flute0"], "k": 4})["neighbours"]
    assert [m["entry"]["id"] for m in matches] == [n["track_id"] for n in neighbours]
    assert [m["similarity"] for m in matches] == pytest.approx([(1 + n["similarity"]) / 2 for n in neighbours])
    assert matches[0]["similarity"] >= matches[-1]["similarity"] >= 0 and matches[0]["similarity"] <= 1
    entry = matches[0]["entry"]
    assert entry["title"] and entry["artist"] == "somebody" and entry["isDir"] is False and "year" not in entry
    assert len(answer("getSonicSimilarTracks", id="flute0")["sonicMatch"]) == len(IDS) - 1, "10 are not there"
    assert answer("getSonicSimilarTracks", id="flute0", count=0)["sonicMatch"] == []


@pytest.mark.parametrize("count", [2, 3, 5, 25])
def test_a_path_has_both_ends_and_no_more_than_asked(count: int) -> None:
    matches = answer("findSonicPath", startSongId="bass0", endSongId="flute1", count=count)["sonicMatch"]
    ids = [m["entry"]["id"] for m in matches]
    assert (ids[0], ids[-1]) == ("bass0", "flute1") and 2 <= len(ids) <= count and len(set(ids)) == len(ids)
    assert len(ids) > 2 or count == 2
    assert matches[0]["similarity"] == pytest.approx(1) and all(0 <= m["similarity"] <= 1 for m in matches)


def test_tracks_are_found_and_told() -> None:
    songs = answer("search3", query="flute 1")["searchResult3"]["song"]
    assert [s["id"] for s in songs] == ["flute1"] and answer("getSong", id="flute1")["song"] == songs[0]
    parts = [answer("search3", query='""', songCount=4, songOffset=i)["searchResult3"]["song"] for i in (0, 4, 8, 12)]
    assert [len(part) for part in parts] == [4, 4, 1, 0] and {s["id"] for part in parts for s in part} == IDS


def test_errors_have_subsonic_numbers() -> None:
    assert code("getSong") == code("findSonicPath", startSongId="bass0") == 10
    assert code("getSong", id="nobody") == code("getSonicSimilarTracks", id="nobody") == 70
    assert code("findSonicPath", startSongId="bass0", endSongId="nobody") == 70
    assert code("findSonicPath", startSongId="bass0", endSongId="bass0") == 0
    assert code("getSonicSimilarTracks", id="bass0", count="many") == 0
    assert code("tokenInfo") == 44
    assert get("getSong", f="json").status_code == 200, "as in Subsonic"


def test_xml_says_the_same() -> None:
    response = get("getSonicSimilarTracks", id="flute0", count=2)
    assert response.headers["content-type"].startswith("text/xml")
    root = ElementTree.fromstring(response.content)
    assert root.tag == f"{{{NAMESPACE}}}subsonic-response" and root.get("status") == "ok"
    assert root.get("openSubsonic") == "true"
    matches = answer("getSonicSimilarTracks", id="flute0", count=2)["sonicMatch"]
    for match, said in zip(root.findall("{*}sonicMatch"), matches, strict=True):
        entry = match.find("{*}entry")
        assert entry is not None and entry.get("id") == said["entry"]["id"] and entry.get("isDir") == "false"
        assert float(match.get("similarity", "")) == pytest.approx(said["similarity"])
    extension = ElementTree.fromstring(get("getOpenSubsonicExtensions").content)[0]
    assert extension.get("name") == "sonicSimilarity" and [v.text for v in extension] == ["1"]
    odd = ElementTree.fromstring(get("getSong", id="a\x00<b>&\x1f").content)
    assert odd.get("status") == "failed"


def post(method: str, **request: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://here") as client:
            return await client.post(f"/rest/{method}", **request)

    return asyncio.run(ask())


def test_a_form_asks_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = {"id": "flute0", "count": 2, "f": "json"}
    assert post("getSonicSimilarTracks", data=asked).json() == get("getSonicSimilarTracks", **asked).json()
    assert post("getSong", params={"f": "json"}, data={"id": "flute0"}).json() == get("getSong", **asked).json()
    assert post("ping", params={"f": "json"}).json() == get("ping", f="json").json()
    assert post("ping", data={"a": "b" * 100_000}).status_code == 413
    uri = str(tmp_path / "tokens.json")
    token = new_token("anna", uri)
    guards = Guards(current_state().guards.admission, tokens=Tokens(uri), first_seconds=0.2)
    monkeypatch.setitem(current_state().__dict__, "guards", guards)
    assert post("tokenInfo", data={"apiKey": token, "f": "json"}).json()["subsonic-response"]["status"] == "ok"
    assert post("ping", data={"apiKey": "x", "f": "json"}).json()["subsonic-response"]["error"]["code"] == 44
    with listening(api) as port:
        head = "POST /rest/ping HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 1000"
        assert read_answer(begin(port, head))[0] == 408


def test_tokens_are_api_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uri = str(tmp_path / "tokens.json")
    token = new_token("anna", uri)
    guards = Guards(current_state().guards.admission, tokens=Tokens(uri), rates=Rates("3/minute"))
    monkeypatch.setitem(current_state().__dict__, "guards", guards)
    assert answer("getOpenSubsonicExtensions")["status"] == "ok", "everybody may ask for it"
    assert code("ping") == 10
    assert code("ping", u="me", t="abc", s="def") == 41
    assert code("ping", u="me", p="secret") == 42
    assert code("ping", u="me", apiKey=token) == 43
    assert code("ping", apiKey="wrong") == 44
    assert answer("tokenInfo", apiKey=token)["tokenInfo"] == {"username": "anna"}
    assert answer("ping", apiKey=token) == answer("ping.view", apiKey=token) == {"status": "ok"}
    often = get("ping", apiKey=token, f="json")
    assert often.status_code == 429 and int(often.headers["retry-after"]) > 0
    assert often.json()["subsonic-response"]["status"] == "failed"
