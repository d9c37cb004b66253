"""What FastAPI cannot see: bodies that are recordings, and the problems that every route may answer."""

from __future__ import annotations

from typing import Any

from serve.questions import JSON_FIELDS, Question
from serve.schemas_server import Problem
from serve.uploads import AUDIO_FIELD

FAILURES = {
    400: "the body is empty or broken",
    401: "a token is needed, or nobody has this one",
    403: "the server reads no recordings at that URI",
    404: "there is no such track, or its recording is gone; or the one that is named is not remembered any more",
    408: "the body came too slowly",
    409: "the model cannot answer this (it has no catalogue, or another task), or the event is another one",
    413: "too many bytes, seconds or files",
    415: "no audio that can be read",
    422: "a field is wrong, or what is asked is impossible",
    429: "too often; `Retry-After` says when to come again",
    500: "a fault of ours; the log has it",
    502: "the recording at the URI cannot be read",
    504: "the recording at the URI did not come in time",
    503: "busy, or no model is loaded yet; `Retry-After` says when to come again",
}


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The failures of a route, beside those that any may have."""
    found = sorted({401, 422, 429, 500, 503, *codes})
    return {code: {"model": Problem, "description": FAILURES[code]} for code in found}


PROBLEMS = problems(400, 403, 404, 408, 409, 413, 415, 502, 504)


def upload(*named: dict[str, Any]) -> dict[str, Any]:
    """A body that is a recording, or that names one in one of several ways."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {AUDIO_FIELD: {"type": "string", "format": "binary"}},
                        "required": [AUDIO_FIELD],
                    }
                },
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "application/json": {"schema": {"oneOf": list(named)} if len(named) > 1 else named[0]},
            },
        }
    }


def _naming(field: str) -> dict[str, Any]:
    """A JSON object that names a recording by a field of a question."""
    schema = Question.model_json_schema()["properties"][field]
    return {"type": "object", "properties": {field: schema}, "required": [field]}


UPLOAD = upload(_naming("uri"))
UPLOAD_OR_NAME = upload(_naming("uri"), _naming("recording"))
NDJSON = "application/x-ndjson"
BATCH = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {AUDIO_FIELD: {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    "required": [AUDIO_FIELD],
                }
            }
        },
    }
}
ASKED_BY_ADDRESS = {
    "parameters": [
        {"name": name, "in": "query", "description": schema["description"]}
        | ({"content": {"application/json": {"schema": schema}}} if name in JSON_FIELDS else {"schema": schema})
        for name, schema in Question.model_json_schema()["properties"].items()
        if name not in ("uri", "recording")
    ]
}
QUESTION = {
    "requestBody": {
        "content": {
            "multipart/form-data": {
                "schema": {
                    **Question.model_json_schema(),
                    "properties": {
                        AUDIO_FIELD: {"type": "string", "format": "binary"},
                        **Question.model_json_schema()["properties"],
                    },
                }
            },
            "application/json": {"schema": Question.model_json_schema()},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
