"""What is recommended, by a form, by JSON and in Python, is the same; what cannot be asked is told."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from tests.builders import encode, music, tiny_config, track
from tests.serve.in_process import ask, serve_in_process
from tonearm.core.errors import BundleError
from tonearm.inference import load
from tonearm.inference.catalogues import CATALOGUE
from tonearm.recommend import CatalogueIndex
from tonearm.training.bundle import Bundle, build_network, save_bundle

AUDIO = encode(music(3.0))
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def one_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained network with a catalogue of three tracks."""
    folder = str(tmp_path_factory.mktemp("model"))
    torch.manual_seed(1)
    config = tiny_config()
    save_bundle(folder, Bundle(config, ("bass", "flute"), {}, build_network(config, 2).eval()))
    dim = len(load(folder).predict(AUDIO).embedding)
    tracks = [dataclasses.replace(track(f"t{i}"), year=1950 + i) for i in range(3)]
    catalogue = CatalogueIndex.build(np.eye(3, dim, dtype=np.float32), tracks)
    catalogue.save(f"{folder}/{CATALOGUE}")
    return folder


def test_http_and_python_recommend_the_same(one_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = one_model
    model, asked = load(uri), serve_in_process(uri, monkeypatch)

    def told(found: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [(n["track_id"], n["similarity"], n["rank_before"], n["because"]) for n in found["neighbours"]]

    by_id = {"like": ["t0"], "dislike": ["t1"], "k": 2, "where": {"label": "a"}, "diversity": 0.5}
    own = model.recommend(**by_id)
    expected = [(r.track["track_id"], r.similarity, r.rank_before, r.because) for r in own.results]
    answer = asked("POST", "/v1/recommend", json=by_id)
    assert told(answer) == expected and answer["task"] == "seeds" and answer["notes"] == list(own.notes) != []
    form = {"like": "t0", "dislike": ["t1"], "k": "2", "where": '{"label": "a"}', "diversity": "0.5"}
    assert told(asked("POST", "/v1/recommend", data=form, files={"note": b""})) == expected
    assert told(asked("GET", "/v1/recommend", params=form)) == expected
    both = asked("POST", "/v1/recommend", data={"like": "t0", "windows": "true"}, files={"audio": AUDIO})
    also = model.recommend(AUDIO, like="t0")
    assert [n["track_id"] for n in both["neighbours"]] == [r.track["track_id"] for r in also.results]
    assert both["task"] == "single_label" and [n["match"] for n in both["neighbours"]] == [None, None], "no audio there"


def test_a_way_is_the_same_over_http(one_model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uri = f"{tmp_path}/model"
    shutil.copytree(one_model, uri)
    vectors = np.zeros((3, len(load(uri).predict(AUDIO).embedding)), np.float32)
    vectors[:, :2] = [[1, 0], [1, 1], [0, 1]]
    CatalogueIndex.build(vectors, [track(f"t{i}") for i in range(3)]).save(f"{uri}/{CATALOGUE}")
    steps = serve_in_process(uri, monkeypatch)("GET", "/v1/path", params={"a": "t0", "b": "t2", "n": 1})["steps"]
    assert [s["track_id"] for s in steps] == ["t0", "t1", "t2"]
    assert [s["progress"] for s in steps] == pytest.approx([0, 0.5, 1], abs=1e-3)
    assert [s["track_id"] for s in steps] == [s.track["track_id"] for s in load(uri).path("t0", "t2", 1).steps]


@pytest.mark.parametrize(
    ("request_", "status", "detail"),
    [
        ({"json": {"like": ["t9"]}}, 422, "no row 't9'"),
        ({"json": {"like": ["t0"], "liek": 1}}, 422, "known are uri, recording, like"),
        ({"json": {"like": ["t0"], "k": 0}}, 422, "greater than or equal to 1"),
        ({"json": {}}, 400, "nothing is liked"),
        ({"content": b"[1]", "headers": {"Content-Type": "application/json"}}, 422, "give a JSON object"),
        ({"data": {"like": "t0", "where": "year>3"}, "files": {"note": b""}}, 422, "where is 'year>3'"),
        ({"data": {"like": "t0", "k": ["1", "2"]}, "files": {"note": b""}}, 422, "k is given twice"),
        ({"json": {"like": ["t0"], "where": {"label": "polka"}}}, 422, "label polka (0 alone, 0 after"),
        ({"content": b'{"like": ["\\ud800"]}', "headers": JSON}, 422, "half of a surrogate pair"),
        ({"content": b'{"like": ["t0"], "where": {"label": "\\ud800"}}', "headers": JSON}, 422, "half of a surrogate"),
        ({"data": {"like": "t0", "where": '{"\\udfff": 1}'}, "files": {"note": b""}}, 422, "half of a surrogate"),
        ({"json": {"like": ["t0"], "where": {"year": 10**20}}}, 422, "year 1e+20 (0 alone"),
        ({"json": {"like": ["t0"], "where": {"year": [10**20, None]}}}, 422, "year at least 1e+20 (0 alone"),
        ({"json": {"like": ["t0"], "where": {"year": 10**400}}}, 422, "year is 1000"),
        ({"json": {"like": ["t0"], "sliders": {"year": 10**400}}}, 422, "valid number"),
        ({"json": {"like": ["t0"], "where": {"source": "/etc/passwd"}}}, 422, "where: source is not for conditions"),
        (
            {"data": {"like": "t0", "where": '{"content": "0"}'}, "files": {"note": b""}},
            422,
            "where: content is not for",
        ),
        ({"json": {"like": [f"t{i}" for i in range(101)]}}, 422, "at most 100 items"),
        ({"json": {"like": ["t0"], "artists": ["a"] * 10**5}}, 422, "at most 100 items"),
        ({"json": {"like": ["t0"], "where": {f"c{i}": 1 for i in range(21)}}}, 422, "at most 20 items"),
        ({"json": {"like": ["t0"], "k": 50, "windows": True}}, 422, "at most 10 with windows"),
        ({"content": b"[" * 10**5, "headers": JSON}, 422, "give a JSON object"),
    ],
)
def test_what_cannot_be_asked_is_told(
    request_: dict[str, Any], status: int, detail: str, monkeypatch: pytest.MonkeyPatch, one_model: str
) -> None:
    with pytest.raises(httpx.HTTPStatusError) as error:
        serve_in_process(one_model, monkeypatch)("POST", "/v1/recommend", **request_)
    response = error.value.response
    assert response.status_code == status and detail in response.json()["detail"]


@pytest.mark.parametrize(
    ("asked", "status", "detail"),
    [
        ({}, 400, "nothing is liked"),
        ({"like": "t9"}, 422, "no row 't9'"),
        ({"like": "t0", "liek": "1"}, 422, "known are uri, recording, like"),
        ({"like": "t0", "k": "many"}, 422, "valid integer"),
        ({"like": "t0", "k": ["1", "2"]}, 422, "k is given twice"),
        ({"like": "t0", "where": "year>3"}, 422, "where is 'year>3'"),
        ({"uri": "https://somewhere/a.wav"}, 422, "are for POST"),
        ({"like": "t0", "k": "50", "windows": "true"}, 422, "at most 10 with windows"),
    ],
)
def test_what_an_address_cannot_ask_is_told(
    asked: dict[str, Any], status: int, detail: str, monkeypatch: pytest.MonkeyPatch, one_model: str
) -> None:
    with pytest.raises(httpx.HTTPStatusError) as error:
        serve_in_process(one_model, monkeypatch)("GET", "/v1/recommend", params=asked)
    response = error.value.response
    assert response.status_code == status and detail in response.json()["detail"]


def test_conditions_of_a_way_are_texts_too(monkeypatch: pytest.MonkeyPatch, one_model: str) -> None:
    with pytest.raises(httpx.HTTPStatusError) as error:
        serve_in_process(one_model, monkeypatch)(
            "GET", "/v1/path", params={"a": "t0", "b": "t1", "where": '{"label": "\\ud800"}'}
        )
    assert error.value.response.status_code == 422 and "half of a surrogate" in error.value.response.json()["detail"]
    many = json.dumps({f"c{i}": 1 for i in range(21)})
    with pytest.raises(httpx.HTTPStatusError) as error:
        ask("GET", "/v1/path", params={"a": "t0", "b": "t1", "where": many})
    assert error.value.response.status_code == 422 and "at most 20 items" in error.value.response.json()["detail"]


def test_which_catalogue_is_served_is_told(one_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    health = serve_in_process(one_model, monkeypatch)("GET", "/healthz")
    assert health["tracks"] == 3 and health["catalogue"] == {"name": None, "kind": "track", "number": None}


def test_a_model_that_is_damaged_is_told(one_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = serve_in_process(one_model, monkeypatch)

    def damaged(*_: Any, **__: Any) -> None:
        raise BundleError("the query holds nan at 0")

    monkeypatch.setattr("tonearm.inference.recommending.recommend", damaged)
    with pytest.raises(httpx.HTTPStatusError) as error:
        asked("POST", "/v1/recommend", json={"like": ["t0"]})
    response = error.value.response
    assert response.status_code == 503 and response.json()["error"] == "damaged"
    told = response.json()["detail"]
    assert "nan" not in told and re.search(r"\b[0-9a-f]{12}\b", told), "what is wrong is for the log, by its reference"
