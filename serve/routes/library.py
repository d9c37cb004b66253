"""The tracks of the catalogue: found by words, told, heard and seen."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from serve.answers import find_tracks, track_of, track_sample
from serve.openapi import problems
from serve.schemas import FoundTracks, TrackAnswer
from serve.schemas_feedback import Listener
from serve.settings import CLIP_SECONDS as SECONDS
from serve.settings import MAX_NEIGHBOURS
from serve.state import Here

router = APIRouter(prefix="/v1", tags=["library"], responses=problems(404, 409))


@router.get("/search")
async def search(
    here: Here,
    q: Annotated[str, Query(min_length=1, max_length=200, description="words of title, artist, album or id")],
    k: Annotated[int, Query(ge=1, le=MAX_NEIGHBOURS, description="how many")] = 20,
    listener: Listener = None,
) -> FoundTracks:
    """The tracks of the catalogue in which all words occur; those whose titles begin with them come first."""
    return FoundTracks(**await find_tracks(here.front, q, k, listener))


@router.get("/tracks/{track_id:path}/clip", response_class=Response, responses={200: {"content": {"audio/mpeg": {}}}})
async def clip(
    here: Here,
    track_id: str,
    start: Annotated[float | None, Query(ge=0, le=86_400, description="seconds; by default from its middle")] = None,
    seconds: Annotated[float, Query(ge=0.1, le=SECONDS, description="how long, at most")] = SECONDS,
    listener: Listener = None,
) -> Response:
    """Some seconds of a track, as the model hears them: MP3."""
    return Response(
        await track_sample(here.front, track_id, "clip", start, seconds, listener=listener), media_type="audio/mpeg"
    )


@router.get("/tracks/{track_id:path}/picture", response_class=Response, responses={200: {"content": {"image/png": {}}}})
async def picture(here: Here, track_id: str, listener: Listener = None) -> Response:
    """A track's spectrogram: PNG."""
    return Response(await track_sample(here.front, track_id, "picture", listener=listener), media_type="image/png")


@router.get("/tracks/{track_id:path}")
async def track(here: Here, track_id: str, listener: Listener = None) -> TrackAnswer:
    """What is known of a track."""
    return TrackAnswer(**await track_of(here.front, track_id, listener))
