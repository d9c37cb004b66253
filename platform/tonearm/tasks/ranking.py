"""Figures of ranked predictions, with ties treated as scikit-learn does."""

from __future__ import annotations

import numpy as np


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, (n,) to float64 (n,); equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (counts.cumsum() - (counts - 1) / 2)[place]
    return ranks


def spearman(predicted: np.ndarray, target: np.ndarray) -> float:
    """Spearman's rank correlation, -1..1; 0 where one side does not vary, since nothing is ranked."""
    a, b = (r - r.mean() for r in (average_ranks(predicted), average_ranks(target)))
    spread = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / spread) if spread > 0 else 0.0


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """The precision at each distinct score, weighted by the recall gained there, without interpolation.

    Parameters
    ----------
    scores
        (items,), larger is more likely.
    truth
        (items,), non-zero for the relevant.

    Returns
    -------
    float
        0..1; 0 where nothing is relevant.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order] > 0)
    if not len(hits) or hits[-1] == 0:
        return 0.0
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of each run of equal scores
    gained = np.diff(hits[last], prepend=0) / hits[-1]
    return float(gained @ (hits[last] / (last + 1)))


def roc_auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """The chance that a relevant item outscores another, ties counting half; 0.5 where there are none to compare."""
    relevant = truth > 0
    positives = int(relevant.sum())
    negatives = len(relevant) - positives
    if not positives or not negatives:
        return 0.5
    above = average_ranks(scores)[relevant].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def mean_average_precision(predictions: np.ndarray, target: np.ndarray) -> float:
    """Average precision of ranking the tracks for each class (macro), over the classes that occur in ``target``."""
    each = [average_precision(predictions[:, c], target[:, c]) for c in np.flatnonzero(target.any(axis=0))]
    return float(np.mean(each)) if each else 0.0


def mean_roc_auc(predictions: np.ndarray, target: np.ndarray) -> float:
    """ROC-AUC of ranking the tracks for each class (macro), over those that have tracks in and out; 0.5 if none."""
    truth = target > 0
    both = np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0))
    return float(np.mean([roc_auc(predictions[:, c], target[:, c]) for c in both])) if len(both) else 0.5


def hits_at(predictions: np.ndarray, target: np.ndarray, k: int) -> np.ndarray:
    """Of each track, whether any of its true classes is among the ``k`` with the largest predictions.

    Parameters
    ----------
    predictions, target
        (tracks, classes); of equal predictions the first class wins.

    Returns
    -------
    bool (tracks,).
    """
    first = np.argsort(-predictions, axis=1, kind="stable")[:, :k]
    hits: np.ndarray = np.any(np.take_along_axis(target, first, axis=1) > 0, axis=1)
    return hits
