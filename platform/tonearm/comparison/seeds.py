"""Variance between seeds, and metrics with the two sides' predictions swapped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core.types import FloatArray
from tonearm.tasks.base import Task

RunPredictions = tuple[FloatArray, np.ndarray]  # predictions (tracks, outputs), and the target
Cell = tuple[str, int]  # the value of a field within which cells are alike, and the number of the cell


@dataclass(frozen=True)
class RunScores:
    """The scores of a side's runs.

    Attributes
    ----------
    scores
        Of each member those of its seeds, (seeds,).
    weights
        Of the members, with sum 1.
    cells
        Of each member the cell that it shares with its partners on the other side; () without partners.
    """

    scores: tuple[np.ndarray, ...]
    weights: tuple[float, ...]
    cells: tuple[Cell, ...] = ()


def seed_variance(one: RunScores, two: RunScores) -> list[tuple[float, float]]:
    """Variances that training adds to the difference of two sides, each with its degrees of freedom.

    Of partners with several seeds that of the seeds; else that of the differences
    between partners, if there are several. Of sides without partners, that between the members. Empty if it cannot
    be estimated. Members of a side are assumed to have equal seed variance.
    """
    own = [_between_members(side) or _between_seeds(side) for side in (one, two)]
    found = [part for part in own if part is not None]
    return found if len(found) == 2 else _between_cells(one, two)


def _between_members(side: RunScores) -> tuple[float, float] | None:
    """Of members that were drawn by chance: what else differs between them is a part of it."""
    if side.cells or len(side.scores) < 2:
        return None
    variance = float(np.var([s.mean() for s in side.scores], ddof=1))
    return variance * sum(w**2 for w in side.weights), len(side.scores) - 1


def _between_seeds(side: RunScores) -> tuple[float, float] | None:
    freedom = sum(len(s) - 1 for s in side.scores)
    if not freedom:
        return None
    variance = sum(float(((s - s.mean()) ** 2).sum()) for s in side.scores) / freedom
    return variance * sum(w**2 / len(s) for w, s in zip(side.weights, side.scores, strict=True)), freedom


def _between_cells(one: RunScores, two: RunScores) -> list[tuple[float, float]]:
    """Of the mean of the cells' differences; within each value of the other field, if all have several cells."""
    means = [_mean_of_cells(side) for side in (one, two)]
    each: dict[str, list[float]] = {}
    for cell, value in means[0].items():
        each.setdefault(cell[0], []).append(value - means[1][cell])
    parts = list(each.values())
    if min(map(len, parts), default=0) < 2:
        parts = [[d for part in parts for d in part]]
    count = sum(map(len, parts))
    return [(len(p) / count**2 * float(np.var(p, ddof=1)), len(p) - 1) for p in parts] if count > 1 else []


def _mean_of_cells(side: RunScores) -> dict[Cell, float]:
    found: dict[Cell, list[float]] = {}
    for cell, scores in zip(side.cells, side.scores, strict=False):
        found.setdefault(cell, []).append(float(scores.mean()))
    return {cell: float(np.mean(values)) for cell, values in found.items()}


def difference_with_swaps(
    one: Sequence[tuple[float, RunPredictions]],
    two: Sequence[tuple[float, RunPredictions]],
    name: str,
    task: Task,
    groups: Sequence[str],
) -> Callable[[np.ndarray], float]:
    """A metric's difference of two sides, given the tracks whose predictions are swapped, bool (tracks,).

    Parameters
    ----------
    one, two
        The runs with their weights, whose sum is 1.
    name
        Of the metric.
    """
    couples = coupled(one, two)

    def difference(swapped: np.ndarray) -> float:
        total = 0.0
        for weight, first, second in couples:
            a, b = (_where(swapped, *sides) for sides in ((second, first), (first, second)))
            values = [task.selected_metrics((name,), p, t, groups)[name] for p, t in (a, b)]
            total += weight * (values[0] - values[1])
        return total

    return difference


def coupled(
    one: Sequence[tuple[float, RunPredictions]], two: Sequence[tuple[float, RunPredictions]]
) -> list[tuple[float, RunPredictions, RunPredictions]]:  # fmt: skip
    """The runs of both sides by two, with weights by which each run counts as it does on its own side."""
    found: list[tuple[float, RunPredictions, RunPredictions]] = []
    left, right = list(one), list(two)
    while left and right:
        (a, first), (b, second) = left[0], right[0]
        shared = min(a, b)
        found.append((shared, first, second))
        left[0], right[0] = (a - shared, first), (b - shared, second)
        left, right = ([r for r in side if r[0] > 1e-12] for side in (left, right))
    return found


def _where(chosen: np.ndarray, one: RunPredictions, two: RunPredictions) -> RunPredictions:
    """Of the chosen tracks what the first says, of the others what the second says."""
    p, t = (np.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(one, two, strict=True))
    return p, t
