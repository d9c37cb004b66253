"""Scores of a selection on tracks that it did not choose on.

The best of 60 equal trials validates well above what it is: it was chosen on these tracks. So the whole selection is
repeated on one half of the groups and predicts the other half, and the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.ensembles.combination import MEAN, fit_combination
from tonearm.ensembles.select import UNLIMITED, Limits, best_alone, select_greedily
from tonearm.tasks.base import Task

REPEATS = 5
ChooseKind = Callable[[np.ndarray, Sequence[str], dict[str, tuple[FloatArray, ...]]], str]


@dataclass(frozen=True)
class OutOfFold:
    """What was predicted of each track by what was chosen on the other half of the groups.

    Attributes
    ----------
    ensemble, single
        A repeat each, with halves of its own, (tracks, outputs): by the ensemble that was selected there, in each way
        of combining that was asked for, by its kind; and by the model that was the best alone there.
    chosen
        By that ensemble in the way of combining that was chosen there, on halves of that half: of several ways the one
        that is best on all tracks would look better than it is.
    """

    ensemble: dict[str, tuple[FloatArray, ...]]
    single: tuple[FloatArray, ...]
    chosen: tuple[FloatArray, ...]


def predict_out_of_fold(
    predictions: Sequence[FloatArray], target: np.ndarray, task: Task, groups: Sequence[str],
    limits: Limits = UNLIMITED, alone: Callable[[np.ndarray], int] | None = None, repeats: int = REPEATS, seed: int = 0,
    kinds: Sequence[str] = (MEAN,), choose_kind: ChooseKind | None = None,
) -> OutOfFold | None:  # fmt: skip
    """Repeat a selection on halves of the validation groups.

    What each network itself chose on these tracks, its best epoch, is not repeated: the test split alone is free of it.

    Parameters
    ----------
    predictions
        One array (tracks, outputs) a model.
    target
        The truth, as the task encodes it.
    groups
        The group of each track; a group stays in one half.
    limits
        Of the ensemble.
    alone
        Maps places of tracks to the number of the model that is the best alone on them; None: by :func:`best_alone`.
    repeats
        How often the groups are halved anew.
    kinds
        Ways of combining the ensemble's members, which are fitted on the half that chose.
    choose_kind
        Maps targets, groups and predictions by kind to one of several kinds; None: the first.

    Returns
    -------
    None where there is a single group, which cannot be halved.
    """
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return None
    rng = np.random.default_rng(derive_seed("out of fold", seed, len(names)))
    together: dict[str, list[FloatArray]] = {kind: [] for kind in kinds}
    apart, chosen_there = [], []
    for repeat in range(repeats):
        first = np.isin(place, rng.permutation(len(names))[: len(names) // 2])
        ensemble, single = {kind: np.empty_like(predictions[0]) for kind in kinds}, np.empty_like(predictions[0])
        by_chosen = np.empty_like(predictions[0])
        for held in (first, ~first):
            chosen, scored = np.flatnonzero(~held), np.flatnonzero(held)
            own, own_groups = [p[chosen] for p in predictions], [groups[i] for i in chosen.tolist()]
            members = select_greedily(own, target[chosen], task, seed=seed + repeat, groups=own_groups, limits=limits)
            weights, there = list(members.values()), [predictions[i][scored] for i in members]
            here = [predictions[i][chosen] for i in members]
            for kind in kinds:
                combination = fit_combination(kind, task, here, weights, target[chosen])
                ensemble[kind][scored] = combination.combine(task, there, weights)
            kind = kinds[0]
            if len(kinds) > 1 and choose_kind is not None:
                inner = predict_out_of_fold(
                    own, target[chosen], task, own_groups, limits, repeats=1, seed=seed + repeat, kinds=kinds
                )
                kind = choose_kind(target[chosen], own_groups, inner.ensemble) if inner else kind
            by_chosen[scored] = ensemble[kind][scored]
            best = alone(chosen) if alone else best_alone(own, target[chosen], task, own_groups)
            single[scored] = predictions[best][scored]
        for kind in kinds:
            together[kind].append(ensemble[kind])
        apart.append(single)
        chosen_there.append(by_chosen)
    return OutOfFold({kind: tuple(each) for kind, each in together.items()}, tuple(apart), tuple(chosen_there))
