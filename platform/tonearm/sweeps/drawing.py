"""Random settings of a space as a sequence that grows: the first ten of twenty are those of ten."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tonearm.sweeps.domains import Choice, Domain, Integers

MOST_DRAWS = 64  # of each distinct setting, before those that are left are taken in their order


def draw(over: Mapping[str, Domain], count: int, seed: int) -> list[dict[str, Any]]:
    """So many settings, none twice; fewer, where the space has fewer.

    The points are those of a scrambled Sobol sequence (Owen 1998), of which every part of a range has about equally
    many, however many are taken. Of the options of a choice each run of as many settings as there are options has every
    one once, in the order of the sequence.

    Parameters
    ----------
    seed
        Of the scrambling.
    """
    distinct = math.prod(_size(domain) for domain in over.values())
    wanted = int(min(count, distinct))
    found: list[dict[str, Any]] = []
    drawn = 0
    while len(found) < wanted and drawn < MOST_DRAWS * count:
        drawn = 2 * drawn or max(16, 2 ** math.ceil(math.log2(count)))
        found = _distinct(_settings(over, drawn, seed), wanted)
    if len(found) < wanted:  # few are left, which chance seldom meets
        found = _distinct([*found, *_all(over)], wanted)
    return found


def _settings(over: Mapping[str, Domain], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """The first settings of the sequence."""
    longest = max((len(d.options) for d in over.values() if isinstance(d, Choice)), default=1)
    points = _sobol(max(1, len(over)), count + longest, seed)
    places = [_ranked(points[:, i], len(d.options)) if isinstance(d, Choice) else points[:, i]
              for i, d in enumerate(over.values())]  # fmt: skip
    for row in range(count):
        yield {path: domain.at(float(places[i][row])) for i, (path, domain) in enumerate(over.items())}


def _sobol(dimensions: int, least: int, seed: int) -> np.ndarray:
    """At least so many points of the sequence, shape (points, dimensions), within 0 and 1."""
    from scipy.stats import qmc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that fewer than a power of two are less balanced
        points: np.ndarray = qmc.Sobol(d=dimensions, scramble=True, rng=seed).random(2 ** math.ceil(math.log2(least)))
    return points


def _ranked(points: np.ndarray, options: int) -> np.ndarray:
    """The middles of ``options`` equal parts, in each run of so many points every one once, in the points' order."""
    whole = points[: len(points) // options * options].reshape(-1, options)
    ranks = np.argsort(np.argsort(whole, axis=1, kind="stable"), axis=1, kind="stable")
    middles: np.ndarray = (ranks.reshape(-1) + 0.5) / options
    return middles


def _distinct(settings: Sequence[dict[str, Any]] | Iterator[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The first of equal settings, at most so many."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for values in settings:
        if len(found) == most:
            break
        found.setdefault(tuple(repr(v) for v in values.values()), values)
    return list(found.values())


def _size(domain: Domain) -> float:
    if isinstance(domain, Choice):
        return len(domain.options)
    return domain.high - domain.low + 1 if isinstance(domain, Integers) else math.inf


def _all(over: Mapping[str, Domain]) -> Iterator[dict[str, Any]]:
    options = [d.options if isinstance(d, Choice) else range(int(d.low), int(d.high) + 1) for d in over.values()]
    for values in itertools.product(*options):
        yield dict(zip(over, values, strict=True))
