"""Schemas of what the server says of itself, and of problems."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from serve.schemas import Classification, Signed


class ServedCatalogue(BaseModel):
    """What is recommended from."""

    name: str | None = Field(description="as tonearm index named it; null: the one that the model is registered with")
    kind: str = Field(description="what is recommended: tracks, albums or artists")
    number: int | None = Field(description="of its state, which grows with each change; null without a name")


class Health(BaseModel):
    """Response of ``GET /healthz``; of a server that starts, the model is not known yet."""

    status: Literal["ok", "starting"]
    model: str | None = Field(default=None, description="its name")
    version: str | None = Field(default=None, description="its number in the registry")
    bundle: str | None = Field(default=None, description="digest of its files")
    task: str | None = Field(default=None, description="what the model learned: the form of its answers")
    classes: list[str] = Field(default=[], description="what its outputs stand for")
    tracks: int = Field(default=0, description="in the catalogue")
    catalogue: ServedCatalogue | None = Field(default=None, description="null of a model that only classifies")
    tonearm: str = Field(description="version of Tonearm")
    problem: str = Field(description="what keeps it from starting, or from following the registry or its catalogue")


class Ready(Signed):
    """Response of ``GET /readyz``."""

    status: str


class ServedModel(Signed):
    """Response of ``GET /v1/model``."""

    task: str = Field(description="what the model learned: the form of its answers")
    classes: list[str] = Field(description="what its outputs stand for")
    networks: int = Field(description="that answer together")
    clip_seconds: float = Field(description="how much of a recording is heard, at most")
    scores: dict[str, float] = Field(description="on test tracks, when it was selected; empty of what was not")
    canary: str | None = Field(description="number of the version that is tried now")
    canary_share: float | None = Field(description="of requests that it is asked")
    challenger: str | None = Field(description="number of the version that a share of the listeners gets")
    challenger_share: float | None = Field(description="of the listeners that get it")
    refused: list[str] = Field(description="versions that were not taken, and why")


class Problem(BaseModel):
    """Body of every response that is not a success: RFC 9457, application/problem+json."""

    type: str = Field(description="about:blank: the status says what it is")
    title: str = Field(description="the status in words")
    status: int
    error: str = Field(description="a short code, for programs")
    detail: str = Field(description="what was wrong and what to do")


class BatchLine(BaseModel):
    """A line of the response of ``POST /v1/batch``: an answer or a problem."""

    file: str = Field(description="its name in the form")
    place: int = Field(description="which of the form's files it is, from 0")
    answer: Classification | None = Field(None, description="what it is")
    problem: Problem | None = Field(None, description="why it cannot be told")
