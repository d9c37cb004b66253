"""Which trials of a sweep go into the ensemble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray
from tonearm.ensembles.combine import weighted_mean
from tonearm.tasks.base import Task


def select_greedily(
    predictions: Sequence[FloatArray], target: np.ndarray, task: Task, rounds: int = 10
) -> dict[int, int]:
    """Greedy forward selection with replacement on validation predictions.

    Begins with the best single model and adds, ``rounds`` times at most, whichever model makes the mean of the chosen
    best, until none does.

    Parameters
    ----------
    predictions
        One array (tracks, outputs) a model.
    target
        The truth, as the task encodes it.
    task
        Decides what is better: its primary metric, then the loss.

    Returns
    -------
    dict
        Index of each chosen model to how often it was chosen, which is its weight.

    References
    ----------
    Caruana, Niculescu-Mizil, Crew and Ksikes 2004, *Ensemble Selection from Libraries of Models*.
    """
    if not predictions:
        raise ConfigError("an ensemble of no models: no trial has predictions. Look at the errors of the trials")
    chosen: list[int] = []
    best = None
    for _ in range(rounds):
        winner = None
        for i in range(len(predictions)):
            members = [*chosen, i]
            scores = task.metrics(weighted_mean([predictions[m] for m in members], [1.0] * len(members)), target)
            if task.better(scores, best):
                best, winner = scores, i
        if winner is None:
            break
        chosen.append(winner)
    return dict(sorted(Counter(chosen).items()))
