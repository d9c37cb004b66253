"""Collaborative factors: vectors of users and artists whose product says who listens to whom.

They are what a network learns to predict from audio for music that nobody has played yet.

References
----------
Hu, Koren and Volinsky 2008, *Collaborative filtering for implicit feedback datasets*; van den Oord, Dieleman and
Schrauwen 2013, *Deep content-based music recommendation* (40 factors).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.core.errors import ConfigError, TrainingError
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.recommend.plays import as_counts
from tonearm.statistics.intervals import Interval, bootstrap_interval

USERS_AT_ONCE = 256  # a row of scores for every user and artist at once would take gigabytes


@dataclass(frozen=True)
class LatentFactors:
    """float32 vectors: ``users`` of shape (users, dim) and ``artists`` of shape (artists, dim)."""

    users: FloatArray
    artists: FloatArray


@dataclass(frozen=True)
class Ranking:
    """How well a ranking finds the artists that were held out, as means over users.

    Attributes
    ----------
    recall
        Share of a user's held-out artists among the first k.
    ndcg
        Discounted gain of the first k, 1 / log2(1 + place) a hit, over the most that is possible.
    average_precision
        Mean of the precision at each hit among the first k, over the most hits possible.
    """

    recall: Interval
    ndcg: Interval
    average_precision: Interval


@dataclass(frozen=True)
class FactorEvaluation:
    """Rankings by factors, by the artists' numbers of listeners and at random, over the same users.

    ``gain`` is the mean difference in NDCG of factors to popularity, paired by user.
    """

    k: int
    users: int
    factors: Ranking
    popularity: Ranking
    chance: Ranking
    gain: Interval


def fit_factors(
    plays: Any,
    dim: int = 40,
    alpha: float = 1.0,
    regularization: float = 10.0,
    iterations: int = 15,
    seed: int = 0,
) -> LatentFactors:
    """Factorise play counts by alternating least squares. One thread: the same input gives the same factors.

    Parameters
    ----------
    plays
        scipy sparse (users, artists), counts of at least 0.
    dim
        Length of the vectors.
    alpha
        A pair with r plays has the confidence 1 + alpha · ln(1 + r), one without has 1. Counts are taken by their
        logarithm since a few are a thousand times the usual ones.
    regularization
        Weight of the squared lengths; choose it with ``alpha``. For hetrec2011-lastfm-2k (1892 users) 60 with an
        alpha of 3 was the best of what was tried.
    iterations
        Passes over users and artists.
    seed
        Of the vectors to start from.

    Raises
    ------
    ConfigError
        If a value cannot work, all problems at once.
    TrainingError
        If the factors do not stay finite.
    """
    counts = as_counts(plays)
    found = [f"{name} is {value}: it must be {least}" for name, value, least, good in (
        ("dim", dim, "at least 1", dim >= 1), ("alpha", alpha, "above 0", alpha > 0),
        ("regularization", regularization, "at least 0", regularization >= 0),
        ("iterations", iterations, "at least 1", iterations >= 1),
    ) if not good]  # fmt: skip
    if counts.nnz == 0 or not np.isfinite(counts.data).all() or counts.data.min() < 0:
        found.append(f"{counts.nnz} play counts: give some, none of them negative or unknown")
    if found:
        raise ConfigError(found)

    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.recommender_base import ModelFitError
    from threadpoolctl import threadpool_limits

    confidence = counts.copy()
    confidence.data = (1 + alpha * np.log1p(counts.data)).astype(np.float32)
    with threadpool_limits(1, "blas"):  # BLAS's own threads make the library ten times slower, and it warns of them
        model = AlternatingLeastSquares(
            factors=dim, regularization=regularization, iterations=iterations, num_threads=1,
            random_state=derive_seed("factors", seed),
        )  # fmt: skip
        try:
            model.fit(confidence, show_progress=False)
        except ModelFitError:
            raise TrainingError(
                f"the factors are not finite after {iterations} iterations: raise the regularization ({regularization})"
            ) from None
    return LatentFactors(np.asarray(model.user_factors), np.asarray(model.item_factors))


def evaluate_factors(
    factors: LatentFactors, train: Any, held_out: Any, k: int = 20, seed: int = 0, resamples: int = 1000
) -> FactorEvaluation:
    """Rank, for each user, all artists that are not among the training ones, and score the places of the held-out ones.

    Parameters
    ----------
    factors
        Fitted to ``train`` alone.
    train, held_out
        scipy sparse (users, artists): :func:`~tonearm.recommend.plays.hold_out`.
    k
        Places that count, 1 to the number of artists.
    seed
        Of chance and of the bootstrap, which draws users.
    resamples
        Draws of the bootstrap.

    Raises
    ------
    ConfigError
        If shapes or ``k`` do not fit, or nothing is held out.
    """
    train, held_out = as_counts(train), as_counts(held_out)
    shape = (len(factors.users), len(factors.artists))
    if train.shape != shape or held_out.shape != shape:
        raise ConfigError(
            f"factors of {shape}, train {train.shape}, held out {held_out.shape}: give all (users, artists)"
        )
    if not 1 <= k <= shape[1]:
        raise ConfigError(f"k is {k}: it must be 1 to {shape[1]}, the number of artists")
    users = np.flatnonzero(np.diff(held_out.indptr))
    if not len(users):
        raise ConfigError("nothing is held out: no user can be evaluated")
    # Never two artists of one score: of equally many listeners the first in order is first.
    listeners = np.bincount(train.indices, minlength=shape[1]) - np.arange(shape[1]) / (shape[1] + 1)
    rng = np.random.default_rng(derive_seed("chance", seed, k))
    by_factors = _user_metrics(lambda rows: factors.users[rows] @ factors.artists.T, train, held_out, users, k)
    by_popularity = _user_metrics(lambda rows: np.tile(listeners, (len(rows), 1)), train, held_out, users, k)
    by_chance = _user_metrics(lambda rows: rng.random((len(rows), shape[1])), train, held_out, users, k)

    names = [str(user) for user in users]

    def interval(values: np.ndarray, least: float = 0.0) -> Interval:
        values = np.clip(values, least, 1.0)  # sums of floats may be above by their rounding
        if len(names) == 1:  # nothing says how another user would fare
            return Interval(float(values[0]), least, 1.0)
        return bootstrap_interval(
            lambda i: float(values[i].mean()), names, resamples=resamples, seed=seed, bounds=(least, 1.0)
        )

    def ranking(by_user: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Ranking:
        return Ranking(*(interval(values) for values in by_user))

    gain = interval(by_factors[1] - by_popularity[1], -1.0)
    return FactorEvaluation(k, len(users), ranking(by_factors), ranking(by_popularity), ranking(by_chance), gain)


def _user_metrics(
    scores: Callable[[np.ndarray], np.ndarray], train: Any, held_out: Any, users: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall, NDCG and average precision of each user, (users,) each."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    found = []
    for start in range(0, len(users), USERS_AT_ONCE):
        rows = users[start : start + USERS_AT_ONCE]
        values = np.array(scores(rows), dtype=np.float64)
        values[train[rows].nonzero()] = -np.inf
        first = np.argpartition(-values, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(values, first, axis=1), axis=1, kind="stable")
        first = np.take_along_axis(first, order, axis=1)
        hits = np.take_along_axis(held_out[rows].toarray() > 0, first, axis=1)
        total = np.diff(held_out.indptr)[rows]
        most = np.minimum(total, k)
        precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
        found.append((
            hits.sum(axis=1) / total,
            (hits * discount).sum(axis=1) / np.cumsum(discount)[most - 1],
            (hits * precision).sum(axis=1) / most,
        ))  # fmt: skip
    recall, ndcg, average_precision = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return recall, ndcg, average_precision
