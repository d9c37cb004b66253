"""How good recommendations are for artists on whom nothing was trained: their recordings are placed in a space of known
artists, and those that are near should be the related ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from math import comb

import numpy as np

from tonearm.core.types import FloatArray
from tonearm.core.unit_length import unit_length
from tonearm.recommend.contest import Contest
from tonearm.recommend.lists import ListQuality, score_lists
from tonearm.recommend.systems import at_random, most_popular, nearest_vectors
from tonearm.statistics.intervals import Interval

CHANCE, POPULAR, TABLE = "chance", "popular artists", "own vectors by relations"
FOLDED_IN = "mean of related artists"
#: What is known of unknown artists, where a table learned from their relations, and where it did not.
LEARNED = (
    f"no network was trained on these artists' recordings; the table was, on their relations: {TABLE!r}, and the known "
    "artists' places, were learned from what is sought"
)
HELD_OUT = (
    "neither table nor networks were trained on these artists' relations or recordings; what is sought is known to "
    f"{FOLDED_IN!r} alone, which is no recommender but how well places by relations could do"
)
FEWEST = 2  # artists that can be asked with: an interval needs as many


def hold_cold_start(
    names: Sequence[str], vectors: FloatArray, related: np.ndarray, unknown: Collection[int],
    placed: Mapping[str, Mapping[int, FloatArray]], k: int = 10, held_out: bool = False,
) -> Contest | None:  # fmt: skip
    """Recommend ``k`` known artists to each unknown one by its place, and by other ways; what is right is related.

    Parameters
    ----------
    names
        Of the artists, in the order of the rows.
    vectors
        Their vectors, float (artists, dim); of those that have none any number, where they are ``unknown``.
    related
        Rows of the artists that are related to each, (artists, most), -1 where there are fewer.
    unknown
        Rows of artists on whom no network was trained. They are asked with, and never recommended.
    placed
        By the name of a system the place that it gives to some of them, (dim,), by their rows. What is compared are
        the artists that all systems have placed.
    held_out
        Whether the vectors were learned without their relations, so that their own are folded in by these.

    Returns
    -------
    Contest | None
        With what needs no place beside: what is expected of artists drawn at random, those that most known artists are
        related to, and what the unknown ones' own vectors find, which were learned from the relations themselves or,
        ``held_out``, are the mean of those to whom they are related. None where fewer than two artists can be asked
        with.
    """
    known = np.ones(len(names), dtype=bool)
    known[list(unknown)] = False
    right = {row: frozenset(int(r) for r in related[row] if r >= 0 and known[r]) for row in sorted(unknown)}
    asked = [row for row, own in right.items() if own and all(row in places for places in placed.values())]
    if len(asked) < FEWEST or known.sum() < FEWEST:
        return None
    queries, k = np.array(asked), min(k, int(known.sum()))
    unit = unit_length(np.asarray(vectors, np.float32))

    def score(lists: np.ndarray) -> ListQuality:
        return score_lists(lists, queries, [right[row] for row in asked], unit, [names[row] for row in asked])

    systems = {}
    for name, places in placed.items():
        space = unit.copy()
        space[asked] = unit_length(np.stack([places[row] for row in asked]))
        systems[name] = score(nearest_vectors(space, queries, lambda row: known, k))
    systems[FOLDED_IN if held_out else TABLE] = score(nearest_vectors(unit, queries, lambda row: known, k))
    often = np.bincount(related[known][related[known] >= 0], minlength=len(names)).astype(np.float64)
    systems[POPULAR] = score(most_popular(often, queries, lambda row: known, k))
    random = score(at_random(queries, len(names), lambda row: known, k))
    systems[CHANCE] = _expected(random, [len(right[row]) for row in asked], int(known.sum()), k)
    return Contest("cold_start", k, len(queries), int(known.sum()), systems, f"{k} known artists for an unknown one",
                   HELD_OUT if held_out else LEARNED)  # fmt: skip


def _expected(random: ListQuality, sizes: Sequence[int], rows: int, k: int) -> ListQuality:
    """Of lists drawn at random what is expected, in place of what one draw has found."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    ndcg = [size / rows * discount.sum() / discount[: min(size, k)].sum() for size in sizes]
    hit = [1 - comb(rows - size, k) / comb(rows, k) for size in sizes]
    recall, ndcg_mean, hit_rate = (float(np.mean(values)) for values in ([k / rows], ndcg, hit))
    return dataclasses.replace(random, recall=_exactly(recall), ndcg=_exactly(ndcg_mean), hit_rate=_exactly(hit_rate))


def _exactly(value: float) -> Interval:
    return Interval(value, value, value)
