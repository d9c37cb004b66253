"""On which classes two sides differ: by the tracks of each, or by what is said of each on all tracks."""

from __future__ import annotations

import dataclasses

import numpy as np

from tonearm.comparison.contrast import ClassChange, Side, common_sides
from tonearm.comparison.predictions import Predictions
from tonearm.comparison.seeds import seed_variance
from tonearm.statistics.differences import mean_difference, with_seed_variance
from tonearm.statistics.significance import enough_draws, holm, randomisation_test
from tonearm.tasks import SingleLabel, Tabular
from tonearm.tasks.base import Task


def class_measure(task: Task) -> str:
    """What the difference on a class is of, for people."""
    if isinstance(task, SingleLabel | Tabular):
        return "recall"  # the share of its tracks that are predicted right
    own = task.class_measure
    return f"{own} of the class on all tracks" if own else f"{task.default_primary} on the tracks of the class"


def changes_by_class(first: Side, second: Side) -> list[ClassChange]:
    """The difference on each class, the largest gain first; none without classes.

    Where a track has one class, or the task says nothing of single classes: of the scores of the class's tracks. Else
    of the class's own score on all tracks, those that do not have it included.
    """
    first, second = common_sides(first, second)
    own, task = first.members[0], first.members[0].task
    metric = task.metric(task.default_primary)  # which the tracks' scores are of
    if not task.uses_labels:
        return []
    groups, target, sides = np.asarray(own.groups), own.target, (first, second)
    scores = [[_scores_of_seeds(task, m) for m in side.members] for side in sides]
    present = [np.flatnonzero(target == i if target.ndim == 1 else target[:, i] > 0) for i in range(len(own.classes))]
    found = []
    for i, (name, rows) in enumerate(zip(own.classes, present, strict=True)):
        if not len(rows):
            continue
        used = np.arange(len(groups)) if task.class_measure else rows
        each = [[s[:, used, i] if s.ndim == 3 else s[:, used] for s in side] for side in scores]
        one, two = (np.average([s.mean(axis=0) for s in own_scores], axis=0, weights=side.weights)
                    for own_scores, side in zip(each, sides, strict=True))  # fmt: skip
        members = groups[used].tolist()
        p = randomisation_test(one, two, members, enough_draws(len(own.classes)))
        difference = None
        if len(set(members)) > 1:
            parts = seed_variance(*(side.of_runs([s.mean(axis=1) for s in own_scores])
                           for own_scores, side in zip(each, sides, strict=True)))  # fmt: skip
            difference = with_seed_variance(mean_difference(one, two, members), parts).clipped(*metric.difference_range)
            p = max(p, difference.p) if parts else p
        found.append(ClassChange(name, len(rows), float((one - two).mean()), difference, p, p))
    values = holm([c.p for c in found])
    found = [dataclasses.replace(c, adjusted=p) for c, p in zip(found, values, strict=True)]
    sign = 1 if metric.maximise else -1
    return sorted(found, key=lambda c: (-sign * c.value, c.name))


def _scores_of_seeds(task: Task, member: Predictions) -> np.ndarray:
    """Of each seed and track (seeds, tracks), or of each class as well (seeds, tracks, classes)."""
    score = task.class_scores if task.class_measure else task.track_scores
    return np.stack([score(p, t) for p, t in member.seeds])
