"""Scores of a selection on tracks that it did not choose on.

The best of 60 equal trials validates well above what it is: it was chosen on these tracks. So the whole selection is
repeated on one half of the groups and predicts the other half, and the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.ensembles.combine import weighted_mean
from tonearm.ensembles.select import UNLIMITED, Limits, best_alone, select_greedily
from tonearm.tasks.base import Task

REPEATS = 5


@dataclass(frozen=True)
class OutOfFold:
    """What was predicted of each track by what was chosen on the other half of the groups.

    Attributes
    ----------
    ensemble, single
        A repeat each, with halves of its own, (tracks, outputs): by the ensemble that was selected there, and by the
        model that was the best alone there.
    """

    ensemble: tuple[FloatArray, ...]
    single: tuple[FloatArray, ...]


def predict_out_of_fold(
    predictions: Sequence[FloatArray], target: np.ndarray, task: Task, groups: Sequence[str],
    limits: Limits = UNLIMITED, alone: Sequence[int] = (), repeats: int = REPEATS, seed: int = 0,
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
        The models that may be the best alone; none given: all.
    repeats
        How often the groups are halved anew.

    Returns
    -------
    None where there is a single group, which cannot be halved.
    """
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return None
    rng = np.random.default_rng(derive_seed("out of fold", seed, len(names)))
    lone = list(alone) or list(range(len(predictions)))
    together, apart = [], []
    for repeat in range(repeats):
        first = np.isin(place, rng.permutation(len(names))[: len(names) // 2])
        ensemble, single = np.empty_like(predictions[0]), np.empty_like(predictions[0])
        for held in (first, ~first):
            chosen, scored = np.flatnonzero(~held), np.flatnonzero(held)
            own, own_groups = [p[chosen] for p in predictions], [groups[i] for i in chosen.tolist()]
            members = select_greedily(own, target[chosen], task, seed=seed + repeat, groups=own_groups, limits=limits)
            ensemble[scored] = weighted_mean([predictions[i][scored] for i in members], list(members.values()))
            best = lone[best_alone([own[i] for i in lone], target[chosen], task, own_groups)]
            single[scored] = predictions[best][scored]
        together.append(ensemble)
        apart.append(single)
    return OutOfFold(tuple(together), tuple(apart))
