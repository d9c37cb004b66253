"""How good neighbours are, compared with random ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from tonearm.core.errors import ConfigError
from tonearm.recommend.index import CatalogueIndex


@dataclass(frozen=True)
class HitRate:
    """Of ``queries`` tracks, with the same figures for neighbours drawn at random.

    Attributes
    ----------
    at_least_one
        Share of queries with a neighbour of their own kind among the first k.
    precision
        Mean share of the first k that are of the query's own kind.
    """

    k: int
    queries: int
    at_least_one: float
    precision: float
    chance_at_least_one: float
    chance_precision: float


def hit_rate(index: CatalogueIndex, field: str, queries: Sequence[str], k: int = 5) -> HitRate:
    """Whether a track's neighbours share a field with it, e.g. ``label`` or ``artist``.

    Parameters
    ----------
    index
        Holds the queries too; a query is never its own neighbour.
    field
        What must agree; queries whose value no other track has are left out, since nothing could be hit.
    queries
        Track ids.

    Raises
    ------
    ConfigError
        If no query can be evaluated, a query is not in the catalogue, or there are fewer than ``k`` other tracks.
    """
    rows = {t["track_id"]: (i, t.get(field)) for i, t in enumerate(index.tracks)}
    sizes = Counter(value for _, value in rows.values() if value is not None)
    unknown = sorted(set(queries) - set(rows))
    if unknown:
        raise ConfigError(f"queries {unknown[:5]} are not in the catalogue: ask for tracks that it holds")
    if not 1 <= k < len(index.tracks):
        raise ConfigError(f"k is {k}: a query of {len(index.tracks)} tracks has 1 to {len(index.tracks) - 1} others")
    answerable = [q for q in queries if rows[q][1] is not None and sizes[rows[q][1]] > 1]
    if not answerable:
        raise ConfigError(f"no query shares its {field!r} with another track: there is nothing to measure")
    others = len(index.tracks) - 1
    hit = precision = chance = chance_precision = 0.0
    for query in answerable:
        i, value = rows[query]
        found = index.search(index.vectors[i], k, exclude=query)
        hits = sum(n.track.get(field) == value for n in found)
        same = sizes[value] - 1
        hit += hits > 0
        precision += hits / k
        chance += 1 - comb(others - same, k) / comb(others, k)
        chance_precision += same / others
    n = len(answerable)
    return HitRate(k, n, hit / n, precision / n, chance / n, chance_precision / n)
