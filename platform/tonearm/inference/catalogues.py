"""The catalogues of a model: the one that it was registered with, and those made later, of a library that grew.

::

    catalogue/                         as registered
    catalogues/000002-5f0c19aa/        made later; the highest number counts, of those whose description is written

A catalogue never changes: a reader sees the old one or the new one, whenever writing is cut off.
"""

from __future__ import annotations

import tempfile
import uuid

from tonearm.core import storage
from tonearm.core.best_effort import best_effort
from tonearm.core.descriptions import read_description
from tonearm.core.errors import BundleError
from tonearm.recommend.index import DESCRIPTION, FORMAT_VERSION, CatalogueIndex

CATALOGUE = "catalogue"  # folder in a bundle
LATER = "catalogues"


def newest_catalogue(folder: str) -> str:
    """Where the catalogue of a bundle lies that counts: the last that is whole, or would lie as registered."""
    name = _newest(folder)
    return storage.join(folder, LATER, name) if name else storage.join(folder, CATALOGUE)


def save_to_register(folder: str, index: CatalogueIndex) -> None:
    """Write the catalogue of a bundle that is to be registered: those that were added to an earlier one are removed."""
    for name in _later(folder):
        _remove(storage.join(folder, LATER, name))
    index.save(storage.join(folder, CATALOGUE))


def add_to_folder(folder: str, index: CatalogueIndex) -> None:
    """Add a catalogue to a bundle in a folder or URI; the last one stays, as somebody may read it."""
    old, name = _older(folder), _next(folder)
    index.save(storage.join(folder, LATER, name))
    for other in old:
        best_effort(f"the room of the old catalogue {other}", _remove, storage.join(folder, LATER, other))


def add_to_registered(uri: str, folder: str, index: CatalogueIndex) -> str:
    """Add a catalogue to a registered version; the folder of its bundle as it is now.

    Parameters
    ----------
    uri
        ``models:/NAME/VERSION``.
    folder
        Of its bundle, as it was fetched.
    """
    from tonearm.tracking.model_files import add_to_model, remove_from_model  # lazy: folders need no MLflow
    from tonearm.tracking.query import download_model

    old = _older(folder)
    with tempfile.TemporaryDirectory() as scratch:
        index.save(scratch)
        add_to_model(uri, scratch, f"{LATER}/{_next(folder)}", last=DESCRIPTION)
    for name in old:
        best_effort(f"the room of the old catalogue {name}", remove_from_model, uri, f"{LATER}/{name}")
    return download_model(uri)


def _later(folder: str) -> list[str]:
    """The names of those made later, also where writing was cut off, by their numbers."""
    found = storage.list_folders(storage.join(folder, LATER))
    return [name for name in found if name.partition("-")[0].isdecimal()]


def _newest(folder: str) -> str:
    """The last one made later that is whole; "" if there is none."""
    for name in reversed(_later(folder)):
        try:
            read_description(storage.join(folder, LATER, name), DESCRIPTION, (FORMAT_VERSION,), "")
        except BundleError:
            continue  # writing it was cut off
        return name
    return ""


def _older(folder: str) -> list[str]:
    """Those before the last one that is whole. What comes behind it another process may be writing."""
    newest = _newest(folder)
    return [name for name in _later(folder) if name < newest]


def _next(folder: str) -> str:
    """The name of one more; two that are written at a time have two names."""
    number = max((int(name.partition("-")[0]) for name in _later(folder)), default=1) + 1
    return f"{number:06d}-{uuid.uuid4().hex[:8]}"


def _remove(place: str) -> None:
    files = storage.list_files(place)
    for name in sorted(files, key=lambda name: name != DESCRIPTION):  # first: it is no catalogue any more
        storage.remove(storage.join(place, name))
    if storage.is_local(place):
        storage.local_path(place).rmdir()
