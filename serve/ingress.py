"""HTTP: it admits, remembers and searches; what needs ears is asked of the listeners."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI
from ray import serve

from serve import docs, page
from serve.answers_cache import AnswersCache
from serve.description import TAGS, describe
from serve.front import SECONDS_TO_BEGIN, SECONDS_TO_SAY, Front
from serve.guards import Guarded, guards_of
from serve.handlers import add_handlers
from serve.lean import ask_arrow
from serve.metrics import Measured
from serve.rollout import Route
from serve.routes import batch, catalogue, feedback, library, listening, recommending, server, subsonic
from serve.settings import AppArgs
from serve.state import State, current_guards, current_metrics
from serve.versions import Version
from tonearm import __version__
from tonearm.audio.formats import READ_FORMATS

api = FastAPI(
    title="Tonearm",
    description=f"Send a recording ({READ_FORMATS}) and learn what it is and what sounds like it.",
    version=__version__,
    openapi_tags=TAGS,
    docs_url=None,
    redoc_url=None,
)
api.include_router(docs.router)
api.include_router(page.router)
add_handlers(api)
ROUTERS = [routes.router for routes in (listening, batch, recommending, library, catalogue, feedback, server, subsonic)]
for router in ROUTERS:
    api.include_router(router)
describe(api)
api.add_middleware(Guarded, guards=current_guards)
api.add_middleware(Measured, metrics=current_metrics, routes=[route for router in ROUTERS for route in router.routes])


@serve.ingress(api)
class Ingress:
    """Holds what the routes need.

    Parameters
    ----------
    follower
        Who says which version answers, as Ray Serve calls it.
    args
        As :class:`AppArgs` has them.
    """

    def __init__(self, follower: Any, args: dict[str, Any]) -> None:
        ask_arrow()
        settings = AppArgs(**args)

        def ask_follower(answering: Route | None, outcomes: dict[Version, tuple[int, int]]) -> dict[str, Any]:
            said: dict[str, Any] = follower.routes.remote(answering, outcomes).result(timeout_s=SECONDS_TO_SAY)
            return said

        def listeners(version: Version) -> Any:
            return serve.get_app_handle(version.application(settings.name))

        guards = guards_of(settings)
        front = Front(ask_follower, listeners, guards.admission, AnswersCache(settings.cache_bytes),
                      settings.share, settings.salt)  # fmt: skip
        self.state = State(settings, guards, front)
        front.follow()

    async def check_health(self) -> None:
        """Healthy once it is known who answers: Serve sends no request before, so that a new ingress refuses none."""
        await asyncio.to_thread(self.state.front.heard.wait, SECONDS_TO_BEGIN)
