"""Combining the predictions of several models: calibrated each, and weighted by what their mixture loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core.types import FloatArray
from tonearm.tasks.base import Task
from tonearm.tasks.temperature import apply_temperature, fit_temperature

PRIOR_TRACKS = 1.0  # a member: how much equal weights count beside the tracks
DIGITS = 4  # of a weight
SQUARED = "mse"  # the metric that has a unit
SMALLEST = 1e-300  # of an error, which is none


@dataclass(frozen=True)
class Mixture:
    """How members that differ in kind answer together.

    Attributes
    ----------
    temperatures
        By which each one's predictions become as sure as they are right.
    weights
        Of the members, sum 1.
    """

    temperatures: tuple[float, ...]
    weights: tuple[float, ...]

    def predict(self, task: Task, predictions: Sequence[FloatArray]) -> FloatArray:
        """The mixture's predictions from those of its members, in their order."""
        pairs = zip(predictions, self.temperatures, strict=True)
        return weighted_mean([apply_temperature(task, p, t) for p, t in pairs], self.weights)


def fit_mixture(task: Task, predictions: Sequence[FloatArray], target: np.ndarray) -> Mixture:
    """Temperatures, and then the weights with which the mixture has the least loss, the task's tie breaker.

    Few tracks say little: then weights stay near equal ones. A squared error counts as what normal errors of that size
    lose, half its logarithm, so that the unit of a target does not matter. All is determined by what is given.

    Parameters
    ----------
    predictions
        Of each member, of tracks that it was not trained on, (tracks, outputs).
    target
        As the task encodes it.
    """
    temperatures = tuple(fit_temperature(task, p, target) for p in predictions)
    scaled = [apply_temperature(task, p, t) for p, t in zip(predictions, temperatures, strict=True)]
    count = len(scaled)

    def weights_at(place: np.ndarray) -> np.ndarray:
        powers = np.exp(np.append(place, 0.0) - max(0.0, float(place.max(initial=0.0))))
        shares: np.ndarray = powers / powers.sum()
        return shares

    def loss(place: np.ndarray) -> float:
        weights = np.maximum(weights_at(place), 1e-12)
        mixed = weighted_mean(scaled, weights.tolist())
        own = task.selected_metrics((task.tie_breaker,), mixed, target)[task.tie_breaker]
        if task.tie_breaker == SQUARED:
            own = 0.5 * float(np.log(max(own, SMALLEST)))
        return own - PRIOR_TRACKS * float(np.log(count * weights).sum()) / len(target)

    if count == 1:
        return Mixture(temperatures, (1.0,))
    from scipy.optimize import minimize  # 20 MiB, which a server never needs

    found = minimize(loss, np.zeros(count - 1), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-6})
    rounded = [max(round(w, DIGITS), 10.0**-DIGITS) for w in weights_at(found.x).tolist()]
    return Mixture(temperatures, tuple(w / sum(rounded) for w in rounded))


def weighted_mean(predictions: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """The weighted mean of predictions of the same shape; weights are made to sum to 1."""
    share = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    mean: FloatArray = np.tensordot(share, np.stack(predictions).astype(np.float64), axes=1).astype(np.float32)
    return mean
