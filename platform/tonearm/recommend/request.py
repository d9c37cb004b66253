"""What is asked of a recommender, as data; checked as a whole before anything is searched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray
from tonearm.recommend.filters import RECORDING, SAME, Condition, unlike, where_conditions
from tonearm.recommend.library import Library
from tonearm.recommend.seeds import Seeds, find_seeds
from tonearm.recommend.sliders import Slider, read_sliders

SHOWN = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """Seeds, and what the answer shall be like.

    Attributes
    ----------
    audio
        The embedding of a recording that is liked, (dim,); None without one.
    heard
        What is known of that recording: descriptors, predicted labels, by the names of the library's columns.
    own
        Rows of the library that hold the same recording: it is not recommended to itself.
    like, dislike
        Track ids.
    artists
        Names of artists that are liked, each by the mean of their tracks.
    taste
        Whether what is liked is a listener's taste, which may be of several kinds: each liked track votes, see
        :mod:`tonearm.recommend.taste`. Else all together are one point, between those that are liked.
    k
        How many tracks; fewer where there are no more.
    where
        Conditions by column, see :func:`tonearm.recommend.filters.where_conditions`.
    not_same
        Of ``artist`` and ``album``: what the answer shall not share with the seeds. Recordings it never shares. Of a
        recording in ``audio`` they are known if the library holds it.
    diversity
        0..1, see :func:`tonearm.recommend.diversity.diversify`.
    sliders
        By attribute, -1..1, see :func:`tonearm.recommend.sliders.read_sliders`.
    """

    audio: FloatArray | None = None
    heard: Mapping[str, Any] = field(default_factory=dict)
    own: tuple[int, ...] = ()
    like: tuple[str, ...] = ()
    dislike: tuple[str, ...] = ()
    artists: tuple[str, ...] = ()
    taste: bool = False
    k: int = SHOWN
    where: Mapping[str, Any] = field(default_factory=dict)
    not_same: tuple[str, ...] = ()
    diversity: float = 0.0
    sliders: Mapping[str, float] = field(default_factory=dict)

    @property
    def apart(self) -> tuple[str, ...]:
        """What the answer shares with no seed."""
        return (RECORDING, *(name for name in SAME if name in self.not_same and name != RECORDING))


def checked(library: Library, request: Request) -> tuple[Seeds, list[Slider], list[Condition]]:
    """The seeds of a request, its sliders, and the conditions on its answer, if it can be answered.

    Raises
    ------
    ConfigError
        All that is wrong, a sentence each: an empty library, ids and names that it does not hold (with near ones), a
        track that is liked and disliked, values out of range.
    """
    if not len(library):
        raise ConfigError("the catalogue is empty: nothing can be recommended from it")
    sliders, problems = read_sliders(library, request.sliders)
    conditions, unclear = where_conditions(library, request.where)
    problems += [*unclear, *_problems(request)]
    if request.audio is not None:
        problems += _vector_problems(request.audio, library.dim)
    seeds, unknown = find_seeds(library, request.like, request.dislike, request.artists)
    problems += unknown
    if problems:
        raise ConfigError(problems)
    return seeds, sliders, [*conditions, *unlike(library, (*seeds.rows, *request.own), request.apart)]


def _problems(request: Request) -> list[str]:
    found = []
    if not isinstance(request.k, int) or isinstance(request.k, bool) or request.k < 1:
        found.append(f"k is {request.k!r}: how many tracks, at least 1")
    if isinstance(request.diversity, bool) or not isinstance(request.diversity, int | float):
        found.append(f"diversity is {request.diversity!r}: it must be 0 to 1")
    elif not 0 <= request.diversity <= 1:
        found.append(f"diversity is {request.diversity:g}: it must be 0 to 1")
    strange = [name for name in request.not_same if name not in SAME]
    if strange:
        found.append(f"not_same holds {strange}: it may name {', '.join(SAME)}")
    if request.audio is None and not request.like and not request.artists:
        found.append("nothing is liked: give a recording, track ids or artists to begin with")
    both = sorted(set(request.like) & set(request.dislike))
    if both:
        found.append(f"{both} are liked and disliked: decide")
    for name in ("like", "dislike", "artists"):
        given: Sequence[str] = getattr(request, name)
        repeated = sorted(i for i, times in Counter(given).items() if times > 1)
        if repeated:
            found.append(f"{name} names {repeated} more than once: each counts once")
    return found


def _vector_problems(vector: FloatArray, dim: int) -> list[str]:
    if vector.shape != (dim,):
        return [f"the query has shape {vector.shape}, the catalogue {dim} dimensions: use the model it was made with"]
    if not np.isfinite(vector).all() or not vector.any():
        return ["the query is no direction: it holds NaN or nothing but zeros"]
    return []
