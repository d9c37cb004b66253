"""From a request to its answer: one function for Python, HTTP and the commands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tonearm.core.errors import ConfigError
from tonearm.inference.described import Described, rows_of
from tonearm.inference.recommendation import Recommendation, Recommended, Way, WayStep
from tonearm.recommend.filters import allowed_rows, where_conditions
from tonearm.recommend.library import Library, require_query
from tonearm.recommend.path import Step, find_path
from tonearm.recommend.rank import rank
from tonearm.recommend.reasons import Comparison, merged
from tonearm.recommend.request import Request

if TYPE_CHECKING:  # who answers by id needs no network, and no torch
    from tonearm.inference.classification import Classification
    from tonearm.inference.pairs import Listener


def recommend(
    library: Library,
    request: Request,
    recording: Described | None = None,
    classification: Classification | None = None,
    listener: Listener | None = None,
) -> Recommendation:
    """Answer a request, which may begin with a recording.

    Parameters
    ----------
    library
        Of the model's space.
    request
        Without ``audio``, ``heard`` and ``own``, which are made of the recording.
    recording
        What is asked with.
    classification
        What it is: kept beside the answer.
    listener
        Who tells the windows that are most alike; None: nobody can.

    Raises
    ------
    BundleError
        If the library is of another model.
    ConfigError
        If the request cannot be answered: all that is wrong.
    """
    if recording is not None:
        require_query(recording.embedding, library.dim)
        own = rows_of(recording.contents, library)
        request = dataclasses.replace(request, audio=recording.embedding, heard=recording.known_to(library), own=own)
    ranking = rank(library, request)
    known_rows = [library.row(row) for row in ranking.liked]
    compared = Comparison(library, merged([*([request.heard] if recording is not None else []), *known_rows]))
    results = tuple(
        Recommended(library.row(r.place), r.similarity, r.rank, r.rank_before, r.shifts, compared.reasons(r.place))
        for r in ranking.results
    )
    pair = None if listener is None else listener.pairs(library, ranking)
    return Recommendation(results, ranking.notes, classification, pair)


def find_way(library: Library, a: str, b: str, n: int, where: Mapping[str, Any] | None = None) -> Way:
    """The way from one track of a library to another by ``n`` others: :func:`tonearm.recommend.path.find_path`.

    Parameters
    ----------
    a, b
        Track ids.
    where
        Conditions on the tracks between.

    Raises
    ------
    ConfigError
        If an id is unknown, or there is no such way.
    """
    start, end = library.place(a), library.place(b)
    conditions, problems = where_conditions(library, where or {})
    if problems:
        raise ConfigError(problems)
    between = find_path(library, start, end, n, allowed_rows(conditions, len(library)))
    steps = [Step(start, 0.0, 0.0), *between, Step(end, 1.0, 0.0)]
    return Way(tuple(WayStep(library.row(s.place), s.progress, s.distance) for s in steps))
