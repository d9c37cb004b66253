"""The catalogues that were made of libraries for a model, and which of them counts.

::

    catalogues/<model>/<name>/     in the home; the model by a digest of its bundles

Of a model's catalogues the one of tracks that changed last counts, or the one that ``TONEARM_CATALOGUE`` names, of
whatever kind.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from tonearm.core import home, storage
from tonearm.core.errors import BundleError
from tonearm.recommend.catalogue import DESCRIPTION, Catalogue, read_catalogue

CHOSEN = home.CATALOGUE
SECONDS_BETWEEN_LOOKS = 1.0

logger = logging.getLogger(__name__)


def catalogue_uri(model: str, name: str) -> str:
    """Where a catalogue of a model lies, by the model's digest."""
    return storage.join(home.catalogues_home(), model, name)


def made_catalogues(model: str) -> list[str]:
    """The catalogues of a model, of whatever kind, the one that changed last first."""
    names = storage.list_folders(storage.join(home.catalogues_home(), model))
    uris = [catalogue_uri(model, name) for name in names]
    there = [uri for uri in uris if storage.exists(storage.join(uri, DESCRIPTION))]
    return sorted(there, key=lambda uri: storage.modified(storage.join(uri, DESCRIPTION)) or 0.0, reverse=True)


def served_catalogues(model: str) -> list[str]:
    """Those that a model may recommend from, the one that counts first: the others do where it cannot be read.

    They are those of tracks, and those that cannot be read, of which nobody knows; or the one that is named.

    Raises
    ------
    BundleError
        If ``TONEARM_CATALOGUE`` names one that is not there.
    """
    there, wanted = made_catalogues(model), os.environ.get(CHOSEN, "")
    if not (there and wanted):
        return [uri for uri in there if _kind(uri) in ("track", "")]
    named = [uri for uri in there if uri == catalogue_uri(model, wanted)]
    if not named:
        names = ", ".join(sorted(uri.rpartition("/")[2] for uri in there))
        raise BundleError(f"{CHOSEN} is {wanted!r}, but the model's catalogues are {names}: name one of them")
    return named


def _kind(uri: str) -> str:
    """What a catalogue's rows are; "" if it cannot be read."""
    try:
        return read_catalogue(uri).kind
    except (BundleError, OSError):
        return ""


class FollowedCatalogue:
    """The catalogue of a model that counts now, looked for once a second at most; threads may ask at a time.

    Parameters
    ----------
    model
        Digest of the model.
    has_own
        Whether the model was registered with one, which is recommended from where none of these can be read.
    """

    def __init__(self, model: str, has_own: bool = False) -> None:
        self._model, self._has_own, self._lock = model, has_own, threading.Lock()
        self._catalogue: Catalogue | None = None
        self._looked, self._told = -SECONDS_BETWEEN_LOOKS, list[str]()

    def now(self) -> Catalogue | None:
        """The catalogue; None if there is none. One that cannot be read is told in the log: its last state that could
        be stays, or the next one counts.

        Raises
        ------
        BundleError
            If none can be read, and the model has none of its own, or the one that is named cannot.
        """
        with self._lock:
            if time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS:
                errors = list[Exception]()
                self._catalogue = self._newest(errors)
                if errors and self._catalogue is None and not (self._has_own and not os.environ.get(CHOSEN)):
                    raise errors[0]
                self._tell([str(error) for error in errors])
                self._looked = time.monotonic()
            return self._catalogue

    def _newest(self, errors: list[Exception]) -> Catalogue | None:
        """The first that can be read, and what is wrong with those before it."""
        try:
            served = served_catalogues(self._model)
        except (BundleError, OSError) as error:
            errors.append(error)
            return self._catalogue
        for uri in served:
            last = self._catalogue if self._catalogue is not None and self._catalogue.uri == uri else None
            try:
                return Catalogue.open(uri, self._model) if last is None else last.refresh()
            except (BundleError, OSError) as error:
                errors.append(error)
                if last is not None:
                    return last
        return None

    def _tell(self, errors: list[str]) -> None:
        if errors and errors != self._told:
            counts = "the model's own" if self._catalogue is None else self._catalogue.uri
            logger.error("the catalogue stays as it was, or another one counts, %s: %s", counts, "; ".join(errors))
        self._told = errors
