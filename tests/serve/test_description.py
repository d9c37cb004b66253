"""What ``/openapi.json`` says is so: every route has an example, whose answer is what the route answers.

``python -m tests.serve.test_description`` writes the answers of ``serve/examples.yaml`` anew.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator

from serve.description import address, curl, examples
from serve.ingress import api
from serve.problems import MEDIA_TYPE
from tests.builders import encode, sounds_like, tiny_config
from tests.serve.conftest import SECONDS, write_indexed
from tests.serve.in_process import serve_in_process
from tonearm.tasks import Playlists
from tonearm.training.bundle import Bundle, build_network, save_bundle

AUDIO = encode(sounds_like("flute", 7, SECONDS))
ROUTES = [(path, method) for path, methods in api.openapi()["paths"].items() for method in methods]
FILE = Path(__file__).parents[2] / "serve" / "examples.yaml"


def write_playlists(folder: Path) -> str:
    """An untrained model of playlists."""
    config, names = tiny_config({"task": Playlists()}), ("focus", "sleep")
    save_bundle(str(folder), Bundle(config, names, {}, build_network(config, len(names)).eval()))
    return str(folder)


@pytest.fixture(scope="module")
def playlists(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_playlists(tmp_path_factory.mktemp("playlists") / "bundle")


def ask(path: str, method: str, example: dict[str, Any]) -> httpx.Response:
    """Send what an example says."""
    sent: dict[str, Any] = {"json": example["json"]} if "json" in example else {}
    if example.get("files"):
        sent["files"] = [("audio", (f"{i}.mp3", AUDIO)) for i in range(example["files"])]

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://here") as client:
            return await client.request(method, address(path, example), **sent)

    return asyncio.run(asked())


def shape(value: Any) -> Any:
    """Names and types, without numbers and texts; of a list, its first element's."""
    if isinstance(value, dict):
        return {name: shape(v) for name, v in value.items()}
    if isinstance(value, list):
        return [shape(v) for v in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def own_model(path: str, place: Path, playlists: str) -> str:
    return playlists if path == "/v1/playlists" else str(place / "model" / "bundle")


def schema_of(content: dict[str, Any]) -> Draft202012Validator:
    schema = {**content["schema"], "components": api.openapi()["components"]}
    return Draft202012Validator(schema)


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_an_example_is_what_the_route_answers(
    path: str, method: str, place: Path, playlists: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place / "home"))
    serve_in_process(own_model(path, place, playlists), monkeypatch)
    example = examples()[f"{method.upper()} {path}"]
    answer = ask(path, method, example)
    operation = api.openapi()["paths"][path][method]
    ((media_type, content),) = operation["responses"]["200"]["content"].items()
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == media_type.partition(";")[0]
    assert operation["tags"] and operation["description"] and operation["x-codeSamples"]
    if "json" in media_type:
        assert shape(content["example"]) == shape(answer.json())
        for told in (content["example"], answer.json()):
            schema_of(content).validate(told)
    asked = operation.get("requestBody", {}).get("content", {})
    for kind in [kind for kind in asked if "example" in asked[kind]]:
        schema_of(asked[kind]).validate(asked[kind]["example"])


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_failures_are_problems(path: str, method: str) -> None:
    responses = api.openapi()["paths"][path][method]["responses"]
    assert all([*r["content"]] == [MEDIA_TYPE] and r["description"] for c, r in responses.items() if int(c) >= 400)
    assert path == "/healthz" or {"401", "429", "500", "503"} <= set(responses)
    for response in responses.values():
        for content in response["content"].values():
            if "example" in content:
                schema_of(content).validate(content["example"])


def test_a_command_asks_the_same() -> None:
    line = shlex.split(curl("/v1/recommend", examples()["POST /v1/recommend"]))
    assert json.loads(line[line.index("-d") + 1]) == examples()["POST /v1/recommend"]["json"]
    assert curl("/v1/tracks/{track_id}", {"path": {"track_id": "a b"}}).endswith("/v1/tracks/a%20b'")


def write_examples() -> None:
    """Write the answers anew."""
    found = {key: {k: v for k, v in example.items() if k != "answer"} for key, example in examples().items()}
    folder = Path(tempfile.mkdtemp())
    write_indexed(folder)
    playlists = write_playlists(folder / "playlists")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(folder / "home"))
        for key, example in found.items():
            method, path = key.split(" ", 1)
            serve_in_process(own_model(path, folder, playlists), patch)
            answer = ask(path, method.lower(), example).raise_for_status()
            if "json" in answer.headers["content-type"]:
                example["answer"] = json.loads(answer.text, parse_float=lambda text: float(f"{float(text):.4g}"))
            print(key, answer.status_code, len(answer.content))
    assert str(folder) not in str(found)
    FILE.write_text(yaml.safe_dump(found, sort_keys=False, width=120, default_flow_style=None), "utf-8")


if __name__ == "__main__":
    write_examples()
