"""What sounds like something, and the way from one track to another."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter

from serve.answers import recommended, way
from serve.openapi import ASKED_BY_ADDRESS, PROBLEMS, QUESTION, problems
from serve.problems import RefusedError
from serve.questions import read_object, read_question
from serve.schemas import Path, Recommendation
from serve.schemas_feedback import Listener
from serve.settings import MAX_NEIGHBOURS
from serve.state import Here
from serve.uploads import read_address, read_request

router = APIRouter(prefix="/v1", tags=["recommending"])
RECOMMENDATION: TypeAdapter[Recommendation] = TypeAdapter(Recommendation)


@router.post("/recommend", responses=PROBLEMS, openapi_extra=QUESTION)
async def recommend(
    here: Here,
    request: Request,
    k: Annotated[int | None, Query(ge=1, le=MAX_NEIGHBOURS, description="how many")] = None,
    listener: Listener = None,
) -> Recommendation:
    """Which tracks of the catalogue sound like a recording, like what is liked, or both; and why."""
    asked = await read_request(request, here.args.max_upload_bytes, k or here.args.neighbours, here.read_uri)
    return RECOMMENDATION.validate_python(await recommended(here.front, *asked, listener))


@router.get("/recommend", responses=problems(400, 409), openapi_extra=ASKED_BY_ADDRESS)
async def recommend_by_address(
    here: Here, request: Request, response: Response, listener: Listener = None
) -> Recommendation:
    """Which tracks of the catalogue sound like some of its tracks or artists; the quickest way to ask."""
    response.headers["Cache-Control"] = "private, no-store"  # it is this listener's, of the catalogue as it is now
    asked = read_address(request, here.args.neighbours)
    return RECOMMENDATION.validate_python(await recommended(here.front, b"", asked, listener))


@router.get("/path", responses=problems(409))
async def path(
    here: Here,
    a: Annotated[str, Query(description="track id of the first one")],
    b: Annotated[str, Query(description="track id of the last one")],
    n: Annotated[int, Query(ge=1, le=MAX_NEIGHBOURS, description="how many between them")] = 5,
    where: Annotated[str, Query(description="conditions on these by column, a JSON object")] = "{}",
    listener: Listener = None,
) -> Path:
    """The way from one track of the catalogue to another, each step nearer to the second one."""
    try:
        conditions = read_question({"where": read_object("where", where)}).where
    except ValueError as error:
        raise RefusedError(422, "invalid", str(error)) from None
    return Path(**await way(here.front, a, b, n, conditions, listener))
