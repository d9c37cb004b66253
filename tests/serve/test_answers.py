"""What the server answers for music."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.builders import CLASSES, encode, music, sounds_like
from tests.serve.conftest import NEIGHBOURS
from tonearm.audio.formats import READ_FORMATS
from tonearm.inference import load, load_recommender

pytestmark = pytest.mark.integration


def post(url: str, path: str, audio: bytes, **more: Any) -> httpx.Response:
    return httpx.post(f"{url}{path}", files={"audio": ("clip", audio)}, timeout=30, **more)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_answer_is_that_of_the_library(server: str, model: str, container: str) -> None:
    audio = encode(music(3.0), container=container)
    prediction, neighbours = load_recommender(model).recommend(audio, 5)
    answer = post(server, "/v1/recommend", audio, params={"k": 5}).raise_for_status().json()
    told = {p["label"]: p["probability"] for p in answer["probabilities"]}
    for label, probability in zip(prediction.labels, prediction.probabilities, strict=True):
        assert told[label] == pytest.approx(float(probability), abs=1e-5)
    assert [n["track_id"] for n in answer["neighbours"]] == [n.track["track_id"] for n in neighbours]
    assert answer["label"] == prediction.top(1)[0][0]
    assert (answer["model"], answer["version"]) == ("bundle", ""), "a folder's path is nobody's business"
    assert answer["bundle"] == load(model).digest


def test_classify_ranks_all_classes(server: str) -> None:
    answer = post(server, "/v1/classify", encode(sounds_like("flute", 1))).raise_for_status().json()
    probabilities = [p["probability"] for p in answer["probabilities"]]
    assert {p["label"] for p in answer["probabilities"]} == set(CLASSES)
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    assert "neighbours" not in answer


def test_raw_body_answers_as_a_form_does(server: str) -> None:
    audio = encode(sounds_like("bass", 2), container="FLAC")
    raw = httpx.post(f"{server}/v1/classify", content=audio, headers={"Content-Type": "audio/flac"}, timeout=30)
    assert raw.raise_for_status().json()["probabilities"] == post(server, "/v1/classify", audio).json()["probabilities"]


@pytest.mark.parametrize("k, given", [(None, NEIGHBOURS), (1, 1), (5, 5), (50, 9)])
def test_as_many_neighbours_as_asked_for(server: str, k: int | None, given: int) -> None:
    answer = (
        post(server, "/v1/recommend", encode(music()), params={} if k is None else {"k": k}).raise_for_status().json()
    )
    similarities = [n["similarity"] for n in answer["neighbours"]]
    assert len(similarities) == given
    assert similarities == sorted(similarities, reverse=True)
    assert answer["neighbours"][0]["title"] and answer["neighbours"][0]["artist"] == "somebody"


def test_concurrent_requests_do_not_mix(server: str, model: str) -> None:
    clips = [encode(sounds_like(CLASSES[i % 3], i)) for i in range(8)]
    recommender = load_recommender(model)
    expected = [recommender.recommend(c, 1)[0].probabilities.max() for c in clips]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda c: post(server, "/v1/classify", c).raise_for_status().json(), clips))
    assert [a["probabilities"][0]["probability"] for a in answers] == pytest.approx(expected, abs=1e-5)


def test_health_and_description(server: str, model: str) -> None:
    health = httpx.get(f"{server}/healthz", timeout=30).raise_for_status().json()
    assert health["status"] == "ok" and health["model"] == "bundle"
    assert health["classes"] == list(CLASSES) and health["tracks"] == 9
    described = httpx.get(f"{server}/openapi.json", timeout=30).raise_for_status().json()
    ready = httpx.get(f"{server}/readyz", timeout=30).raise_for_status().json()
    assert ready["bundle"] == load(model).digest == health["bundle"]
    assert {"/v1/classify", "/v1/recommend", "/healthz", "/readyz"} <= set(described["paths"])
    assert READ_FORMATS in described["info"]["description"], "M4A is read, too"
