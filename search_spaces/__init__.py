"""Search spaces: each is a function without arguments that returns data. Found by name here, checked before use."""

from __future__ import annotations

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
from tonearm.core.registry import Registry
from tonearm.sweeps import SearchSpace

SPACES: Registry[Callable[[], SearchSpace]] = Registry("search space")
for _family in (
    demo, genre, cifar, artists, playlists, danceability, temporal_pooling, tabular, small_collection, questions
):  # fmt: skip
    for _name, _space in _family.SPACES.items():
        SPACES.add(_name, _space)
