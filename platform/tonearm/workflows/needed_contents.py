"""Which recordings a home needs the features of: those of its data sets, sweeps and trainings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tonearm.core import home, storage
from tonearm.core.errors import DatasetError
from tonearm.core.text import command
from tonearm.datasets.content import content_digest
from tonearm.datasets.contradictions import CONTRADICTION
from tonearm.datasets.manifest import load_manifest, load_rejects
from tonearm.workflows.prepared_names import manifest_uri, unfinished_uri
from tonearm.workflows.set_aside import rejects_uri
from tonearm.workflows.trial_library import KEPT, kept_manifests

MANIFEST = "manifest.parquet"
REMEDY = "mount its disk, or delete it if it is not needed"


def needed_contents() -> set[str]:
    """The contents of all tracks of data sets, sweeps and trainings, and of files set aside but extracted.

    Raises
    ------
    DatasetError
        If it cannot be told: there is no data set, one is not finished, or something cannot be read, as on a disk that
        is not mounted.
    """
    found = set[str]()
    for name in readable_folders(home.data_root()):
        folder = storage.join(home.data_root(), name)
        if storage.is_local(folder) and not any(storage.local_path(folder).iterdir()):
            raise DatasetError(f"{folder} is empty: {REMEDY}")
        if storage.exists(unfinished_uri(name)):
            raise DatasetError(
                f"data set {name} was begun and not finished: prepare it again, or delete {unfinished_uri(name)}"
            )
        found.update(_set_aside(name))
        if KEPT in readable_folders(folder):  # from what was trained on them can be selected at any time
            found.update(t.content for uri in kept_manifests(name) for t in load_manifest(uri).tracks)
    names = list(_folders_with_manifest(home.data_root()))
    if not names:
        raise DatasetError(
            f"no data set in {home.data_root()} has a manifest; if none is to come, delete {home.features_home()}"
        )
    for name in names:
        found.update(t.content for t in load_manifest(manifest_uri(name)).tracks)
    for signature in _folders_with_manifest(home.trials_home()):
        manifest = storage.join(home.trials_home(), signature, MANIFEST)
        found.update(t.content for t in load_manifest(manifest).tracks)
    return found


def readable_folders(root: str) -> list[str]:
    """The names of the folders in a folder, sorted; an absent one holds none.

    Raises
    ------
    DatasetError
        If one of them, or the folder itself, cannot be read or is a link to nothing.
    """
    if not storage.is_local(root):
        return storage.list_folders(root)
    place, found = storage.local_path(root), []
    try:
        for path in sorted(place.iterdir()) if os.path.lexists(place) else ():
            if path.is_dir() or (path.is_symlink() and not path.exists()):
                os.listdir(path)  # noqa: PTH208  only whether it can be read
                found.append(path.name)
        if place.is_symlink() and not found:
            raise DatasetError(f"{root} is a link to a folder that holds none: {REMEDY}")
    except OSError as error:
        raise DatasetError(f"{error.filename} cannot be read ({error.strerror}): {REMEDY}") from None
    return found


def _folders_with_manifest(root: str) -> Iterator[str]:
    """The names of the folders in a folder that have a manifest; a link to one that has none is an error."""
    for name in readable_folders(root):
        folder = storage.join(root, name)
        if _is_there(storage.join(folder, MANIFEST)):
            yield name
        elif storage.is_local(folder) and storage.local_path(folder).is_symlink():
            raise DatasetError(f"{folder} is a link to a folder without a manifest: {REMEDY}")


def _is_there(uri: str) -> bool:
    """Whether a file is there; a link to nothing is an error."""
    if storage.is_local(uri) and storage.local_path(uri).is_symlink() and not storage.exists(uri):
        raise DatasetError(f"{uri} is a link to nothing: {REMEDY}")
    return storage.exists(uri)


def _set_aside(name: str) -> Iterator[str]:
    """Contents of recordings that are well, but contradict others: extracted, and compared anew each time."""
    rejects = load_rejects(rejects_uri(name)) if _is_there(rejects_uri(name)) else []
    for reject in rejects:
        if reject.reason != CONTRADICTION:
            continue
        if reject.key:
            yield reject.key
            continue
        try:  # of a table from before the content was kept
            if not storage.is_local(reject.source):
                raise OSError("it is not on this machine")
            yield content_digest(Path(storage.local_path(reject.source)))
        except OSError as error:
            raise DatasetError(
                f"{reject.source}, which data set {name} sets aside, cannot be read ({error.strerror or error}): mount "
                f"its disk, or prepare the data set again ({command('extract')})"
            ) from None
