"""The one way from a request to its answer: seeds, conditions, search, sliders, diversity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.recommend.attributes import is_number
from tonearm.recommend.diversity import diversify
from tonearm.recommend.filters import RECORDING, allowed_rows
from tonearm.recommend.library import Library
from tonearm.recommend.request import Request, checked
from tonearm.recommend.seeds import Seeds, liked_vectors, query_of
from tonearm.recommend.sliders import Slider, slide
from tonearm.recommend.taste import vote

CANDIDATES = 200  # nearest ones among which sliders and diversity choose; twice k if that is more


@dataclass(frozen=True)
class Shift:
    """What a slider has to do with a result.

    Attributes
    ----------
    name, shift
        The attribute, and where the slider stands, -1..1.
    value, seed
        The result's own and the seeds' mean; None where it is not known.
    """

    name: str
    shift: float
    value: float | None
    seed: float | None


@dataclass(frozen=True)
class Ranked:
    """A result.

    Attributes
    ----------
    place
        Its row.
    similarity
        Its cosine to the query, -1..1; of a taste to the nearest that is liked.
    rank, rank_before
        From 1: where it stands, and where it would without sliders and diversity.
    shifts
        Of each slider.
    """

    place: int
    similarity: float
    rank: int
    rank_before: int
    shifts: tuple[Shift, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """An answer.

    Attributes
    ----------
    results
        In their order.
    seeds
        Rows that it began with.
    notes
        What a person should know of it: that there are no more, say.
    """

    results: tuple[Ranked, ...]
    seeds: Seeds
    notes: tuple[str, ...]

    @property
    def liked(self) -> list[int]:
        """Rows of the tracks that are liked, and of the artists'."""
        return [*self.seeds.liked, *(row for rows in self.seeds.artists for row in rows)]


def rank(library: Library, request: Request) -> Ranking:
    """Answer a request.

    Raises
    ------
    ConfigError
        If it cannot be answered: all that is wrong, or which condition leaves nothing.
    """
    seeds, sliders, conditions = checked(library, request)
    allowed = allowed_rows(conditions, len(library))
    liked = liked_vectors(library, seeds, request.audio)
    disliked = library.vectors(np.array(seeds.disliked, dtype=np.int64))
    queries = liked if request.taste else query_of(liked, disliked)[None]
    count = max(CANDIDATES, 2 * request.k)
    hits = [hit for query in queries for hit in library.search(query, count, allowed)]
    cosine_of: dict[int, float] = {}
    for hit in hits:
        cosine_of[hit.place] = max(hit.similarity, cosine_of.get(hit.place, -1.0))
    places, cosines = np.array(list(cosine_of), dtype=np.int64), np.array(list(cosine_of.values()))
    vectors = library.vectors(places)
    relevance = vote(liked, disliked, vectors, request.k) if request.taste else cosines
    rank_before = np.empty(len(places), dtype=np.int64)
    rank_before[np.argsort(-relevance, kind="stable")] = np.arange(1, len(places) + 1)
    chosen = diversify(slide(relevance, places, sliders), vectors, request.k, request.diversity)
    wanted = {s.name: _seed_value(s, seeds, request) for s in sliders}
    results = tuple(
        Ranked(int(places[i]), float(cosines[i]), place, int(rank_before[i]),
               tuple(Shift(s.name, s.shift, _known(s.values[places[i]]), wanted[s.name]) for s in sliders))
        for place, i in enumerate(chosen, start=1)
    )  # fmt: skip
    return Ranking(results, seeds, tuple(_notes(results, request, int(allowed.sum()))))


def _seed_value(slider: Slider, seeds: Seeds, request: Request) -> float | None:
    """The mean of an attribute over what is liked, of an artist over all tracks."""
    rows = [*seeds.liked, *(row for rows in seeds.artists for row in rows)]
    heard = request.heard.get(slider.name)
    values = np.array([*slider.values[rows], *([heard] if is_number(heard) else [])], dtype=np.float64)
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _notes(results: Sequence[Ranked], request: Request, allowed: int) -> list[str]:
    found = []
    apart = [name for name in request.not_same if name != RECORDING]
    if apart and request.audio is not None and not request.own:
        found.append("not_same leaves out nothing of the recording: the catalogue does not hold it")
    if len(results) < request.k:
        found.append(f"{request.k} were asked for, and {allowed} tracks may be recommended: these are all")
    for i, slider in enumerate(results[0].shifts if results else ()):
        lacking = sum(r.shifts[i].value is None for r in results)
        if lacking:
            found.append(f"{slider.name} of {lacking} of these is not known: it counts as usual")
    return found
