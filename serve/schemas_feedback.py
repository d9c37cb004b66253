"""Schemas of feedback: what is sent, and what is answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from fastapi import Header
from fastapi import Path as InPath
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tonearm.feedback.events import Event

RANDOM = r"^[A-Za-z0-9_-]{16,64}$"  # an id that a client makes at random; no address, no name with blanks
LISTENER_HEADER = "Tonearm-Listener"


def _printed(text: str) -> str:
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError("it holds control characters, which no name has")
    return text


Printed = Annotated[str, AfterValidator(_printed)]

#: Who asks, if he says so: the same listener always gets the same arm of an experiment.
Listener = Annotated[
    str | None,
    Header(alias=LISTENER_HEADER, pattern=RANDOM, description="random id of the listener, the one that feedback names"),
]
ListenerInPath = Annotated[str, InPath(pattern=RANDOM, description="random id of a listener")]


class FeedbackEvent(BaseModel):
    """What a listener did with a track that was shown."""

    model_config = ConfigDict(extra="forbid")

    event_id: str = Field(pattern=RANDOM, description="that the client makes at random: sent twice, it is kept once")
    listener: str = Field(pattern=RANDOM, description="a random id of the listener, which says nothing of a person")
    kind: Literal["like", "dislike", "skip", "play"] = Field(
        description="play: the track was heard; skip: it was left, after so many seconds"
    )
    track_id: Printed = Field(min_length=1, max_length=500, description="of the catalogue")
    seed: Printed | None = Field(default=None, max_length=500, description="track that it was recommended for")
    seconds: float | None = Field(
        default=None, ge=0, le=86_400, allow_inf_nan=False, description="how long it was heard; of a skip needed"
    )
    position: int | None = Field(default=None, ge=1, le=10_000, description="where it stood among what was shown")
    request_id: Printed | None = Field(default=None, max_length=128, description="of the answer that showed it")
    model: Printed | None = Field(default=None, max_length=200, description="as the answer has it")
    version: Printed | None = Field(default=None, max_length=200, description="as the answer has it")
    arm: Literal["champion", "challenger"] | None = Field(
        default=None, description="as the answer has it; of an answer without one it is in no experiment"
    )

    @model_validator(mode="after")
    def _skip_has_seconds(self) -> Self:
        if self.kind == "skip" and self.seconds is None:
            raise ValueError("a skip needs seconds: how long the track was heard")
        return self

    def to_event(self, **known: Any) -> Event:
        """The event, with what the server knows of it beside."""
        said = self.model_dump(exclude={"model", "version", "arm"}, exclude_none=True)
        return Event(**said, **known)


class FeedbackKept(BaseModel):
    """Response of ``POST /v1/feedback``: the event is on the disk."""

    event_id: str


class ListenerForgotten(BaseModel):
    """Response of ``DELETE /v1/feedback/{listener}``."""

    listener: str
    events: int = Field(description="that were deleted")
