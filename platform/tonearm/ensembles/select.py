"""Which trials of a sweep go into the ensemble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.ensembles.combine import weighted_mean
from tonearm.tasks.base import Task
from tonearm.tasks.metrics import find_metric

SMALLEST_SHARE = 0.05


def select_greedily(
    predictions: Sequence[FloatArray],
    target: np.ndarray,
    task: Task,
    bags: int = 20,
    rounds: int = 10,
    seed: int = 0,
    groups: Sequence[str] | None = None,
) -> dict[int, int]:
    """Bagged greedy forward selection with replacement, on validation predictions.

    In each bag, a random half of the models, it begins with the best and adds whichever model makes the mean of the
    chosen best, until none does. What all bags chose is the ensemble: on few validation tracks a single greedy search
    overfits to them; bagging averages that out. "Best" is by ``task.selected_by``.

    Parameters
    ----------
    predictions
        One array (tracks, outputs) a model.
    target
        The truth, as the task encodes it.
    task
        Whose ``selected_by`` metrics decide.
    bags, rounds
        Searches, and the most models that one of them chooses.
    seed
        Of the bags.
    groups
        The artist of each track, for metrics that need it.

    Returns
    -------
    dict
        Index of each chosen model to how often it was chosen, which is its weight.

    References
    ----------
    Caruana, Niculescu-Mizil, Crew and Ksikes 2004, *Ensemble Selection from Libraries of Models* (section 2.3 on bags).
    """
    if not predictions:
        raise ConfigError("no trial has predictions, so there is nothing to select: look at the errors of the trials")
    models = len(predictions)
    rng = np.random.default_rng(derive_seed("ensemble", seed, models))
    chosen: Counter[int] = Counter()
    for _ in range(bags):
        bag = sorted(rng.choice(models, size=(models + 1) // 2, replace=False).tolist())
        chosen.update(_search([predictions[i] for i in bag], bag, target, task, rounds, groups))
    # A model that few bags chose costs an evaluation in serving and changes next to nothing.
    kept = {i: n for i, n in sorted(chosen.items()) if n >= SMALLEST_SHARE * chosen.total()}
    return kept or dict(sorted(chosen.items()))


def _search(
    predictions: Sequence[FloatArray], names: Sequence[int], target: np.ndarray, task: Task, rounds: int,
    groups: Sequence[str] | None,
) -> list[int]:  # fmt: skip
    chosen: list[int] = []
    best: tuple[float, ...] = (np.inf,)
    signs = {name: -1 if find_metric(name).maximise else 1 for name in task.selected_by}
    for _ in range(rounds):
        losses: list[tuple[float, ...]] = []
        for i in range(len(predictions)):
            members = [*chosen, i]
            mean = weighted_mean([predictions[m] for m in members], [1.0] * len(members))
            found = task.selected_metrics(task.selected_by, mean, target, groups)
            losses.append(tuple(sign * found[name] for name, sign in signs.items()))
        winner = min(range(len(losses)), key=losses.__getitem__)
        if losses[winner] >= best:
            break
        best = losses[winner]
        chosen.append(winner)
    return [names[i] for i in chosen]
