"""The best single trial: by what decides, and what is asked of it where another was solved in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.comparison.contrast import SIGNIFICANCE_LEVEL, format_p_value, format_value
from tonearm.core.types import FloatArray
from tonearm.ensembles.select import losses_of
from tonearm.sweeps.results import TrialResult
from tonearm.tasks.base import Task
from tonearm.workflows.paired import compare_predictions


@dataclass(frozen=True)
class Single:
    """The best alone.

    Attributes
    ----------
    place
        Of the trials that were chosen from, its number.
    challenger, p
        The trial that has a better loss, and how likely that is noise; None where none has.
    asked
        What ``p`` would have had to be below.
    """

    place: int
    challenger: int | None = None
    p: float = 1.0
    asked: float = SIGNIFICANCE_LEVEL


def best_single(
    trials: Sequence[TrialResult], lone: Sequence[int], predictions: Sequence[FloatArray], target: np.ndarray,
    groups: Sequence[str],
) -> Single:  # fmt: skip
    """Of trials the best by ``task.selected_by``, the log loss as a rule: hits on a few dozen tracks say less.

    A trial that was solved gives way only to one that is better by more than noise. What is trained in steps keeps the
    epoch, and the best of several trials the settings, that were best on these very tracks, which flatters them; of a
    solution nothing was chosen there.

    Parameters
    ----------
    trials
        All that are chosen from; ``lone`` are the numbers of those that may be taken alone.
    predictions
        Of each trial, calibrated, (tracks, outputs).
    target, groups
        Of the tracks.
    """
    task = trials[lone[0]].config.task
    losses = {i: losses_of(predictions[i], target, task, groups) for i in lone}
    best = min(lone, key=losses.__getitem__)
    solved = [i for i in lone if trials[i].config.model.solved]
    if not solved or losses[best] == min(losses[i] for i in solved):
        return Single(best if not solved else min(solved, key=losses.__getitem__))
    first = min(solved, key=losses.__getitem__)
    asked = SIGNIFICANCE_LEVEL / (len(lone) - len(solved))  # the best of so many (Bonferroni)
    found = compare_predictions(task, target, groups, (predictions[best],), (predictions[first],), task.selected_by[0])
    p = found.p if found else 1.0
    return Single(best, None, p, asked) if p < asked else Single(first, best, p, asked)


def why_single(
    single: Single, trials: Sequence[TrialResult], lone: Sequence[int], predictions: Sequence[FloatArray],
    target: np.ndarray, groups: Sequence[str],
) -> str:  # fmt: skip
    """By what a trial is the best alone, which one follows, and which one the primary metric would have chosen."""
    task, chosen, others = trials[single.place].config.task, single.place, [i for i in lone if i != single.place]
    decides = task.selected_by[0]

    def value(i: int, metric: str) -> float:
        return task.selected_metrics((metric,), predictions[i], target, groups)[metric]

    def said(i: int, metric: str) -> str:
        return f"trial {trials[i].index:02d} {format_value(value(i, metric))}"

    def best_of(metric: str) -> int:
        return max(others, key=lambda i: _upwards(task, metric, value(i, metric)))

    if not others:
        return f"trial {trials[chosen].index:02d} is the only one that can be taken alone"
    tracks = f"{len(target)} validation tracks"
    if single.challenger is not None:
        return (
            f"of {len(lone)} trials {said(chosen, decides)} was solved, and stays: {said(single.challenger, decides)}, "
            f"which chose its epoch on these {tracks}, has the better {decides} there, but p is "
            f"{format_p_value(single.p)}, and below {single.asked:.3g} is asked"
        )
    text = (f"of {len(lone)} trials, calibrated, {said(chosen, decides)} has the best {decides} on {tracks}, "
            f"{said(best_of(decides), decides)} follows")  # fmt: skip
    first = best_of(task.primary)
    if _upwards(task, task.primary, value(first, task.primary)) > _upwards(
        task, task.primary, value(chosen, task.primary)
    ):
        text += (f"; by {task.primary}, which says less of so few, it would have been {said(first, task.primary)} "
                 f"before {said(chosen, task.primary)}")  # fmt: skip
    return text


def _upwards(task: Task, metric: str, value: float) -> float:
    """A metric's value, the larger the better."""
    return value if task.metric(metric).maximise else -value
