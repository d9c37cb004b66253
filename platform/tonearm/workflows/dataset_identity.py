"""A data set is its name, its root and its label: another one under a name that is taken is refused."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from tonearm.core import storage
from tonearm.core.errors import ConfigError, DatasetError
from tonearm.core.remote_path import is_remote_folder
from tonearm.core.text import slug
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.manifest import Manifest, load_manifest
from tonearm.workflows.prepared_names import manifest_uri, prepared_names

MOVED = 0.5
"""A library whose old place is gone is the same one if this share of its recordings is in the new place."""


def identity_root(data: DatasetConfig) -> str:
    """The place of a data set's files as its identity has it; "" for what Tonearm makes in its own home."""
    root = data.root
    if not root or root == data.default_root():
        return ""
    return str(storage.local_path(root).resolve()) if storage.is_local(root) else root.rstrip("/")


def require_own_name(catalogue: Catalogue) -> None:
    """Check that a data set may be stored under its name: nothing is there, or the same data set.

    What was only extracted, without a split, has trained nothing and gives way to any label of its root. A library that
    moved is the same one.

    Raises
    ------
    ConfigError
        If another library or another label has the name; the message says how to give it another.
    """
    uri = manifest_uri(catalogue.name)
    if not storage.exists(uri):
        _require_no_alike(catalogue.name)
        return
    try:
        there = load_manifest(uri)
    except DatasetError:  # damaged: to be made again
        return
    other_root = bool(catalogue.root) and not _same_root(there, catalogue)
    other_label = there.label != catalogue.label and any(t.split for t in there.tracks)
    if not other_root and not other_label:
        return
    own = slug(catalogue.label) if not other_root else slug(Path(catalogue.root).parent.name)
    example = f"{catalogue.name}-{own or 2}"
    raise ConfigError(
        f"the name {catalogue.name!r} is taken by the data set of {there.root or 'other files'}, label "
        f"{there.label!r}; this is {catalogue.root or 'another one'}, label {catalogue.label!r}, and would replace it, "
        f"its report and its champion. Give this one a name of its own, as in --name {example} (name={example!r})"
    )


def _require_no_alike(name: str) -> None:
    """Check that no prepared data set has a name that is the same but for the case or form of letters."""
    for other in prepared_names():
        if other != name and _folded(other) == _folded(name) and storage.exists(manifest_uri(other)):
            raise ConfigError(
                f"the name {name!r} differs in the case or form of letters alone from the data set {other!r}: use that "
                f"name for the same one, or another, as in --name {slug(name)}-2"
            )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _same_root(there: Manifest, catalogue: Catalogue) -> bool:
    if there.root == catalogue.root:
        return True
    if not there.root:  # written before roots were kept
        below = [t for t in there.tracks if not t.source or t.source.startswith(catalogue.root.rstrip("/") + "/")]
        return bool(below) or _is_moved(there, catalogue)
    local = storage.is_local(there.root)
    is_there = storage.local_path(there.root).exists() if local else is_remote_folder(there.root)
    return not is_there and _is_moved(there, catalogue)


def _is_moved(there: Manifest, catalogue: Catalogue) -> bool:
    known = {t.content for t in there.tracks}
    return len(known & {t.content for t in catalogue.tracks}) >= MOVED * len(known)
