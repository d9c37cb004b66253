"""Whether a confidence knows which answers are wrong: the error of those kept when the least confident are refused."""

from __future__ import annotations

import numpy as np

from tonearm.core.errors import ConfigError


def area_under_risk_coverage(confidence: np.ndarray, loss: np.ndarray) -> float:
    """The mean error over all shares of answers that may be kept, the most confident first (AURC); less is better.

    A confidence that says nothing has the error of all answers. Answers of equal confidence are kept in any order: the
    mean over these orders is taken.

    Parameters
    ----------
    confidence
        Of each answer, (answers,), finite.
    loss
        Of each answer, (answers,), finite; 1 where it is wrong, 0 where it is right.

    Raises
    ------
    ConfigError
        If there is no answer, shapes differ, or a number is not finite.

    References
    ----------
    Geifman, Uziel and El-Yaniv 2019, *Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers*.
    """
    confidence, loss = np.asarray(confidence, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    if confidence.ndim != 1 or confidence.shape != loss.shape or not len(confidence):
        raise ConfigError(
            f"confidences of shape {confidence.shape} and losses of shape {loss.shape}: give one of each an answer"
        )
    if not (np.isfinite(confidence).all() and np.isfinite(loss).all()):
        raise ConfigError("a confidence or a loss is not finite: leave the answer out")
    _, place, counts = np.unique(-confidence, return_inverse=True, return_counts=True)
    expected = (np.bincount(place, loss) / counts)[np.sort(place)]  # in an order of equal ones that is drawn
    return float((np.cumsum(expected) / np.arange(1, len(loss) + 1)).mean())
