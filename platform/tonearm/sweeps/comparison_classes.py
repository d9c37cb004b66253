"""On which classes two sides differ: by the tracks of each, or by what is said of each on all tracks."""

from __future__ import annotations

import dataclasses

import numpy as np

from tonearm.core.significance import holm, mean_difference, randomisation_test
from tonearm.sweeps.comparison_contrast import ClassChange, Side, class_changes, common_sides
from tonearm.tasks import SingleLabel, Tabular
from tonearm.tasks.base import Task


def class_measure(task: Task) -> str:
    """What the difference on a class is of, for people."""
    if isinstance(task, SingleLabel | Tabular):
        return "recall"  # its tracks' share of right answers
    own = task.class_measure
    return f"{own} of the class on all tracks" if own else f"{task.primary} on the tracks of the class"


def changes_by_class(first: Side, second: Side) -> list[ClassChange]:
    """The difference on each class, the largest gain first; none without classes.

    Where a track has one class, or the task says nothing of single classes: of the scores of the class's tracks. Else
    of the class's own score on all tracks, those that do not have it included.
    """
    task = first.members[0].task
    if not task.class_measure:
        return class_changes(first, second)
    first, second = common_sides(first, second)
    own, one, two = first.members[0], _scores(first), _scores(second)
    found = []
    for i, name in enumerate(own.classes):
        count = int((own.target[:, i] > 0).sum())
        if count:
            difference = mean_difference(one[:, i], two[:, i], own.groups)
            p = randomisation_test(one[:, i], two[:, i], own.groups)
            found.append(ClassChange(name, count, difference.value, difference, p, p))
    values = holm([c.p for c in found])
    found = [dataclasses.replace(c, adjusted=p) for c, p in zip(found, values, strict=True)]
    sign = 1 if task.maximise else -1
    return sorted(found, key=lambda c: (-sign * c.value, c.name))


def _scores(side: Side) -> np.ndarray:
    """Of each track and class, (tracks, classes): the mean over seeds, then over members by their weights."""
    each = [np.mean([m.task.class_scores(p, t) for p, t in m.seeds], axis=0) for m in side.members]
    scores: np.ndarray = np.average(each, axis=0, weights=side.weights)
    return scores
