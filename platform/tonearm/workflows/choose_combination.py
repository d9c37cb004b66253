"""How an ensemble's members are combined: the simplest way, unless another is better by more than noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tonearm.comparison.contrast import SIGNIFICANCE_LEVEL, format_p_value, format_value
from tonearm.core.types import FloatArray
from tonearm.ensembles.combination import MEAN, NAMES
from tonearm.tasks.base import Task
from tonearm.workflows.paired import compare_predictions


def best_combination(
    task: Task, target: np.ndarray, groups: Sequence[str], held_out: Mapping[str, Sequence[FloatArray]]
) -> tuple[str, str]:
    """The kind of combination that is taken, and why, in a clause; "" where there was one alone.

    One that is less simple takes the place of what stands if it is better in ``task.selected_by`` by more than noise,
    the level being divided by how many ask (Bonferroni).

    Parameters
    ----------
    target, groups
        Of the tracks.
    held_out
        By kind, the simplest first, what was predicted by what was fitted on other tracks, one array or several.
    """
    if len(held_out) < 2:
        return MEAN, ""
    metric = task.selected_by[0]
    upwards = 1 if task.metric(metric).maximise else -1

    def value(kind: str) -> float:
        return float(np.mean([task.selected_metrics((metric,), p, target, groups)[metric] for p in held_out[kind]]))

    stands, *others = held_out
    values = {kind: value(kind) for kind in held_out}
    said = [f"{NAMES[stands]} {format_value(values[stands])}"]
    for kind in others:
        tested = ""
        if upwards * (values[kind] - values[stands]) > 0:  # what is no better need not be tested
            found = compare_predictions(task, target, groups, held_out[kind], held_out[stands], metric)
            tested = f" (p {format_p_value(found.p)})" if found else ""
            if found and found.p < SIGNIFICANCE_LEVEL / len(others):
                stands = kind
        said.append(f"{NAMES[kind]} {format_value(values[kind])}{tested}")
    return stands, f"members are combined by {NAMES[stands]}; {metric} there of {', '.join(said)}"
