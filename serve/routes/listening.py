"""What a recording is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import TypeAdapter

from serve.answers import attributes_of, classified
from serve.openapi import PROBLEMS, UPLOAD, UPLOAD_OR_NAME
from serve.schemas import Attributes, Classification, FitnessAnswer
from serve.schemas_feedback import Listener
from serve.state import Here

router = APIRouter(prefix="/v1", tags=["listening"], responses=PROBLEMS)
CLASSIFICATION: TypeAdapter[Classification] = TypeAdapter(Classification)


@router.post("/classify", openapi_extra=UPLOAD)
async def classify(
    here: Here,
    request: Request,
    timeline: Annotated[bool, Query(description="tell what is heard in each window, too")] = False,
    listener: Listener = None,
) -> Classification:
    """What a recording is: a class, labels, playlists, values or a vector, as the model's task says."""
    audio = await here.read_upload(request)
    return CLASSIFICATION.validate_python(await classified(here.front, audio, timeline, listener=listener))


@router.post("/playlists", openapi_extra=UPLOAD)
async def playlists(here: Here, request: Request, listener: Listener = None) -> FitnessAnswer:
    """How well a recording fits each playlist: of a model that has learned playlists."""
    audio = await here.read_upload(request)
    return FitnessAnswer(**await classified(here.front, audio, task="playlists", listener=listener))


@router.post("/attributes", openapi_extra=UPLOAD_OR_NAME)
async def attributes(here: Here, request: Request, listener: Listener = None) -> Attributes:
    """Tempo, key, loudness and the like of a recording, and where it lies among all tracks of the catalogue."""
    audio, recording = await here.read_recording(request)
    return Attributes(**await attributes_of(here.front, audio, recording, listener))
