"""The routes of the library and of the model, in this process: what they tell, and what they keep to themselves."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image

from serve.ingress import api
from serve.library import measured
from serve.uris import Uris
from tests.builders import CLASSES, encode, sounds_like
from tests.libraries import PlainLibrary
from tests.serve.conftest import SECONDS
from tests.serve.in_process import Ask, serve_in_process
from tonearm.inference import load


@pytest.fixture
def asked(place: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.setenv("TONEARM_HOME", str(place / "home"))
    return serve_in_process(str(place / "model" / "bundle"), monkeypatch)


def get(path: str, **request: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://here") as client:
            return await client.request(request.pop("method", "GET"), path, **request)

    return asyncio.run(ask())


def test_a_track_is_told_without_the_place_of_its_file(asked: Ask, place: Path) -> None:
    track = asked("GET", "/v1/tracks/flute 0.wav")
    assert track["track_id"] == "flute 0.wav" and track["bundle"] == load(place / "model" / "bundle").digest
    assert {"source", "content"}.isdisjoint(track) and str(place) not in str(track)
    assert {"loudness", "brightness"} <= {a["name"] for a in track["attributes"]} and track["key"], (
        "indexing measured it"
    )
    unknown = get("/v1/tracks/flute 7.wav")
    assert unknown.status_code == 404 and "flute 0.wav" in unknown.json()["detail"], "near ones are named"


def test_tracks_are_found_by_words(asked: Ask) -> None:
    assert asked("GET", "/v1/search?q=FLUTE")["count"] == 2
    assert [t["track_id"] for t in asked("GET", "/v1/search?q=1 flute")["tracks"]] == ["flute 1.wav"]
    assert asked("GET", "/v1/search?q=nothing of it")["tracks"] == []
    assert get("/v1/search").status_code == 422 and get("/v1/search?q=a&k=51").status_code == 422


def test_a_track_is_heard_and_seen(asked: Ask) -> None:
    clip = get("/v1/tracks/bass 1.wav/clip")
    assert clip.headers["content-type"] == "audio/mpeg"
    samples, rate = soundfile.read(io.BytesIO(clip.content))
    assert len(samples) / rate == pytest.approx(SECONDS, abs=0.2) and abs(samples).max() > 0.01
    part = soundfile.read(io.BytesIO(get("/v1/tracks/bass 1.wav/clip?start=1&seconds=0.5").content))[0]
    assert len(part) / rate == pytest.approx(0.5, abs=0.1)
    behind = get("/v1/tracks/bass 1.wav/clip?start=99")
    assert behind.status_code == 404 and behind.json()["error"] == "behind_its_end"
    picture = Image.open(io.BytesIO(get("/v1/tracks/bass 1.wav/picture").content))
    assert picture.format == "PNG" and picture.width > 500
    assert get("/v1/tracks/bass 9.wav/clip").status_code == 404


def test_a_recording_that_is_gone_is_told(place: Path, asked: Ask) -> None:
    file = place / "music" / "bass 0.wav"
    data = file.read_bytes()
    file.unlink()
    try:
        gone = get("/v1/tracks/bass 0.wav/clip")
        assert (gone.status_code, gone.json()["error"]) == (404, "gone") and str(place) not in gone.text
    finally:
        file.write_bytes(data)


def test_attributes_are_told(asked: Ask) -> None:
    found = asked("POST", "/v1/attributes", content=encode(sounds_like("flute", 5, SECONDS)))
    by_name = {a["name"]: a for a in found["attributes"]}
    assert by_name["loudness"]["unit"] == "LUFS" and by_name["loudness"]["low"] == -40
    assert 0 <= by_name["brightness"]["quantile"] <= 1, "where it lies in the catalogue"


def test_attributes_lie_among_those_of_the_catalogue() -> None:
    library = PlainLibrary(np.eye(4, dtype=np.float32), track_id=list("abcd"), tempo=[90.0, 100.0, 110.0, None])
    tempo, key = measured(library, {"tempo": 105.0, "key": "C"})
    assert tempo == {"name": "tempo", "value": 105.0, "unit": "BPM", "low": 40, "high": 220, "quantile": 2 / 3}
    assert (key["value"], key["unit"], key["quantile"]) == ("C", "", None)


def test_a_model_of_classes_has_no_playlists(asked: Ask) -> None:
    refused = get("/v1/playlists", method="POST", content=encode(sounds_like("flute", 5)))
    assert (refused.status_code, refused.json()["error"]) == (409, "other_task")


def test_the_model_is_told(asked: Ask) -> None:
    told = asked("GET", "/v1/model")
    assert (told["model"], told["networks"], told["canary"]) == ("bundle", 2, None) and told["classes"] == list(CLASSES)


def test_the_timeline_tells_windows(asked: Ask) -> None:
    audio = encode(sounds_like("flute", 5, SECONDS))
    moments = asked("POST", "/v1/classify?timeline=true", content=audio)["timeline"]
    assert len(moments) > 1 and all(0 <= m["start"] < m["end"] <= SECONDS + 0.1 for m in moments)
    assert {m["name"] for m in moments} <= set(CLASSES)
    assert asked("POST", "/v1/classify", content=audio)["timeline"] is None


def test_head_is_answered_as_get_without_a_body(asked: Ask) -> None:
    head = get("/healthz", method="HEAD")
    assert head.status_code == 200 and head.content == b"" and int(head.headers["content-length"]) > 0


def test_a_recording_may_be_named_where_the_server_reads_such(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place / "home"))
    asked = serve_in_process(str(place / "model" / "bundle"), monkeypatch, uris=("s3://songs/",))
    audio = encode(sounds_like("flute", 5, SECONDS))
    monkeypatch.setattr(Uris, "_read_object", lambda self, uri: audio if uri == "s3://songs/flute.wav" else b"")
    by_uri = asked("POST", "/v1/classify", json={"uri": "s3://songs/flute.wav"})
    assert by_uri["probabilities"] == asked("POST", "/v1/classify", content=audio)["probabilities"]
    assert len(asked("POST", "/v1/recommend", json={"uri": "s3://songs/flute.wav", "k": 2})["neighbours"]) == 2
    for uri in (str(place / "music" / "flute 0.wav"), "file:///etc/passwd", "http://127.0.0.1/a.wav", "s3://other/a"):
        refused = get("/v1/classify", method="POST", json={"uri": uri})
        assert (refused.status_code, refused.json()["error"]) == (403, "uri_not_allowed")
    assert get("/v1/classify", method="POST", json={"k": 2}).status_code == 400
