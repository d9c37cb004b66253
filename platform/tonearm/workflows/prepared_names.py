"""Which data sets the home holds, told without reading one: light enough to answer a wrong name at once."""

from __future__ import annotations

from collections.abc import Iterable

from tonearm.core import home, storage
from tonearm.core.errors import ConfigError
from tonearm.core.plugins import has_own_code
from tonearm.core.registry import not_registered
from tonearm.core.text import command, slug

KINDS = ("artists", "cifar100", "fma", "folder", "playlists", "scores", "spotify")
"""Kinds of data sets that Tonearm brings; a test compares them with the registry, which imports them all."""


def manifest_uri(name: str) -> str:
    """Where a data set's manifest lies."""
    return storage.join(home.data_home(name), "manifest.parquet")


def unfinished_uri(name: str) -> str:
    """What is there while features of a data set are extracted and it is not prepared yet, or was not to its end."""
    return storage.join(home.data_home(name), "unfinished.json")


def prepared_name(dataset: str) -> str:
    """The name of a prepared data set as the home has it: as typed, or as names are made of folders (``Music`` is
    ``music``); "" if there is none."""
    return next((name for name in (dataset, slug(dataset)) if name and storage.exists(manifest_uri(name))), "")


def prepared_names() -> list[str]:
    """All prepared data sets."""
    return storage.list_folders(home.data_root())


def not_prepared(dataset: str, kinds: Iterable[str]) -> ConfigError:
    """The error for a data set that is not in the home, and is no kind that could be prepared now."""
    return ConfigError(
        f"there is no manifest of a data set {dataset!r} in {home.home()}; prepared are: "
        f"{', '.join(prepared_names()) or 'none'}. Prepare it with {command('extract')}, or give its kind and "
        f"the folder of its files; kinds are {', '.join(sorted(kinds))}"
    )


def require_kind(kind: str) -> None:
    """Check the kind of a data set, as far as that is known without the code of one's own that may add some.

    Raises
    ------
    UnknownNameError
        If it is unknown.
    """
    if kind not in KINDS and not has_own_code():
        raise not_registered("data set", kind, KINDS)


def require_dataset(dataset: str, data: str) -> None:
    """Check the data set of a job that takes a prepared one, or with ``--data`` the kind of one that it prepares.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    if data and dataset:
        require_kind(dataset)
    elif dataset and dataset not in KINDS and not prepared_name(dataset) and not has_own_code():
        raise not_prepared(dataset, KINDS)


def require_prepared(dataset: str) -> None:
    """Check that a data set was prepared in this home.

    Raises
    ------
    ConfigError
        If it was not.
    """
    if not prepared_name(dataset):
        known = ", ".join(prepared_names()) or "none"
        raise ConfigError(f"--dataset {dataset}: no such data set in {home.home()}; prepared are: {known}")
