"""Search spaces: each is a function without arguments that returns data. Found by name here, checked before use."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from search_spaces import (
    artists,
    cifar,
    danceability,
    demo,
    genre,
    playlists,
    questions,
    small_collection,
    tabular,
    temporal_pooling,
)
from tonearm.core.errors import ConfigError
from tonearm.core.registry import Registry
from tonearm.sweeps import SearchSpace

SPACES: Registry[Callable[[], SearchSpace]] = Registry("search space")
for _family in (
    demo, genre, cifar, artists, playlists, danceability, temporal_pooling, tabular, small_collection, questions
):  # fmt: skip
    for _name, _space in _family.SPACES.items():
        SPACES.add(_name, _space)


def find_space(name: str) -> SearchSpace:
    """A search space of ours by its name, or of yours by its place, ``package.module:function``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if ":" not in name:
        return SPACES[name]()
    module, _, function = name.partition(":")
    try:
        space = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"no search space {name!r}: {error}; name a module that Python finds from here") from error
    if not isinstance(space, SearchSpace):
        raise ConfigError(f"{name!r} gives a {type(space).__name__}, a search space is needed")
    return space
