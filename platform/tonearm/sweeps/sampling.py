"""Optuna chooses the next settings. The study is rebuilt from the results so far, so that it need not be stored."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tonearm.core.seeding import derive_seed
from tonearm.sweeps.domains import Choice, Domain, Integers, LogUniform, from_parameter, to_parameter
from tonearm.sweeps.space import SearchSpace, Values
from tonearm.sweeps.strategies import Gp, Tpe

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Observation:
    """Settings and their result.

    Attributes
    ----------
    score
        The best validation value of the task's primary metric, at the end or up to the rung; None while the trial runs.
    failed
        Whether the trial failed, so that there will be no score.
    rung
        Where the score was reached, if that was not the end: what came farther is better, whatever the scores.
    """

    values: Values
    score: float | None = None
    failed: bool = False
    rung: int | None = None


def suggest(space: SearchSpace, search: Tpe | Gp, seen: Sequence[Observation], number: int, attempt: int = 0) -> Values:
    """The most promising settings, given the results so far.

    Parameters
    ----------
    seen
        All settings so far: those without a score are being tried, and their neighbourhood is left to them.
    number
        How many were tried before; with it the draw is the same every time.
    attempt
        How often a suggestion for this number could not work.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = _sampler(search, derive_seed("search", space.seed, number, attempt) % 2**32)
        direction = optuna.study.StudyDirection
        study = optuna.create_study(
            direction=direction.MAXIMIZE if space.trial.task.maximise else direction.MINIMIZE, sampler=sampler
        )
        distributions = {path: distribution(domain) for path, domain in space.over.items()}
        for observation in seen:
            study.add_trial(_frozen(space, observation, distributions))
        suggested = study.ask(distributions)
    return {path: from_parameter(domain, suggested.params[path]) for path, domain in space.over.items()}


def _sampler(search: Tpe | Gp, seed: int) -> optuna.samplers.BaseSampler:
    import optuna

    if isinstance(search, Gp):
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=search.startup)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.startup, multivariate=True, constant_liar=True)


def _frozen(space: SearchSpace, observation: Observation, distributions: dict[str, Any]) -> optuna.trial.FrozenTrial:
    import optuna

    state = optuna.trial.TrialState
    parameters = {path: to_parameter(domain, observation.values[path]) for path, domain in space.over.items()}
    if observation.score is None:
        running = state.FAIL if observation.failed else state.RUNNING
        return optuna.trial.create_trial(state=running, params=parameters, distributions=distributions)
    if observation.rung is None:
        return optuna.trial.create_trial(params=parameters, distributions=distributions, value=observation.score)
    # Optuna ranks what was pruned behind what is complete, then by step, then by score.
    return optuna.trial.create_trial(
        state=state.PRUNED, params=parameters, distributions=distributions,
        intermediate_values={observation.rung: observation.score},
    )  # fmt: skip


def distribution(domain: Domain) -> optuna.distributions.BaseDistribution:
    """A domain as Optuna has it; of a choice the number of the option, since an option may be a whole config."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Choice):
        return CategoricalDistribution(tuple(range(len(domain.options))))
    if isinstance(domain, Integers):
        return IntDistribution(domain.low, domain.high)
    return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))
