"""The next proposals as a function of the ledger and the results so far: so any search goes on after a kill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tonearm.core.errors import ConfigError
from tonearm.datasets.manifest import Manifest
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.sweeps.population import limit_to_generation, next_generation
from tonearm.sweeps.results import TrialResult
from tonearm.sweeps.sampling import Observation, suggest
from tonearm.sweeps.space import SearchSpace, Values
from tonearm.sweeps.strategies import Gp, Grid, Population, Tpe
from tonearm.training.config import Member, TrialConfig
from tonearm.training.examples import bind_to_data

Next = list[Proposal] | Literal["wait", "finished"]
FIRST_FROM_EARLIER = 3
MAX_ATTEMPTS = 50


@dataclass(frozen=True)
class Proposer:
    """Proposes the trials of a space.

    Attributes
    ----------
    base
        The trial that is varied, its members filled in.
    manifest
        The data, from which the open fields of the config are filled in.
    earlier
        Settings of earlier runs, the best first: the first few are tried first, and a model-based search learns from
        all that have a score.
    members
        The trained parts of the network for each seed; none: those of ``base`` for all.
    """

    space: SearchSpace
    base: TrialConfig
    manifest: Manifest
    earlier: Sequence[Observation] = field(default=())
    members: Sequence[tuple[Member, ...]] = field(default=())

    def next(self, ledger: Ledger, results: Mapping[int, TrialResult]) -> Next:
        """The next proposals; ``"wait"`` until more trials have ended; ``"finished"`` when there are no more.

        Parameters
        ----------
        results
            Of the trials that have ended, by index.
        """
        proposals, search = ledger.proposals, self.space.search
        if not proposals:
            return self._proposals(self._first(), 0, 0)
        if isinstance(search, Population):
            return next_generation(self.space, search, self._resolved, ledger, results)
        if not isinstance(search, Tpe | Gp):
            return "finished"
        configurations = proposals[-1].configuration + 1
        if configurations >= self.space.trials:
            return "finished"
        seen = [*self.earlier, *_observations(proposals, results)]
        for attempt in range(MAX_ATTEMPTS):
            values = suggest(self.space, search, seen, configurations, attempt)
            try:
                return self._proposals([values], len(proposals), configurations)
            except ConfigError:
                seen.append(Observation(values, failed=True))  # settings that do not go together: others are drawn
        return "finished"

    def _first(self) -> list[Values]:
        """The proposals known beforehand: the best earlier settings, then the space's own, none twice."""
        own, found = self.space.points(), [o.values for o in self.earlier[:FIRST_FROM_EARLIER]]
        found += [p for p in own if p not in found]
        return found if isinstance(self.space.search, Grid) else found[: len(own)]

    def _proposals(self, points: Sequence[Values], first: int, configuration: int) -> list[Proposal]:
        search = self.space.search
        found: list[Proposal] = []
        for i, (values, config) in enumerate(zip(points, self._resolved(points), strict=True)):
            if isinstance(search, Population):
                config = limit_to_generation(config, search, 0, self.base.optim.epochs)
            for s in range(self.space.seeds):
                seeded = config.replace({"seed": config.seed + s})
                if self.members:
                    seeded = seeded.replace({"members": self.members[s]})
                found.append(Proposal(first + len(found), configuration + i, values, seeded))
        return found

    def _resolved(self, points: Sequence[Values]) -> list[TrialConfig]:
        return [bind_to_data(config, self.manifest) for config in self.space.configs(points, self.base)]


def _observations(proposals: Sequence[Proposal], results: Mapping[int, TrialResult]) -> list[Observation]:
    """Each configuration with the mean of its seeds' best scores; without a score while one of them runs."""
    by_configuration: dict[int, list[Proposal]] = {}
    for proposal in proposals:
        by_configuration.setdefault(proposal.configuration, []).append(proposal)
    found = []
    for own in by_configuration.values():
        ended = [results[p.index] for p in own if p.index in results]
        scores = [r.best for r in ended if r.best is not None]
        failed = any(r.best is None for r in ended)
        score = sum(scores) / len(scores) if len(scores) == len(own) else None
        found.append(Observation(own[0].values, score, failed))
    return found
