"""What the application says of itself at ``/openapi.json``: what FastAPI cannot see, and examples.

The examples are answers of a tiny model; ``tests/serve/test_description.py`` writes them, and asks again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import FastAPI

from serve.openapi import NDJSON
from serve.problems import MEDIA_TYPE, RefusedError
from serve.uploads import AUDIO_FIELD

TAGS = [
    {"name": "listening", "description": "What a recording is: send it as it is, or in a form."},
    {"name": "recommending", "description": "What sounds alike, of a recording or of tracks of the catalogue."},
    {"name": "library", "description": "The tracks of the catalogue."},
    {"name": "feedback", "description": "What listeners did with what they were shown."},
    {"name": "server", "description": "What the server says of itself."},
]
TOKEN = {"type": "http", "scheme": "bearer", "description": "only where the server asks for one: on other hosts"}
ADDRESS = "http://127.0.0.1:8000"
BUSY = RefusedError(503, "busy", "12 recordings are before this one, some 13 s of work: send it later")


@cache
def examples() -> dict[str, dict[str, Any]]:
    """By route, as ``"POST /v1/classify"``: what is asked (``path``, ``query``, ``json``, and how many ``files`` are
    sent), and the answer, unless it is no JSON."""
    import yaml

    found: dict[str, dict[str, Any]] = yaml.safe_load(files("serve").joinpath("examples.yaml").read_text("utf-8"))
    return found


def describe(api: FastAPI) -> None:
    """Let an application describe itself in full."""
    made = api.openapi

    def described() -> dict[str, Any]:
        if api.openapi_schema is None:
            _complete(made())
        return api.openapi_schema or made()

    api.openapi = described  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:
    """Add to a description what is missing."""
    document["components"].setdefault("securitySchemes", {})["token"] = TOKEN
    document["security"] = [{}, {"token": []}]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for code, response in operation["responses"].items():
                content = response.get("content", {})
                if int(code) >= 400 and "application/json" in content:
                    content[MEDIA_TYPE] = content.pop("application/json")
                    if code == "503":
                        content[MEDIA_TYPE]["example"] = BUSY.document
            answered = operation["responses"]["200"]["content"]
            if NDJSON in answered:
                answered[NDJSON] = answered.pop("application/json")
            _add_example(operation, path, method, examples()[f"{method.upper()} {path}"], answered)


def _add_example(
    operation: dict[str, Any], path: str, method: str, example: Mapping[str, Any], answered: dict[str, Any]
) -> None:
    given = {**example.get("path", {}), **example.get("query", {})}
    for parameter in operation.get("parameters", []):
        if parameter["name"] in given:
            parameter["example"] = given[parameter["name"]]
    asked = operation.get("requestBody", {}).get("content", {})
    if "json" in example:
        asked["application/json"]["example"] = example["json"]
    if "answer" in example:
        next(iter(answered.values()))["example"] = example["answer"]
    operation["x-codeSamples"] = [{"lang": "Shell", "label": "curl", "source": curl(path, example, method)}]


def curl(path: str, example: Mapping[str, Any], method: str = "get") -> str:
    """The command that asks what an example asks."""
    url = f"'{ADDRESS}{address(path, example)}'"
    sent = [f"-F {AUDIO_FIELD}=@{i}.mp3" for i in range(example.get("files", 0))]
    if "json" in example:
        sent = ["-H 'Content-Type: application/json'", f"-d '{json.dumps(example['json'])}'"]
    asks = ["-X DELETE"] if method == "delete" else []
    return " ".join(["curl", *asks, *sent, url])


def address(path: str, example: Mapping[str, Any]) -> str:
    """The path that an example asks, its names filled in, and its query."""
    for name, value in example.get("path", {}).items():
        path = path.replace(f"{{{name}}}", quote(str(value)))
    query = {name: json.dumps(v) if isinstance(v, bool) else v for name, v in example.get("query", {}).items()}
    return f"{path}?{urlencode(query)}" if query else path
