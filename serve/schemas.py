"""Schemas of the responses; FastAPI shows them at /docs."""

from __future__ import annotations

from pydantic import BaseModel, Field


class LabelProbability(BaseModel):
    """One class."""

    label: str
    probability: float = Field(ge=0, le=1)


class Classification(BaseModel):
    """Response of ``POST /v1/classify``."""

    label: str = Field(description="the most probable class")
    probabilities: list[LabelProbability] = Field(description="all classes, most probable first")
    model: str = Field(description="the model that was used")
    seconds: float = Field(description="spent on decoding and prediction")


class NeighbourTrack(BaseModel):
    """A track of the catalogue that sounds alike."""

    track_id: str
    similarity: float = Field(description="cosine of the embeddings, -1..1")
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    label: str | None = None
    year: int | None = None
    licence: str | None = None


class Recommendation(Classification):
    """Response of ``POST /v1/recommend``."""

    neighbours: list[NeighbourTrack] = Field(description="nearest first")


class Health(BaseModel):
    """Response of ``GET /healthz``."""

    status: str
    model: str
    classes: list[str]
    tracks: int = Field(description="in the catalogue")
    version: str


class Problem(BaseModel):
    """Body of every response that is not a success."""

    error: str = Field(description="a short code")
    detail: str = Field(description="what was wrong and what to do")
