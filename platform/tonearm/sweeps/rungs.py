"""Which configurations are trained on: decided at rungs, by the mean of their seeds, after equally many steps.

A rung is a share of the base's optimiser steps. A trial that reaches one is paused there, all of it on disk; its
configuration goes on when all of its seeds have come as far and the scheduler lets it. What is decided follows from the
histories alone, so a driver that starts again decides as the one before.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np

from tonearm.sweeps.results import TrialResult
from tonearm.sweeps.strategies import Asha, Median, Scheduler
from tonearm.tasks.base import Task
from tonearm.training.config import TrialConfig

LEAST = 2
"""Configurations that go on at each rung, however few there are: a comparison needs two."""


@dataclass(frozen=True)
class Rungs:
    """The rungs of a scheduler, in epochs of each trial.

    Attributes
    ----------
    base
        The trial that is varied: rungs are shares of its steps.
    """

    scheduler: Scheduler
    base: TrialConfig

    @property
    def last(self) -> int:
        """The level above all rungs: trained to its own end."""
        return len(self.scheduler.rungs)

    def epochs(self, config: TrialConfig) -> tuple[int, ...]:
        """Of each rung the first epoch of a trial at whose end it has made so many steps; then its last epoch.

        A trial with batches twice as large needs twice as many epochs for as many steps; it may end before a rung.
        """
        own, base = config.optim.max_epochs, self.base.optim.max_epochs * _steps(self.base)
        found = (math.ceil(share * base / _steps(config) - 1e-6) for share in self.scheduler.rungs)
        return (*(min(max(1, epoch), own) for epoch in found), own)

    def reached(self, result: TrialResult, level: int) -> bool:
        """Whether a trial has reached a rung, or has ended by itself before."""
        return result.ending == "completed" or len(result.history) >= self.epochs(result.config)[level]

    def score(self, result: TrialResult, level: int) -> tuple[float, float]:
        """The best epoch up to a rung: as schedulers judge it (larger is better), and its primary metric."""
        task, seen = result.config.task, result.history[: self.epochs(result.config)[level]]
        return max((scheduler_score(task, h), float(h[f"validation_{task.primary}"])) for h in seen)

    def average(self, result: TrialResult, level: int) -> float:
        """The mean over the epochs up to a rung, as schedulers judge them."""
        task, seen = result.config.task, result.history[: self.epochs(result.config)[level]]
        return float(np.mean([scheduler_score(task, h) for h in seen]))


def _steps(config: TrialConfig) -> float:
    """Optimiser steps that a training track makes an epoch."""
    return config.window.train_per_track / (config.optim.batch_size * config.optim.accumulate)


def levels(rungs: Rungs, configurations: Mapping[int, Sequence[TrialResult]], complete: bool) -> dict[int, int]:
    """The rung that each configuration is trained to; :attr:`Rungs.last`: to its end.

    Configurations are looked at in their order, not as they happen to come: one is judged when those before it have
    come as far, too. So the same are trained on whatever the number of workers, and whoever was killed when.

    Parameters
    ----------
    configurations
        The trials of each, one a seed, as far as they have come. One of which a seed failed does not rise.
    complete
        Whether no more configurations will be proposed.
    """
    found = dict.fromkeys(configurations, 0)
    order = [c for c in sorted(configurations) if all(r.ending != "failed" for r in configurations[c])]
    for level in range(rungs.last):
        there = list(takewhile(lambda c, at=level: all(rungs.reached(r, at) for r in configurations[c]), order))  # type: ignore[misc]
        complete = complete and len(there) == len(order)  # nobody else can come to this rung
        order = _rising(rungs, {c: configurations[c] for c in there}, level, complete)
        found |= dict.fromkeys(order, level + 1)
    return found


def _rising(rungs: Rungs, there: Mapping[int, Sequence[TrialResult]], level: int, complete: bool) -> list[int]:
    """Those of a rung that go on, in the order in which they may."""
    if isinstance(rungs.scheduler, Median):
        return _above_median(rungs, rungs.scheduler.others, there, level)
    if not isinstance(rungs.scheduler, Asha):
        return list(there)
    ranked: list[tuple[float, int]] = []  # the best first
    rising: dict[int, None] = {}
    for c, seeds in there.items():
        mine = (-float(np.mean([rungs.score(r, level)[0] for r in seeds])), c)
        insort(ranked, mine)
        places = len(ranked) // rungs.scheduler.reduction
        best = {c} if bisect_left(ranked, mine) < places else set()
        # A place more is that of the next one; else nobody but the new one can have come to the best.
        best |= {ranked[places - 1][1]} if places else set()
        rising |= dict.fromkeys(sorted(best))
    if complete:
        rising |= dict.fromkeys(c for _, c in ranked[: max(len(ranked) // rungs.scheduler.reduction, LEAST)])
    return list(rising)


def _above_median(rungs: Rungs, others: int, there: Mapping[int, Sequence[TrialResult]], level: int) -> list[int]:
    averages: list[float] = []
    rising = []
    for c, seeds in there.items():
        score = float(np.mean([rungs.score(r, level)[0] for r in seeds]))
        if len(averages) < others or score >= float(np.median(averages)):
            rising.append(c)
        averages.append(float(np.mean([rungs.average(r, level) for r in seeds])))
    return rising


def scheduler_score(task: Task, metrics: Mapping[str, Any]) -> float:
    """An epoch's validation score, the tie-breaking metric deciding among equals as in :meth:`Task.better`.

    On a few dozen tracks many trials have one and the same share of hits, and a scheduler lets all of them go on.
    """
    primary, tie_breaker = (
        float(metrics[f"validation_{task.primary}"]),
        float(metrics[f"validation_{task.tie_breaker}"]),
    )
    if math.isnan(primary):
        return -math.inf
    tie = 0.0 if math.isnan(tie_breaker) or tie_breaker < 0 else tie_breaker / (1 + tie_breaker)
    return (primary if task.maximise else -primary) - 1e-6 * tie
