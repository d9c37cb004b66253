"""How a space is searched, and when a poor trial is stopped: data, read by the proposers and by Ray Tune."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """Every combination of all choices, in their order; ``trials`` of the space plays no part."""


@dataclass(frozen=True)
class Random:
    """A Latin hypercube, so that every option of every field is tried about equally often."""


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


Search = Grid | Random | Tpe | Gp | Population


@dataclass(frozen=True)
class Full:
    """Every trial is trained to its own end."""


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving by epochs (Li et al. 2020).

    Attributes
    ----------
    grace
        Epochs every trial gets.
    reduction
        Of ``reduction`` trials at a rung one goes on.
    """

    grace: int = 2
    reduction: int = 3


@dataclass(frozen=True)
class Median:
    """The median stopping rule (Golovin et al. 2017): a trial whose best is below the median of the others' means.

    Attributes
    ----------
    grace
        Epochs every trial gets.
    others
        Trials that must have come as far before one is stopped.
    """

    grace: int = 4
    others: int = 3


Scheduler = Full | Asha | Median


def strategy_text(strategy: Search | Scheduler) -> str:
    """A search or scheduler for people: ``asha grace=2 reduction=3``."""
    fields = [f"{f.name}={getattr(strategy, f.name):g}" for f in dataclasses.fields(strategy)]
    return " ".join([type(strategy).__name__.lower(), *fields])
