"""Temperature: one number by which a network's track predictions become as sure as they are right."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import expit, logit

from tonearm.core.types import FloatArray
from tonearm.statistics.calibration import reliability
from tonearm.tasks.base import Task
from tonearm.tasks.log_loss import SMALLEST_PROBABILITY
from tonearm.tasks.membership import Membership
from tonearm.tasks.multi_hot import MultiHot
from tonearm.tasks.multi_label import MultiLabel
from tonearm.tasks.single_label import SingleLabel
from tonearm.tasks.tabular import Tabular

MOST = 4.0  # and no less than its inverse
SPREAD = 0.5  # of the logarithm of temperatures, as they are expected before any track was seen


def fit_temperature(task: Task, predictions: FloatArray, target: np.ndarray) -> float:
    """The temperature with which predictions of tracks that were not trained on have the least loss.

    The loss is the task's tie breaker, which is a proper score. Few tracks say little: then it stays near 1.

    Parameters
    ----------
    predictions
        Of the tracks, as the task pools them, (tracks, outputs).
    target
        As the task encodes it.

    Returns
    -------
    Above 1 where predictions are too sure, below where they are not sure enough; 1 where the task predicts no
    probabilities.

    References
    ----------
    Guo et al. 2017, *On Calibration of Modern Neural Networks*.
    """
    if not (is_of_classes(task) or is_of_labels(task)):
        return 1.0
    from scipy.optimize import minimize_scalar  # 20 MiB, which a server never needs

    def loss(log_temperature: float) -> float:
        scaled = apply_temperature(task, predictions, math.exp(log_temperature))
        own = task.selected_metrics((task.tie_breaker,), scaled, target)[task.tie_breaker]
        return own + log_temperature**2 / (2 * SPREAD**2 * len(target))

    found = minimize_scalar(loss, bounds=(-math.log(MOST), math.log(MOST)), method="bounded", options={"xatol": 1e-3})
    return float(math.exp(found.x)) if found.fun < loss(0.0) else 1.0


def apply_temperature(task: Task, predictions: FloatArray, temperature: float) -> FloatArray:
    """Track predictions (tracks, outputs), or (outputs,), with their logits divided by a temperature; of tasks that
    predict no probabilities as they are."""
    if temperature == 1.0:
        return predictions
    if is_of_classes(task):
        logs = np.log(np.clip(predictions.astype(np.float64), SMALLEST_PROBABILITY, None)) / temperature
        powers = np.exp(logs - logs.max(axis=-1, keepdims=True))
        shares: FloatArray = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
        return shares
    if is_of_labels(task):
        inside = np.clip(predictions.astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        fitness: FloatArray = expit(logit(inside) / temperature).astype(np.float32)
        return fitness
    return predictions


def calibration_error(task: Task, predictions: FloatArray, target: np.ndarray) -> float | None:
    """Expected calibration error, 0..1, of track predictions; None where the task states no probabilities.

    Parameters
    ----------
    predictions
        (tracks, outputs).
    target
        As the task encodes it.
    """
    stated = task.confidences(predictions, target)
    return None if stated is None else reliability(*stated).error


def is_of_classes(task: Task) -> bool:
    """Whether predictions are probabilities that sum to 1; shares of windows are none."""
    if isinstance(task, SingleLabel):
        return task.pooling != "vote"
    return isinstance(task, Tabular) and task.training == "softmax" and task.pooling != "vote"


def is_of_labels(task: Task) -> bool:
    """Whether each output is a probability by itself. Sigmoids of logits that softmax fixed up to a constant are none,
    and a threshold that was chosen is one of the fitness as it is."""
    if not isinstance(task, MultiHot) or task.pooling == "vote":
        return False
    if isinstance(task, Membership) and task.training == "softmax":
        return False
    return not isinstance(task, MultiLabel) or task.threshold == 0.5
