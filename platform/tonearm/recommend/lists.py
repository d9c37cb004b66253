"""How good lists of recommendations are: what they find, how much of the catalogue they reach, how they vary.

References
----------
Järvelin and Kekäläinen 2002, *Cumulated Gain-Based Evaluation of IR Techniques*; Vargas and Castells 2011, *Rank and
Relevance in Novelty and Diversity Metrics for Recommender Systems*; Ge, Delgado-Battenfeld and Jannach 2010, *Beyond
Accuracy: Evaluating Recommender Systems by Coverage and Serendipity*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray
from tonearm.statistics.intervals import Interval, bootstrap_interval

Lists = npt.NDArray[np.int64]
"""(queries, k), rows of the catalogue in the order in which they are recommended, -1 where there are fewer."""


@dataclass(frozen=True)
class ListQuality:
    """How good the lists of one system are; means over the queries.

    Attributes
    ----------
    recall
        Share of a query's relevant rows that are in its list.
    ndcg
        Discounted gain of the list, 1 / log2(1 + place) a hit, over the most that is possible.
    hit_rate
        Share of queries with a relevant row in their list.
    cosine
        Mean cosine of what is recommended to its query, -1..1.
    coverage
        Share of the catalogue that is in any list; the rest is never recommended.
    gini
        Of how often each row is recommended: 0 if all are equally often, nearly 1 if it is always the same.
    diversity
        Mean of 1 - cosine over the pairs of a list.
    novelty
        Mean of -log2(share of listeners) of what is recommended, bits; None where nobody's plays are known.
    """

    recall: Interval
    ndcg: Interval
    hit_rate: Interval
    cosine: float
    coverage: float
    gini: float
    diversity: float
    novelty: float | None = None

    @property
    def never(self) -> float:
        """Share of the catalogue that is in no list."""
        return 1 - self.coverage


def score_lists(
    lists: Lists, queries: npt.NDArray[np.int64], relevant: Sequence[frozenset[int]], vectors: FloatArray,
    groups: Sequence[str], listeners: npt.NDArray[np.float64] | None = None, seed: int = 0, resamples: int = 1000,
    judged: npt.NDArray[np.bool_] | None = None,
) -> ListQuality:  # fmt: skip
    """Score the lists of one system.

    Parameters
    ----------
    queries
        (queries,), the row of each, which is in no list.
    relevant
        Of each query the rows that are right, at least one.
    vectors
        (rows, dim), unit length: the space in which ``cosine`` and ``diversity`` are measured, the same of all systems.
    groups
        Of each query, whose intervals are drawn by it: an artist's tracks are no independent queries.
    listeners
        (rows,), the share of listeners that know a row, 0..1. One whom nobody knows counts as half of one who is known
        the least.
    seed, resamples
        Of the bootstrap.
    judged
        (queries,), of which queries recall, nDCG, hit rate and cosine are taken, such as those that the model did not
        learn from; None: all. What a catalogue shows is always that of all.

    Raises
    ------
    ConfigError
        If shapes do not fit, a query has nothing relevant, or all are of one group.
    """
    if not len(queries) == len(lists) == len(relevant) == len(groups):
        raise ConfigError(
            f"{len(lists)} lists, {len(queries)} queries, {len(relevant)} sets of relevant rows, {len(groups)} groups: "
            "give one a query"
        )
    if not all(relevant):
        raise ConfigError("a query has no relevant row, so nothing can be found for it: leave it out")
    found = np.array([[row in right for row in own.tolist()] for own, right in zip(lists, relevant, strict=True)])
    total = np.array([len(right) for right in relevant])
    discount = 1 / np.log2(np.arange(2, lists.shape[1] + 2))
    ideal = np.cumsum(discount)[np.minimum(total, lists.shape[1]) - 1]
    of_query = np.stack([found.sum(axis=1) / total, found @ discount / ideal, found.any(axis=1)]).clip(0, 1)
    counted = np.flatnonzero(np.ones(len(lists), dtype=bool) if judged is None else judged)
    of_groups = [groups[i] for i in counted.tolist()]
    recall, ndcg, hit_rate = (_interval(values, of_groups, seed, resamples) for values in of_query[:, counted])
    there = lists >= 0
    counts = np.bincount(lists[there], minlength=len(vectors))
    cosines = np.einsum("qd,qkd->qk", vectors[queries[counted]], vectors[lists[counted]])
    cosine = cosines[there[counted]]
    return ListQuality(
        recall, ndcg, hit_rate,
        cosine=float(cosine.mean()) if len(cosine) else 0.0,
        coverage=float((counts > 0).mean()),
        gini=gini(counts),
        diversity=_diversity(lists, vectors),
        novelty=None if listeners is None else _novelty(lists[there], listeners),
    )  # fmt: skip


def gini(counts: npt.NDArray[np.integer]) -> float:
    """Gini coefficient of how often each is recommended, 0..1; 0 where nothing is."""
    ordered = np.sort(counts).astype(np.float64)
    n, total = len(ordered), ordered.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total)) if total else 0.0


def _interval(values: npt.NDArray[np.float64], groups: Sequence[str], seed: int, resamples: int) -> Interval:
    return bootstrap_interval(
        lambda i: float(values[i].mean()), groups, resamples=resamples, seed=seed, bounds=(0.0, 1.0)
    )


def _diversity(lists: Lists, vectors: FloatArray) -> float:
    """The sum of all pairs' cosines is the squared length of the vectors' sum, less that of each with itself."""
    sums, pairs = [], []
    for own in lists:
        chosen = vectors[own[own >= 0]].astype(np.float64)
        n = len(chosen)
        if n > 1:
            pairs.append(n * (n - 1))
            sums.append(n * (n - 1) - (np.square(chosen.sum(axis=0)).sum() - np.square(chosen).sum()))
    return float(np.mean(np.array(sums) / np.array(pairs))) if pairs else 0.0


def _novelty(rows: npt.NDArray[np.int64], listeners: npt.NDArray[np.float64]) -> float:
    least = float(listeners[listeners > 0].min()) if (listeners > 0).any() else 1.0
    shares = np.maximum(listeners[rows], least / 2)
    return float(-np.log2(shares).mean()) if len(rows) else 0.0
