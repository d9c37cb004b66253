"""Maps of the catalogue: a listener makes one for each state of it, and the ingresses keep what it told.

Who makes one loads scikit-learn, some 100 MiB, and computes for seconds: a copy of the model does, not each ingress.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from serve.catalogue import catalogue_map
from serve.shelf import state_of

if TYPE_CHECKING:  # the driver, too, imports this, and needs no torch
    from tonearm.recommend.library import Library

KEPT = 4  # maps: of the version before, too


class MapMaker:
    """Makes maps in a listener; threads may ask at a time, and wait for the one that is being made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[str, dict[str, Any]] | None = None

    def of(self, library: Library) -> dict[str, Any]:
        """The map of a library as it is now, and as ``state`` which state that is.

        Raises
        ------
        BundleError
            As :func:`serve.catalogue.catalogue_map`.
        """
        with self._lock:
            state = state_of(library)
            if self._last is None or self._last[0] != state:
                self._last = state, catalogue_map(library) | {"state": state}
            return self._last[1]


class Maps:
    """Maps that an ingress was told, by what they depend on; one that is being made is asked for once."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], asyncio.Task[Mapping[str, Any]]] = {}

    async def of(self, model: str, state: str, ask: Callable[[], Awaitable[Mapping[str, Any]]]) -> Mapping[str, Any]:
        """The map of a model's catalogue in a state, asked for by ``ask``. One of another state, which a listener tells
        that has seen a change sooner or later than this ingress, is given and not kept."""
        key = model, state
        if key not in self._told:
            self._told[key] = asyncio.create_task(_awaited(ask))
            while len(self._told) > KEPT:
                self._told.pop(next(iter(self._told)))
        try:
            found = await asyncio.shield(self._told[key])  # who leaves does not take it from others
        except Exception:
            self._told.pop(key, None)  # what failed is tried again
            raise
        if found["state"] != state:
            self._told.pop(key, None)
        return found


async def _awaited(ask: Callable[[], Awaitable[Mapping[str, Any]]]) -> Mapping[str, Any]:
    return await ask()
