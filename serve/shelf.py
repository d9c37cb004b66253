"""What an ingress knows of a version of a model: whom to ask, and the library to recommend from; no network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from serve.versions import Version
from tonearm.core import storage
from tonearm.core.errors import BundleError

if TYPE_CHECKING:  # the driver, too, imports this, and needs no torch
    from tonearm.recommend.library import Library


class Shelf:
    """One version, its listeners, and its library.

    Parameters
    ----------
    version
        Which one.
    about
        What its listener says of itself.
    handle
        Its listeners, as Ray Serve calls them.
    """

    def __init__(self, version: Version, about: Mapping[str, Any], handle: Any) -> None:
        from tonearm.inference.made_catalogues import FollowedCatalogue

        self.version, self.about, self.handle = version, about, handle
        self.library: Library | None = None
        self.unread = False  # whether its catalogue is there and could not be read
        self.has_descriptors = False
        self._followed = FollowedCatalogue(about["bundle"], about["has_own_catalogue"])

    @property
    def key(self) -> str:
        """What an answer depends on of the model."""
        return f"{self.about['bundle']} {self.version.uri}"

    @property
    def signature(self) -> dict[str, str]:
        """What every answer says of the model."""
        return self.version.signature(self.about["bundle"])

    def look(self) -> None:
        """Take the library as it is now; what a request reads is changed at once, and not while it reads.

        Raises
        ------
        BundleError
            If the model's catalogues cannot be read: the library that was read before stays.
        """
        from tonearm.inference.described import has_descriptors

        made = self._followed.now()
        library = made if made is not None else self._own
        if library is not self.library:
            self.has_descriptors = library is not None and has_descriptors(library)
            self.library = library

    @cached_property
    def _own(self) -> Library | None:
        """The catalogue that the model was registered with; fetched, where the listener is on another machine."""
        from tonearm.inference.catalogues import newest_catalogue
        from tonearm.recommend.index import CatalogueIndex
        from tonearm.tracking.fetch import fetch_model

        if not self.about["has_own_catalogue"]:
            return None
        folder = str(self.about["folder"])
        if not storage.exists(folder):
            folder = fetch_model(self.version.uri)
            if not storage.exists(folder):
                raise BundleError(f"{self.version.name}: its bundle is not on this machine, and it is not registered")
        return CatalogueIndex.load(newest_catalogue(folder)).library


def state_of(library: Library) -> str:
    """What an answer of a library depends on: its place, and the number of its state."""
    from tonearm.recommend.catalogue import Catalogue

    return f"{library.uri}#{library.described.number}" if isinstance(library, Catalogue) else ""


def described(library: Library) -> dict[str, Any]:
    """Which catalogue a library is."""
    from tonearm.recommend.catalogue import Catalogue

    if not isinstance(library, Catalogue):
        return {"name": None, "kind": "track", "number": None}
    found = library.described
    return {"name": library.uri.rstrip("/").rsplit("/", 1)[-1], "kind": found.kind, "number": found.number}
