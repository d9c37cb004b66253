"""Tracks that a search begins with, and the point that they stand for.

References
----------
Rocchio 1971, *Relevance Feedback in Information Retrieval*; the weights are those of Salton and Buckley 1990,
*Improving Retrieval Performance by Relevance Feedback*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.text import list_examples
from tonearm.core.types import FloatArray
from tonearm.core.unit_length import unit_length
from tonearm.recommend.attributes import texts
from tonearm.recommend.library import ID, LONGEST, Library, near_names

AWAY = 1 / 3
"""How much what is disliked counts beside what is liked: 0.25 to 0.75."""

HINTS = 3  # unknown ids, and artists, for which near ones are told


@dataclass(frozen=True)
class Seeds:
    """The rows of a library that a request begins with.

    Attributes
    ----------
    liked, disliked
        Rows of single tracks.
    artists
        For each artist that is liked, the rows of all their tracks.
    """

    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()
    artists: tuple[tuple[int, ...], ...] = ()

    @property
    def rows(self) -> tuple[int, ...]:
        """All of them, once each, sorted."""
        return tuple(sorted({*self.liked, *self.disliked, *(row for rows in self.artists for row in rows)}))


def find_seeds(
    library: Library, like: Sequence[str], dislike: Sequence[str], artists: Sequence[str]
) -> tuple[Seeds, list[str]]:
    """The rows of tracks and artists, and a sentence on each that the library does not hold, with near ones."""
    problems: list[str] = []
    more: list[str] = []  # unknown ids for which none that are near are sought: that takes a look at all

    @cache
    def ids() -> set[str]:
        column = library.column(ID)
        return set() if column is None else set(column)

    def row(track_id: str) -> int:
        if len(problems) >= HINTS and track_id not in ids():
            more.append(track_id)
            return -1
        try:
            return library.place(track_id)
        except ConfigError as error:
            problems.extend(error.problems)
            return -1

    liked, disliked = [row(i) for i in like], [row(i) for i in dislike]
    problems += _more("ids", more)
    by_artist: list[tuple[int, ...]] = []
    if artists:
        rows_of: dict[str, list[int]] = {}
        names: dict[str, str] = {}
        column = library.column("artist")
        for i, cell in enumerate(() if column is None else column):
            for text in texts(cell):
                rows_of.setdefault(text, []).append(i)
                names.setdefault(text, str(cell))
        unknown = []
        for artist in artists:
            rows = [r for text in texts(artist) for r in rows_of.get(text, ())]
            by_artist.append(tuple(rows))
            if not rows:
                unknown.append(artist)
        problems += [_unknown_artist(artist, sorted(names.values())) for artist in unknown[:HINTS]]
        problems += _more("artists", unknown[HINTS:])
    return Seeds(tuple(liked), tuple(disliked), tuple(by_artist)), problems


def _unknown_artist(artist: str, known: Sequence[str]) -> str:
    near = near_names(artist, known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown artist {artist[:LONGEST]!r}.{hint} The catalogue holds {len(known)} artists"


def _more(what: str, unknown: Sequence[str]) -> list[str]:
    shown = list_examples([repr(name[:LONGEST]) for name in unknown])
    return [f"{what} that are not in the catalogue either: {shown}"] if unknown else []


def liked_vectors(library: Library, seeds: Seeds, audio: FloatArray | None) -> FloatArray:
    """A unit vector for each that is liked, float32 (liked, dim): the recording, tracks, the mean of an artist's."""
    parts = [] if audio is None else [unit_length(audio)]
    parts += list(library.vectors(np.array(seeds.liked, dtype=np.int64))) if seeds.liked else []
    parts += [unit_length(library.vectors(np.array(rows, dtype=np.int64)).mean(axis=0)) for rows in seeds.artists]
    return np.stack(parts)


def query_of(liked: FloatArray, disliked: FloatArray) -> FloatArray:
    """The unit vector that stands for what is liked: mean(liked) - :data:`AWAY` · mean(disliked), float32 (dim,).

    Raises
    ------
    ConfigError
        If they cancel each other.
    """
    point = liked.mean(axis=0, dtype=np.float64)
    if len(disliked):
        point = point - AWAY * disliked.mean(axis=0, dtype=np.float64)
    if np.linalg.norm(point) < 1e-6:
        raise ConfigError("what is liked and disliked points nowhere together: leave some out, or ask for a taste")
    return unit_length(point)
