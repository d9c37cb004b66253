"""What an ingress holds, and how its routes come by it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from fastapi import Depends, Request

from serve.feedback import FeedbackWriter
from serve.front import Front
from serve.guards import Guards
from serve.maps import Maps
from serve.metrics import Metrics
from serve.settings import AppArgs
from serve.uploads import read_recording, read_upload
from serve.uris import Uris


@dataclass(frozen=True)
class State:
    """Settings, guards and what is known of the model."""

    args: AppArgs
    guards: Guards
    front: Front

    @cached_property
    def metrics(self) -> Metrics:
        """What is counted here."""
        return Metrics(self.front, self.feedback)

    @cached_property
    def feedback(self) -> FeedbackWriter:
        """Who keeps what listeners did."""
        return FeedbackWriter()

    @cached_property
    def maps(self) -> Maps:
        """Maps of the catalogue that were told here."""
        return Maps()

    @cached_property
    def _uris(self) -> Uris:
        return Uris(self.args.uris, most_bytes=self.args.max_upload_bytes)

    async def read_uri(self, uri: str) -> bytes:
        """A recording at a URI, if the listener's queue is not too long.

        Raises
        ------
        RefusedError
            As :meth:`serve.uris.Uris.read` has it; 503 if the wait would be too long.
        """
        with self.guards.admission.listened():
            return await self._uris.read(uri)

    async def read_upload(self, request: Request) -> bytes:
        """The recording of a request; raises are those of :func:`serve.uploads.read_upload`."""
        return await read_upload(request, self.args.max_upload_bytes, self.read_uri)

    async def read_recording(self, request: Request) -> tuple[bytes, str]:
        """The same, or the name of one; raises are those of :func:`serve.uploads.read_recording`."""
        return await read_recording(request, self.args.max_upload_bytes, self.read_uri)


def current_state() -> State:
    """The state of the ingress that this process is."""
    from ray import serve

    ingress: Any = serve.get_replica_context().servable_object
    state: State = ingress.state
    return state


def current_guards() -> Guards:
    """Its guards."""
    return current_state().guards


def current_metrics() -> Metrics:
    """What it counts."""
    return current_state().metrics


async def here() -> State:
    """What a route is given: no function for a thread, which FastAPI would hand over to for each request."""
    return current_state()


#: What a route is given.
Here = Annotated[State, Depends(here)]
