"""Population-based training in generations, each of ordinary trials that go on from trials of the one before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.sweeps.domains import Choice, Domain, Integers, LogUniform
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.sweeps.results import TrialResult
from tonearm.sweeps.space import SearchSpace, Values
from tonearm.sweeps.strategies import Population
from tonearm.training.config import Member, TrialConfig


def next_generation(
    space: SearchSpace,
    search: Population,
    make: Callable[[Sequence[Values]], list[TrialConfig]],
    ledger: Ledger,
    results: Mapping[int, TrialResult],
) -> list[Proposal] | Literal["wait", "finished"]:
    """The next generation, when the last one has ended.

    Members are ranked by the validation score of their last epoch. The worst go on from one of the best, drawn at
    random, with its settings perturbed a little; so does a member that failed.

    Parameters
    ----------
    make
        The trials of some settings.
    results
        Of the trials that have ended, by index.
    """
    size, task, epochs = space.trials, space.trial.task, space.trial.optim.epochs
    generation = len(ledger.proposals) // size
    last = ledger.proposals[-size:]
    if generation >= search.generations:
        return "finished"
    if any(p.index not in results for p in last):
        return "wait"
    sign = 1.0 if task.maximise else -1.0
    alive = {p.index: sign * results[p.index].history[-1][f"validation_{task.primary}"]
             for p in last if results[p.index].history and results[p.index].ending != "failed"}  # fmt: skip
    if not alive:
        return "finished"
    ranked = sorted((p for p in last if p.index in alive), key=lambda p: (alive[p.index], -p.index))
    some = min(max(1, int(search.quantile * size)), max(1, len(ranked) // 2))
    best, worst = ranked[-some:], {p.index for p in ranked[:some] if len(ranked) > 1}
    rng = np.random.default_rng(derive_seed("population", space.seed, generation))
    found = []
    for place, member in enumerate(last):
        source, values = member, member.values
        if member.index not in alive or member.index in worst:
            source = best[int(rng.integers(len(best)))]
            perturbed = {path: perturb(space.over[path], v, search.step, rng) for path, v in source.values.items()}
            values = perturbed if _is_valid(make, perturbed) else source.values
        start = Member(name="start", trial=source.config.signature(), bundle=ledger.trial(source).uri)
        changes = {"start": start, "seed": member.config.seed}  # its own order of windows, whosever weights it has
        config = limit_to_generation(make([values])[0], search, generation, epochs).replace(changes)
        found.append(Proposal(generation * size + place, place, values, config))
    return found


def _is_valid(make: Callable[[Sequence[Values]], list[TrialConfig]], values: Values) -> bool:
    try:
        make([values])
    except ConfigError:
        return False
    return True


def limit_to_generation(config: TrialConfig, search: Population, generation: int, epochs: int) -> TrialConfig:
    """A trial that ends where its generation does, of ``epochs`` of all of them."""
    # A member without progress is replaced, not stopped: its patience is all of the epochs.
    return config.replace({"optim.epochs": epochs // search.generations * (generation + 1), "optim.patience": epochs})


def perturb(domain: Domain, value: Any, step: float, rng: np.random.Generator) -> Any:
    """A setting near another one, within its domain: a factor up or down, or a neighbouring option."""
    up = bool(rng.integers(2))
    if isinstance(domain, Choice):
        place = domain.options.index(value) + (1 if up else -1)
        return domain.options[min(max(place, 0), len(domain.options) - 1)]
    # A factor would never leave zero, nor one: there the step is a part of the range.
    if isinstance(domain, Integers):
        distance = max(1, round(abs(value) * (step - 1)))
        return min(max(value + (distance if up else -distance), domain.low), domain.high)
    if isinstance(domain, LogUniform):
        return domain.within(value * step if up else value / step)
    distance = (step - 1) * max(abs(value), 0.1 * (domain.high - domain.low))
    return domain.within(value + (distance if up else -distance))
