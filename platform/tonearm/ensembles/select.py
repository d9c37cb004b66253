"""Which trials of a library go into the ensemble, and which one is the best alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.tasks.base import Task
from tonearm.tasks.metrics import find_metric

SMALLEST_SHARE = 0.05


@dataclass(frozen=True)
class Limits:
    """What an ensemble may consist of.

    Attributes
    ----------
    members
        The most different ones; 0: any number.
    cost
        Milliseconds a track of some models together, by their numbers: what they share counts once. None where that
        does not matter.
    most_milliseconds
        All members together cost less.
    """

    members: int = 0
    cost: Callable[[Sequence[int]], float] | None = None
    most_milliseconds: float = math.inf


UNLIMITED = Limits()


def select_greedily(
    predictions: Sequence[FloatArray],
    target: np.ndarray,
    task: Task,
    bags: int = 20,
    rounds: int = 10,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    limits: Limits = UNLIMITED,
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
    limits
        Of all that was chosen, what was chosen most often is kept within them.

    Returns
    -------
    dict
        Index of each chosen model to how often it was chosen, which is its weight.

    Raises
    ------
    ConfigError
        If there is no model, or none within the limits.

    References
    ----------
    Caruana, Niculescu-Mizil, Crew and Ksikes 2004, *Ensemble Selection from Libraries of Models* (section 2.3 on bags).
    """
    if not predictions:
        raise ConfigError("no trial has predictions, so there is nothing to select: look at the errors of the trials")
    within = list(range(len(predictions)))
    if limits.cost is not None:
        within = affordable([limits.cost([i]) for i in within], limits.most_milliseconds)
    rng = np.random.default_rng(derive_seed("ensemble", seed, len(within)))
    chosen: Counter[int] = Counter()
    for _ in range(bags):
        bag = sorted(rng.choice(within, size=(len(within) + 1) // 2, replace=False).tolist())
        chosen.update(_search([predictions[i] for i in bag], bag, target, task, rounds, groups))
    # A model that few bags chose costs an evaluation in serving and changes next to nothing.
    kept = {i: n for i, n in chosen.items() if n >= SMALLEST_SHARE * chosen.total()} or dict(chosen)
    return _within(kept, limits)


def affordable(costs: Sequence[float], most_milliseconds: float) -> list[int]:
    """Numbers of the networks whose answers cost less.

    Raises
    ------
    ConfigError
        If there is none.
    """
    found = [i for i, cost in enumerate(costs) if cost < most_milliseconds]
    if not found:
        raise ConfigError(
            f"the cheapest of {len(costs)} networks costs {min(costs):.1f} ms a track, decoding and features included, "
            f"at most {most_milliseconds:g} are allowed: allow more, or train smaller ones"
        )
    return found


def _within(chosen: dict[int, int], limits: Limits) -> dict[int, int]:
    """Those that were chosen most often, as many as the limits allow, by index."""
    kept = dict[int, int]()
    for i, times in sorted(chosen.items(), key=lambda item: (-item[1], item[0])):
        if limits.members and len(kept) >= limits.members:
            break
        if limits.cost is None or limits.cost([*kept, i]) < limits.most_milliseconds:
            kept[i] = times
    return dict(sorted(kept.items()))


def _search(
    predictions: Sequence[FloatArray], names: Sequence[int], target: np.ndarray, task: Task, rounds: int,
    groups: Sequence[str] | None,
) -> list[int]:  # fmt: skip
    chosen: list[int] = []
    best: tuple[float, ...] = (np.inf,)
    total = np.zeros(predictions[0].shape, dtype=np.float64)
    for count in range(1, rounds + 1):
        losses = [losses_of(_mean(total, one, count), target, task, groups) for one in predictions]
        winner = min(range(len(losses)), key=losses.__getitem__)
        if losses[winner] >= best:
            break
        best = losses[winner]
        chosen.append(winner)
        total += predictions[winner]
    return [names[i] for i in chosen]


def _mean(total: np.ndarray, one: FloatArray, count: int) -> FloatArray:
    mean: FloatArray = ((total + one) / count).astype(np.float32)
    return mean


def losses_of(
    predictions: FloatArray, target: np.ndarray, task: Task, groups: Sequence[str] | None = None
) -> tuple[float, ...]:
    """How good predictions are, by ``task.selected_by``, the first before the second: the smaller the better, NaN
    last."""
    found = task.selected_metrics(task.selected_by, predictions, target, groups)
    signed = [-found[name] if find_metric(name).maximise else found[name] for name in task.selected_by]
    return tuple(math.inf if math.isnan(loss) else loss for loss in signed)


def best_alone(
    predictions: Sequence[FloatArray], target: np.ndarray, task: Task, groups: Sequence[str] | None = None
) -> int:
    """Index of the model that is best by ``task.selected_by``, as members of ensembles are; the first of equals."""
    losses = [losses_of(one, target, task, groups) for one in predictions]
    return min(range(len(losses)), key=losses.__getitem__)
