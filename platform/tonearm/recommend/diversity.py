"""Results that resemble the query but not each other: maximal marginal relevance.

References
----------
Carbonell and Goldstein 1998, *The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
Summaries*.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tonearm.core.types import FloatArray


def diversify(
    relevance: npt.NDArray[np.floating], vectors: FloatArray, k: int, diversity: float
) -> npt.NDArray[np.int64]:
    """Choose ``k`` candidates one after the other, each the most relevant that least resembles those chosen before.

    Parameters
    ----------
    relevance
        (candidates,), on the scale of a cosine.
    vectors
        (candidates, dim), of unit length.
    k
        At most so many are chosen.
    diversity
        d, 0..1: the next is the one of the greatest (1 - d) · relevance - d · (its greatest cosine to one chosen). 0 is
        the order of relevance. Of equal ones the first is taken.

    Returns
    -------
    int64 (min(k, candidates),), places of the candidates in the order in which they were chosen.
    """
    k = min(k, len(relevance))
    if diversity == 0:
        return np.argsort(-relevance, kind="stable")[:k]
    nearest = np.zeros(len(relevance))  # greatest cosine to one chosen; of the first choice it plays no part
    open_, chosen = np.ones(len(relevance), dtype=bool), np.empty(k, dtype=np.int64)
    for i in range(k):
        value = (1 - diversity) * relevance - diversity * nearest
        if i == 0:
            value = relevance.astype(np.float64)
        chosen[i] = best = int(np.argmax(np.where(open_, value, -np.inf)))
        open_[best] = False
        cosines = vectors @ vectors[best]
        nearest = cosines.astype(np.float64) if i == 0 else np.maximum(nearest, cosines)
    return chosen
