"""How a space is searched, and when a poor trial is stopped: data, read by the proposers and by Ray Tune."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tonearm.training.optim import OptimConfig


@dataclass(frozen=True)
class Grid:
    """Every combination of all choices, in their order; ``trials`` of the space plays no part."""


@dataclass(frozen=True)
class Random:
    """A scrambled Sobol sequence: every option of every field about equally often, and more trials only add."""


@dataclass(frozen=True)
class Tpe:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011; multivariate as in Falkner et al. 2018).

    Attributes
    ----------
    startup
        Configurations that are drawn at random before it learns.
    """

    startup: int = 8


@dataclass(frozen=True)
class Gp:
    """Optuna's Gaussian process with expected improvement: for few, expensive trials.

    Attributes
    ----------
    startup
        Configurations that are drawn at random before it learns.
    """

    startup: int = 8


@dataclass(frozen=True)
class Population:
    """Population-based training (Jaderberg et al. 2017), in generations.

    The space's ``trials`` are the population. After each generation the worst take over the weights of the best, with
    their settings changed a little; every other one goes on as it was. A member of a generation is an ordinary trial
    that names the trial it goes on from, so a killed sweep goes on like any other, with the same result.

    Attributes
    ----------
    generations
        How many; each has an equal part of the base's epochs.
    quantile
        Share of the population that is replaced, and share that replaces it.
    step
        A float is multiplied or divided by it; a choice moves to a neighbouring option.
    """

    generations: int = 4
    quantile: float = 0.25
    step: float = 1.3

    def problems(self, optim: OptimConfig, trials: int, seeds: int, scheduler: Scheduler) -> list[str]:
        """Why a space cannot be searched so."""
        found = []
        if not isinstance(scheduler, Full):
            found.append("a population replaces its worst members itself: its scheduler is Full()")
        if optim.schedule != "constant" or optim.rounds:
            found.append("a population's rates are its own schedule: optim.schedule is 'constant', without rounds")
        if self.generations < 2 or optim.epochs % self.generations:
            found.append(f"{self.generations} generations: at least 2, and optim.epochs {optim.epochs} a multiple")
        if not 0 < self.quantile <= 0.5 or trials * self.quantile < 1:
            found.append(f"a quantile of {self.quantile} of {trials} trials: at least one of them, at most half")
        if self.step <= 1:
            found.append(f"a step of {self.step}: it must be above 1")
        if seeds > 1:
            found.append("a population is one training of many members: seeds is 1, sweep again with another seed")
        return found


Search = Grid | Random | Tpe | Gp | Population


@dataclass(frozen=True)
class Full:
    """Every trial is trained to its own end."""

    @property
    def rungs(self) -> tuple[float, ...]:
        """None: nobody is stopped."""
        return ()

    def problems(self) -> list[str]:
        return []


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving (Li et al. 2020) of configurations, each judged by the mean of its seeds.

    Attributes
    ----------
    grace
        Share of the base's optimiser steps that every trial gets; a rung is there, and one at each ``reduction`` times
        as many steps.
    reduction
        Of ``reduction`` configurations at a rung one goes on, in all at least two.
    """

    grace: float = 1 / 9
    reduction: int = 3

    @property
    def rungs(self) -> tuple[float, ...]:
        """Shares of the base's steps at which is decided who goes on."""
        return _rungs(self.grace, self.reduction)

    def problems(self) -> list[str]:
        few = [] if self.reduction >= 2 else [f"scheduler: a reduction of {self.reduction}: it must be at least 2"]
        return _grace_problems(self.grace) + few


@dataclass(frozen=True)
class Median:
    """The median stopping rule (Golovin et al. 2017) by configuration: one whose best is below the median of the
    others' means is stopped.

    Attributes
    ----------
    grace
        Share of the base's optimiser steps that every trial gets; one is judged there and at each doubling.
    others
        Configurations that must have come as far before one is stopped.
    """

    grace: float = 1 / 8
    others: int = 3

    @property
    def rungs(self) -> tuple[float, ...]:
        """Shares of the base's steps at which is decided who goes on."""
        return _rungs(self.grace, 2)

    def problems(self) -> list[str]:
        few = [] if self.others >= 1 else [f"scheduler: others is {self.others}: it must be at least 1"]
        return _grace_problems(self.grace) + few


def _rungs(grace: float, factor: int) -> tuple[float, ...]:
    found = []
    while grace < 1 - 1e-9:
        found.append(grace)
        grace *= factor
    return tuple(found)


def _grace_problems(grace: float) -> list[str]:
    if 0 < grace < 1:
        return []
    return [f"scheduler: a grace of {grace:g}: it is a share of the base's optimiser steps, above 0 and below 1; "
            "2 of 18 epochs are 0.11"]  # fmt: skip


Scheduler = Full | Asha | Median


def strategy_text(strategy: Search | Scheduler) -> str:
    """A search or scheduler for people: ``asha grace=2 reduction=3``."""
    fields = [f"{f.name}={getattr(strategy, f.name):g}" for f in dataclasses.fields(strategy)]
    return " ".join([type(strategy).__name__.lower(), *fields])
