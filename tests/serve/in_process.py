"""The served application without Ray: its routes and its listener in this process, asked over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import ray.serve

from serve.admission import Admission
from serve.answers_cache import AnswersCache
from serve.front import Front
from serve.guards import Guards
from serve.ingress import Ingress, api
from serve.listener import Listener
from serve.rollout import Route
from serve.settings import AppArgs
from serve.state import State
from serve.versions import resolve

Ask = Callable[..., dict[str, Any]]


def serve_in_process(uri: str, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Ask:
    """Start the application of a model; what Ray would carry from the route to the listener is called."""
    monkeypatch.setattr("serve.ingress.ask_arrow", lambda: None)  # it holds for all of this process
    version = resolve(uri)
    listener = Listener(version, max_seconds=60)
    route = Route(version, listener.about())

    def remote(method: Callable[..., Any]) -> SimpleNamespace:
        async def call(*arguments: Any) -> Any:
            return method(*arguments)

        return SimpleNamespace(remote=call)

    methods = ("classify", "listen", "recall", "recommend", "attributes", "map", "sample")
    handle = SimpleNamespace(**{name: remote(getattr(listener, name)) for name in methods})
    said: dict[str, Any] = {
        "current": route,
        "canary": None,
        "share": 0.0,
        "serving": True,
        "problem": "",
        "refused": [],
    }
    front = Front(lambda answering, outcomes: said, lambda version: handle, Admission(), AnswersCache())
    front.look()
    monkeypatch.setattr(Front, "follow", lambda self: None)
    ingress = Ingress.__mro__[1](None, AppArgs(model=uri, **settings).model_dump())  # the class that Ray wraps
    ingress.state = State(AppArgs(model=uri, **settings), Guards(front.admission), front)
    monkeypatch.setattr(ray.serve, "get_replica_context", lambda: SimpleNamespace(servable_object=ingress))

    def asked(method: str, path: str, **request: Any) -> dict[str, Any]:
        front.look()  # as its thread does twice a second
        return ask(method, path, **request)

    return asked


def ask(method: str, path: str, **request: Any) -> dict[str, Any]:
    """The JSON of an answer.

    Raises
    ------
    httpx.HTTPStatusError
        If it is an error.
    """

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://here") as client:
            return await client.request(method, path, **request)

    found: dict[str, Any] = asyncio.run(asked()).raise_for_status().json()
    return found
