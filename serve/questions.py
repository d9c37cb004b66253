"""What ``/v1/recommend`` is asked: fields of an address or of a form, or a JSON object with the same names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve.heard import NAME
from serve.settings import MAX_HEARD, MAX_NEIGHBOURS, MOST_CONDITIONS, MOST_SEEDS

JSON_FIELDS = ("where", "sliders")  # of a form: objects, as JSON texts
PRIVATE = ("source", "content")  # columns: counts of what meets a condition would tell which files there are
LISTS = ("like", "dislike", "artists", "not_same")  # of a form: given once for each


class Question(BaseModel):
    """Seeds, and what the answer shall be like; beside it a recording may be sent."""

    model_config = ConfigDict(extra="forbid")

    uri: str = Field(default="", max_length=2000, description="of a recording, where the server reads such")
    recording: str = Field(
        default="",
        pattern=NAME,
        description="one that was sent lately, as the answer to it named it; 404 if it is not remembered any more",
    )
    like: list[str] = Field(default=[], max_length=MOST_SEEDS, description="track ids")
    dislike: list[str] = Field(
        default=[], max_length=MOST_SEEDS, description="track ids that the answer shall be away from"
    )
    artists: list[str] = Field(default=[], max_length=MOST_SEEDS, description="names of artists that are liked")
    taste: bool = Field(default=False, description="what is liked may be of several kinds: each liked track votes")
    k: int | None = Field(default=None, ge=1, le=MAX_NEIGHBOURS, description="how many")
    where: dict[str, Any] = Field(
        default={},
        max_length=MOST_CONDITIONS,
        description='conditions by column: {"label": ["folk", "jazz"], "year": [1990, null]}',
    )
    not_same: list[Literal["artist", "album", "recording"]] = Field(
        default=[], max_length=3, description="what no track of the answer shares with the seeds"
    )
    diversity: float = Field(default=0, ge=0, le=1, description="0: only alike to the seeds; 1: as unlike each other")
    sliders: dict[str, float] = Field(
        default={},
        max_length=MOST_CONDITIONS,
        description='-1 to 1 by attribute or word: {"faster": 0.5, "year": -1, "electronic": -0.5}',
    )
    windows: bool = Field(
        default=False, description=f"tell the most alike windows of each, at most {MAX_HEARD}; takes a pass for each"
    )


def read_question(fields: Mapping[str, Any]) -> Question:
    """The question of a JSON object.

    Raises
    ------
    ValueError
        The first problem, in a sentence.
    """
    try:
        found = Question.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = f"; known are {', '.join(Question.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise ValueError(f"{where}: {first['msg']} (got {first.get('input')!r:.200}){known}") from None
    for name in PRIVATE:
        if name in found.where:
            raise ValueError(f"where: {name} is not for conditions: it tells of the server's files; use another column")
    return found


def read_json(body: bytes) -> Question:
    """The question of a request's body.

    Raises
    ------
    ValueError
        If it is no JSON object, or a field is wrong.
    """
    return read_question(read_object("the body", body.decode("utf-8", errors="replace")))


def read_fields(fields: Sequence[tuple[str, str]]) -> Question:
    """The question of a form's fields; those that are lists may be given several times.

    Raises
    ------
    ValueError
        If a field is wrong.
    """
    found: dict[str, Any] = {}
    for name, value in fields:
        if name in LISTS:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise ValueError(f"{name} is given twice: once is enough")
        else:
            found[name] = read_object(name, value) if name in JSON_FIELDS else value
    return read_question(found)


def read_object(name: str, text: str) -> dict[str, Any]:
    """A JSON object.

    Raises
    ------
    ValueError
        If a text is none, or a text in it is none that an answer could repeat.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {text[:60]!r}: give a JSON object")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} holds half of a surrogate pair, {error.object[error.start]!a}: give whole characters"
        ) from None
    return value
