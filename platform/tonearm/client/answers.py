"""What the server answers, as types: dictionaries, whose names are those of ``/openapi.json``."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class Signed(TypedDict):
    """Which model it was, and the arm of the listener: ``champion``, ``challenger`` or None."""

    model: str
    version: str
    bundle: str
    arm: Literal["champion", "challenger"] | None


class Moment(TypedDict):
    """What one network hears in a window; ``start`` and ``end`` in seconds."""

    start: float
    end: float
    name: str
    value: float


class Timed(Signed):
    """And how long it took."""

    seconds: float


class Answered(Timed):
    """What every answer about a recording says; ``heard`` and ``sure`` are 0 to 1."""

    why: str | None
    heard: float | None
    sure: float | None
    doubt: bool | None
    timeline: list[Moment] | None


class LabelProbability(TypedDict):
    """A class, and its probability."""

    label: str
    probability: float


class ClassAnswer(Answered):
    """One class of several."""

    task: Literal["single_label"]
    label: str
    probabilities: list[LabelProbability]


class LabelDecision(LabelProbability):
    """A label, which is given where its probability is at least the threshold."""

    threshold: float


class LabelsAnswer(Answered):
    """Any number of labels."""

    task: Literal["multi_label"]
    labels: list[str]
    probabilities: list[LabelDecision]


class PlaylistFitness(TypedDict):
    """How well a playlist fits, 0 to 1."""

    playlist: str
    fitness: float


class FitnessAnswer(Answered):
    """Playlists, the fittest first."""

    task: Literal["playlists"]
    playlists: list[PlaylistFitness]


class Value(TypedDict):
    """A number of the recording, and what it is never below and above."""

    name: str
    value: float
    unit: str
    low: float | None
    high: float | None


class ValuesAnswer(Answered):
    """Numbers of the recording."""

    task: Literal["regression"]
    values: list[Value]


class VectorAnswer(Answered):
    """The recording's place in a space that was learnt."""

    task: Literal["embedding"]
    target: str
    vector: list[float]


Classification = ClassAnswer | LabelsAnswer | FitnessAnswer | ValuesAnswer | VectorAnswer


class CatalogueTrack(TypedDict):
    """A track of the catalogue."""

    track_id: str
    title: str | None
    artist: str | None
    album: str | None
    label: str | None
    year: int | None
    licence: str | None


class NeighbourTrack(CatalogueTrack):
    """A track that sounds alike: ``similarity`` is the cosine of the embeddings, ``rank`` counts from 1."""

    similarity: float
    rank: int
    rank_before: int
    because: str
    shifts: list[dict[str, Any]]
    reasons: dict[str, Any]
    match: dict[str, float] | None


class Recommendation(Timed):
    """Neighbours, the best first; of a recording, the fields of its :data:`Classification` are there, too, and
    ``recording``, by which it may be named for a while instead of being sent again."""

    task: str
    recording: str | None
    neighbours: list[NeighbourTrack]
    notes: list[str]


class PathStep(CatalogueTrack):
    """A track on the way: ``progress`` 0 to 1, ``distance`` in radians from the point that it stands for."""

    progress: float
    distance: float


class Path(Timed):
    """The way from one track to another, both included."""

    steps: list[PathStep]


class MeasuredAttribute(TypedDict):
    """Something that is measured; ``quantile`` is the share of the catalogue's tracks below."""

    name: str
    value: float | str
    unit: str
    low: float | None
    high: float | None
    quantile: float | None


class Attributes(Timed):
    """What is measured of a recording."""

    attributes: list[MeasuredAttribute]


class TrackAnswer(CatalogueTrack, Signed):
    """What is known of a track; what else the catalogue says of it is beside these."""

    attributes: list[MeasuredAttribute]


class FoundTracks(Signed):
    """Tracks that were found, and how many there are in all."""

    count: int
    tracks: list[CatalogueTrack]


class FeedbackKept(TypedDict):
    """An event that is on the server's disk."""

    event_id: str


class ListenerForgotten(TypedDict):
    """A listener, and how many of his events were deleted."""

    listener: str
    events: int


class ServedCatalogue(TypedDict):
    """What is recommended from."""

    name: str | None
    kind: str
    number: int | None


class Health(TypedDict):
    """How the server is; of one that starts, the model is not known yet."""

    status: Literal["ok", "starting"]
    model: str | None
    version: str | None
    bundle: str | None
    task: str | None
    classes: list[str]
    tracks: int
    catalogue: ServedCatalogue | None
    tonearm: str
    problem: str


class ServedModel(Signed):
    """The model that answers, and the one that is tried."""

    task: str
    classes: list[str]
    networks: int
    clip_seconds: float
    scores: dict[str, float]
    canary: str | None
    canary_share: float | None
    challenger: str | None
    challenger_share: float | None
    refused: list[str]
