"""Schemas of the responses; FastAPI shows them at /docs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Signed(BaseModel):
    """Which model it was."""

    model: str = Field(description="its name: the registered one, or its folder's")
    version: str = Field(description="its number in the registry; empty if it is not registered")
    bundle: str = Field(description="digest of its files: equal ones answer alike")
    arm: str | None = Field(default=None, description="champion or challenger, where the listener is in an experiment")


class Timed(Signed):
    """And how long it took."""

    seconds: float = Field(description="spent on the answer; one that was remembered took no time now")


class Answered(Timed):
    """What every answer about a recording says."""

    why: str | None = Field(None, description="what speaks for it, in a sentence; null of a vector")
    heard: float | None = Field(
        None, ge=0, le=1, description="share of training tracks no nearer to the others: near 0 it is unlike them all"
    )
    sure: float | None = Field(None, ge=0, le=1, description="calibrated probability that the class is right")
    doubt: bool | None = Field(None, description="whether it sounds like nothing that the model has learned from")
    timeline: list[Moment] | None = Field(None, description="by window, if wanted; empty of what is heard at once")


class Moment(BaseModel):
    """What one network hears in a window."""

    start: float = Field(description="seconds")
    end: float = Field(description="seconds")
    name: str = Field(description="its greatest output")
    value: float = Field(description="of that output, of this window alone, uncalibrated")


class LabelProbability(BaseModel):
    """One class."""

    label: str
    probability: float = Field(ge=0, le=1)


class ClassAnswer(Answered):
    """One class of several."""

    task: Literal["single_label"]
    label: str = Field(description="the most probable class")
    probabilities: list[LabelProbability] = Field(description="all classes, most probable first; they sum to 1")


class LabelDecision(LabelProbability):
    """One label, which is given where its probability is at least the threshold."""

    threshold: float = Field(ge=0, le=1)


class LabelsAnswer(Answered):
    """Any number of labels."""

    task: Literal["multi_label"]
    labels: list[str] = Field(description="those that are given, most probable first; there may be none")
    probabilities: list[LabelDecision] = Field(description="of every label by itself, most probable first")


class PlaylistFitness(BaseModel):
    """How well one playlist fits."""

    playlist: str
    fitness: float = Field(ge=0, le=1)


class FitnessAnswer(Answered):
    """Playlists."""

    task: Literal["playlists"]
    playlists: list[PlaylistFitness] = Field(description="all playlists, the fittest first")


class Value(BaseModel):
    """A number of the recording."""

    name: str
    value: float
    unit: str = Field(description="such as BPM; empty if none was named")
    low: float | None = Field(description="it is never below; null: it may be any number")
    high: float | None = Field(description="it is never above; null: it may be any number")


class ValuesAnswer(Answered):
    """Numbers of the recording, such as its tempo."""

    task: Literal["regression"]
    values: list[Value]


class VectorAnswer(Answered):
    """The recording's place in a space that was learnt."""

    task: Literal["embedding"]
    target: str = Field(description="what the vector is of, such as artists")
    vector: list[float]


#: Response of ``POST /v1/classify``: ``task`` says which of the forms it has.
Classification = Annotated[
    ClassAnswer | LabelsAnswer | FitnessAnswer | ValuesAnswer | VectorAnswer, Field(discriminator="task")
]


class CatalogueTrack(BaseModel):
    """A track of the catalogue."""

    track_id: str
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    label: str | None = None
    year: int | None = None
    licence: str | None = None


class Shift(BaseModel):
    """What a slider has to do with a track."""

    name: str
    shift: float = Field(description="where the slider stands, -1..1")
    value: float | None = Field(description="of the track")
    seed: float | None = Field(description="of the seeds")


class Attribute(BaseModel):
    """One attribute of a track beside the seeds' own."""

    name: str
    value: str | float
    seed: str | float
    quantile: float | None = Field(description="of numbers: where the track lies in the catalogue, 0..1")
    seed_quantile: float | None = Field(description="where the seeds lie")
    shared: bool | None = Field(description="true: it is shared, false: it differs, null: neither")


class SharedLabel(BaseModel):
    """A label that the model gives a track and the seeds."""

    label: str
    probability: float
    seed: float


class Reasons(BaseModel):
    """Why a track is recommended."""

    attributes: list[Attribute]
    labels: list[SharedLabel]


class WindowMatch(BaseModel):
    """The windows of a track and of its seed that are most alike to the model."""

    start: float = Field(description="seconds, in the track")
    seed_start: float = Field(description="seconds, in the seed")
    seconds: float = Field(description="how long a window is")
    similarity: float = Field(description="cosine of the windows' embeddings, -1..1")


class NeighbourTrack(CatalogueTrack):
    """A track of the catalogue that sounds alike."""

    similarity: float = Field(description="cosine of the embeddings, -1..1")
    rank: int = Field(description="from 1")
    rank_before: int = Field(description="where it would stand without sliders and diversity")
    because: str = Field(description="the reasons in a sentence")
    shifts: list[Shift]
    reasons: Reasons
    match: WindowMatch | None = Field(description="if it was asked for, and the track can still be heard")


class Neighbours(BaseModel):
    """What a recommendation says beside the answer."""

    recording: str | None = Field(
        None, description="by which it may be named for a while, instead of being sent again; null if it cannot be"
    )
    neighbours: list[NeighbourTrack] = Field(description="the best first")
    notes: list[str] = Field(description="what a person should know of them")


class SeedsRecommendation(Timed, Neighbours):
    """Neighbours of what is liked, without a recording."""

    task: Literal["seeds"]


class PathStep(CatalogueTrack):
    """A track on the way from one to another."""

    progress: float = Field(description="how far on the way, 0..1")
    distance: float = Field(description="from the point that it stands for, radians")


class Path(Timed):
    """Response of ``GET /v1/path``."""

    steps: list[PathStep] = Field(description="from the first track to the last, both included")


class ClassRecommendation(ClassAnswer, Neighbours):
    """One class of several, and neighbours."""


class LabelsRecommendation(LabelsAnswer, Neighbours):
    """Any number of labels, and neighbours."""


class FitnessRecommendation(FitnessAnswer, Neighbours):
    """Playlists, and neighbours."""


class ValuesRecommendation(ValuesAnswer, Neighbours):
    """Numbers of the recording, and neighbours."""


class VectorRecommendation(VectorAnswer, Neighbours):
    """The recording's place in a space that was learnt, and neighbours."""


#: Response of ``/v1/recommend``.
Recommendation = Annotated[
    ClassRecommendation
    | LabelsRecommendation
    | FitnessRecommendation
    | ValuesRecommendation
    | VectorRecommendation
    | SeedsRecommendation,
    Field(discriminator="task"),
]


class MeasuredAttribute(BaseModel):
    """Something that is measured of a recording."""

    name: str
    value: float | str
    unit: str
    low: float | None = Field(description="usual range")
    high: float | None
    quantile: float | None = Field(description="share of the catalogue's tracks below; null if they do not say it")


class Attributes(Timed):
    """Response of ``POST /v1/attributes``."""

    attributes: list[MeasuredAttribute]


class TrackAnswer(CatalogueTrack, Signed):
    """Response of ``GET /v1/tracks/{id}``; what else the catalogue says of it is beside these."""

    model_config = ConfigDict(extra="allow")

    attributes: list[MeasuredAttribute]


class FoundTracks(Signed):
    """Response of ``GET /v1/search``."""

    count: int = Field(description="how many hold all words")
    tracks: list[CatalogueTrack]
