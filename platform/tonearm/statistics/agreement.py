"""Agreement of two systems' predictions; no labels are needed."""

from __future__ import annotations

import numpy as np
from scipy.special import rel_entr

from tonearm.core.errors import ConfigError


def disagreement(first: np.ndarray, second: np.ndarray) -> float:
    """The share of tracks on which the two systems give different classes the largest value, 0..1.

    Parameters
    ----------
    first, second
        Predictions of the same tracks, (tracks, classes); of equal values the first class wins.

    Raises
    ------
    ConfigError
        If shapes differ, there are no tracks, or values are not finite.
    """
    return float(disagrees(first, second).mean())


def disagrees(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """1 for each track to which the two systems give different classes the largest value, else 0: float64 (tracks,).

    Parameters and errors are those of :func:`disagreement`.
    """
    first, second = _same_tracks(first, second)
    differs: np.ndarray = (first.argmax(axis=1) != second.argmax(axis=1)).astype(np.float64)
    return differs


def kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Cohen's kappa of the classes that two systems predict: agreement beyond that of chance.

    Parameters and errors are those of :func:`disagreement`.

    Returns
    -------
    float
        1 if they always agree, 0 if as often as their frequencies of classes let expect, at least -1. NaN if both
        predict one and the same class throughout: then chance agrees as well.

    References
    ----------
    Cohen 1960, *A coefficient of agreement for nominal scales*.
    """
    first, second = _same_tracks(first, second)
    tracks, classes = first.shape
    shares = [np.bincount(predictions.argmax(axis=1), minlength=classes) / tracks for predictions in (first, second)]
    expected = 1 - float(shares[0] @ shares[1])  # disagreement by chance
    return 1 - disagreement(first, second) / expected if expected > 0 else float("nan")


def divergence(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of two systems' class probabilities of each track.

    Parameters
    ----------
    first, second
        Probabilities of the same tracks, (tracks, classes), at least 0. Rows are divided by their sums.

    Returns
    -------
    float64 (tracks,)
        Bits: 0 for the same, 1 if they share no class.

    Raises
    ------
    ConfigError
        As :func:`disagreement`; besides, if values are negative or a row is all zeros.

    References
    ----------
    Lin 1991, *Divergence measures based on the Shannon entropy*.
    """
    first, second = (_distributions(predictions) for predictions in _same_tracks(first, second))
    middle = (first + second) / 2
    nats = (rel_entr(first, middle) + rel_entr(second, middle)).sum(axis=1) / 2
    bits: np.ndarray = np.clip(nats / np.log(2), 0, 1)  # rounding errors exceed the range
    return bits


def _same_tracks(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.ndim != 2 or first.shape != second.shape or not first.size:
        raise ConfigError(
            f"predictions of shape {first.shape} and {second.shape}: give (tracks, classes) of the same tracks and "
            "classes, at least one"
        )
    bad = int((~np.isfinite(first) | ~np.isfinite(second)).any(axis=1).sum())
    if bad:
        raise ConfigError(f"the predictions of {bad} of {len(first)} tracks are not finite: leave these tracks out")
    return first, second


def _distributions(predictions: np.ndarray) -> np.ndarray:
    if predictions.min() < 0:
        raise ConfigError(f"a prediction is {predictions.min():g}: give probabilities, at least 0")
    sums = predictions.sum(axis=1, keepdims=True)
    empty = int((sums == 0).sum())
    if empty:
        raise ConfigError(f"{empty} of {len(predictions)} tracks have only zeros: give probabilities of classes")
    shares: np.ndarray = predictions / sums
    return shares
