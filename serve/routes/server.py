"""What the server says of itself."""

from __future__ import annotations

from fastapi import APIRouter, Response

from serve.front import not_ready
from serve.metrics import MEDIA_TYPE
from serve.openapi import problems
from serve.schemas_server import Health, Ready, ServedCatalogue, ServedModel
from serve.shelf import described
from serve.state import Here
from tonearm import __version__

router = APIRouter(tags=["server"])


@router.get("/healthz")
async def healthz(here: Here) -> Health:
    """Whether this process answers, and which model; it waits for nobody."""
    routes = here.front.routes
    current = routes.current
    if current is None:
        return Health(status="starting", tonearm=__version__, problem="; ".join((routes.problem, *routes.refused)))
    library = current.library
    return Health(
        status="ok",
        **current.signature,
        task=current.about["task"],
        classes=current.about["classes"],
        tracks=0 if library is None else len(library),
        catalogue=None if library is None else ServedCatalogue(**described(library)),
        tonearm=__version__,
        problem=routes.problem,
    )


@router.get("/readyz", responses=problems())
async def readyz(here: Here) -> Ready:
    """Whether the model answers: 503 until it is loaded, and while no process of it is there."""
    routes = here.front.routes
    if routes.current is None or not routes.serving:
        raise not_ready(routes)
    return Ready(status="ready", **routes.current.signature)


@router.get("/v1/model", responses=problems())
async def model(here: Here) -> ServedModel:
    """The model that answers, the one that is tried, and those that were refused, and why."""
    current, routes = await here.front.answering(), here.front.routes
    about, compared = current.about, routes.experiment
    return ServedModel(
        **current.signature,
        task=about["task"],
        classes=about["classes"],
        networks=about["networks"],
        clip_seconds=about["clip_seconds"],
        scores=about["scores"],
        canary=routes.canary.version.number if routes.canary else None,
        canary_share=routes.share if routes.canary else None,
        challenger=compared.challenger.version.number if compared else None,
        challenger_share=compared.share if compared else None,
        refused=[*routes.refused, *routes.challenger_refused],
    )


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}, **problems()},
)
async def metrics(here: Here) -> Response:
    """What this ingress has counted, as Prometheus reads it; with several, each answers in turn for itself."""
    return Response(here.metrics.text(), media_type=MEDIA_TYPE)
