"""Calibration: whether predictions with 80 % confidence are right in 80 of 100 cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonearm.core.errors import ConfigError


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram and its summaries.

    Attributes
    ----------
    confidence
        Mean predicted probability of each bin, float64 (bins,); NaN where the bin is empty.
    accuracy
        Observed frequency of correct ones, float64 (bins,); NaN where the bin is empty.
    count
        Predictions in each bin, int64 (bins,).
    edges
        Of the bins, float64 (bins + 1,) from 0 to 1.
    error
        Expected calibration error: the mean gap between both, weighted by count, 0..1.
    worst
        Maximum calibration error: the largest gap of a bin that is not empty, 0..1.
    brier
        Mean squared distance of the predicted probabilities from 0 or 1, which needs no bins.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray
    edges: np.ndarray
    error: float
    worst: float
    brier: float


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> Reliability:
    """Compare predicted probabilities with observed frequencies, in bins of equal width.

    Parameters
    ----------
    confidence
        Predicted probabilities (predictions,), within 0..1. A bin holds its upper edge, the first one 0 as well.
    correct
        Whether each was correct (predictions,), bool or 0 and 1.
    bins
        How many, at least 1.

    Raises
    ------
    ConfigError
        If there is nothing to compare, shapes differ, or values are out of range.

    References
    ----------
    Guo et al. 2017, *On Calibration of Modern Neural Networks*; Brier 1950.
    """
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if bins < 1:
        raise ConfigError(f"bins is {bins}: give at least 1")
    if confidence.ndim != 1 or confidence.shape != correct.shape or not len(confidence):
        raise ConfigError(
            f"confidences of shape {confidence.shape} and outcomes of shape {correct.shape}: give one of each for "
            "every prediction, and at least one"
        )
    outside = confidence[~((confidence >= 0) & (confidence <= 1))]
    if len(outside):
        raise ConfigError(f"a confidence is {outside[0]}: give probabilities, within 0 and 1")
    unclear = correct[(correct != 0) & (correct != 1)]
    if len(unclear):
        raise ConfigError(f"an outcome is {unclear[0]}: give 1 for correct and 0 for not")
    edges = np.linspace(0, 1, bins + 1)
    place = np.maximum(np.searchsorted(edges, confidence, side="left") - 1, 0)
    count = np.bincount(place, minlength=bins)
    some = np.where(count > 0, count, np.nan)
    stated = np.bincount(place, confidence, bins) / some
    accuracy = np.bincount(place, correct, bins) / some
    gap = np.abs(accuracy - stated)
    return Reliability(
        confidence=stated,
        accuracy=accuracy,
        count=count,
        edges=edges,
        error=float(np.nansum(count * gap) / len(confidence)),
        worst=float(np.nanmax(gap)),
        brier=float(np.square(confidence - correct).mean()),
    )
