"""Schemas of what the catalogue is as a whole."""

from __future__ import annotations

from pydantic import BaseModel, Field

from serve.schemas import CatalogueTrack, Signed


class AttributeSpread(BaseModel):
    """How an attribute is spread over the catalogue's tracks."""

    name: str
    unit: str = Field(description="such as BPM; empty of a year")
    less: str = Field(description="the word of a slider's lower side, such as slower; empty if it has none")
    more: str = Field(description="of its upper side")
    known: int = Field(description="of how many tracks")
    quantiles: list[float] = Field(description="21 values: least, a twentieth of the tracks below, …, greatest")


class CatalogueAnswer(Signed):
    """Response of ``GET /v1/catalogue``."""

    tracks: int = Field(description="how many there are")
    audible: int = Field(description="of how many it is known where the recording lies")
    labels: dict[str, int] = Field(description="the most frequent labels, and of how many tracks; the model's, too")
    attributes: list[AttributeSpread] = Field(description="numbers that some tracks have")


class Samples(Signed):
    """Response of ``GET /v1/samples``."""

    tracks: list[CatalogueTrack] = Field(description="that can be heard, of as many labels as there are")


class MapGroups(BaseModel):
    """Tracks by what they share, such as an artist."""

    name: str = Field(description="label, predicted label, era, place or artist")
    names: list[str] = Field(description="the most frequent first")
    of: list[int] = Field(description="of each track which name is its own; -1: not known")


class CatalogueMap(Signed):
    """Response of ``GET /v1/map``; all lists have one element a track."""

    count: int = Field(description="tracks of the catalogue; of a large one a sample is told")
    grid: int = Field(description="coordinates are whole numbers, 0 to this")
    x: list[int]
    y: list[int] = Field(description="upwards")
    ids: list[str]
    titles: list[str]
    years: list[int | None]
    groups: list[MapGroups] = Field(description="what tracks can be coloured by")
    trustworthiness: float | None = Field(
        description="1 if what is near on the map is near to the model, too; null of too few tracks"
    )
    chance: float | None = Field(description="the same of coordinates at random")
