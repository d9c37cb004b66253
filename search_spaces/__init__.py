"""Search spaces: each is a function without arguments that returns data. Importing this registers them."""

from __future__ import annotations

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
from tonearm.sweeps.find import SPACES, find_space

__all__ = ["SPACES", "find_space"]

for _family in (
    demo, genre, cifar, artists, playlists, danceability, temporal_pooling, tabular, small_collection, questions
):  # fmt: skip
    for _name, _space in _family.SPACES.items():
        SPACES.add(_name, _space)
