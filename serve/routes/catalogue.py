"""The catalogue as a whole: what the page shows beside an answer, and its map."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from serve.answers import answered, library_of
from serve.catalogue import overview, samples
from serve.openapi import problems
from serve.schemas_catalogue import CatalogueAnswer, CatalogueMap, Samples
from serve.settings import MAX_NEIGHBOURS
from serve.shelf import state_of
from serve.state import Here

router = APIRouter(prefix="/v1", tags=["library"], responses=problems(409))


@router.get("/catalogue")
async def catalogue(here: Here) -> CatalogueAnswer:
    """How many tracks there are, of which labels, and how their tempo, loudness and the like are spread."""
    shelf = await here.front.answering()
    found = await asyncio.to_thread(overview, library_of(shelf))
    return CatalogueAnswer.model_validate({**found, **shelf.signature})


@router.get("/samples")
async def some(
    here: Here, k: Annotated[int, Query(ge=1, le=MAX_NEIGHBOURS, description="how many, at most")] = 4
) -> Samples:
    """A few tracks that can be heard, of as many labels as there are: something to begin with."""
    shelf = await here.front.answering()
    found = await asyncio.to_thread(samples, library_of(shelf), k)
    return Samples.model_validate({"tracks": found, **shelf.signature})


@router.get("/map")
async def catalogue_map(here: Here) -> CatalogueMap:
    """The catalogue in two dimensions: what sounds alike to the model lies together. The first one takes a while."""
    shelf = await here.front.answering()
    state = state_of(library_of(shelf))

    async def made() -> dict[str, Any]:
        with here.front.admission.listened():
            return answered(await here.front.ask(shelf, "map"))

    found = await here.maps.of(shelf.key, state, made)
    return CatalogueMap.model_validate({**found, **shelf.signature})
