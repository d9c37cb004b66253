"""A listener's taste of several kinds: each liked track votes, and has the less to say the more it was given.

A mean of what is liked lies between the kinds, where nothing may be that anyone likes. Here each liked track ranks the
candidates by their cosine, 0 the nearest, and supports them by ``(1 + rank / k) ** -2``. Tracks are chosen one after
the other, each the one of the greatest sum of ``support / (1 + what the voter was given)``, where a voter was given the
sum of its support of those that are chosen: proportional approval voting (Thiele 1895) with grades. So each kind has
about the share of the answer that it has of the likes; ranks make kinds comparable that lie wide or dense.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tonearm.core.types import FloatArray
from tonearm.recommend.seeds import AWAY

ROUNDS = 200  # each costs likes times candidates


def vote(liked: FloatArray, disliked: FloatArray, vectors: FloatArray, k: int) -> npt.NDArray[np.float64]:
    """The relevance of candidates for a taste: 1 for the first that is chosen, less for each later one, > 0.

    After :data:`ROUNDS` choices, or twice ``k``, the rest stand behind by their votes as they are then.

    Parameters
    ----------
    liked, disliked
        Unit vectors, (n, dim). A third of a candidate's greatest cosine to what is disliked, where that is above 0, is
        taken off its cosine to each voter.
    vectors
        Of the candidates, (candidates, dim).
    k
        How many shall be recommended.

    Returns
    -------
    float64 (candidates,): the sum that a candidate was chosen with, as a share of the first one's.
    """
    cosines = (liked @ vectors.T).astype(np.float64)
    if len(disliked):
        cosines -= AWAY * np.maximum(disliked @ vectors.T, 0).max(axis=0)
    ranks = np.empty_like(cosines)
    order = np.argsort(-cosines, axis=1, kind="stable")
    np.put_along_axis(ranks, order, np.arange(cosines.shape[1], dtype=np.float64)[None], axis=1)
    support = (1 + ranks / k) ** -2
    given, open_ = np.zeros(len(liked)), np.ones(len(vectors), dtype=bool)
    relevance = np.empty(len(vectors))
    for _ in range(min(max(ROUNDS, 2 * k), len(vectors))):
        total = (1 / (1 + given)) @ support
        best = int(np.argmax(np.where(open_, total, -np.inf)))
        relevance[best], open_[best] = total[best], False
        given += support[:, best]
    relevance[open_] = ((1 / (1 + given)) @ support)[open_]
    share: npt.NDArray[np.float64] = relevance / relevance.max()
    return share
