"""The next proposals as a function of the ledger and the results so far: so any search goes on after a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tonearm.core.errors import ConfigError, JobError
from tonearm.datasets.manifest import Manifest
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.sweeps.population import limit_to_generation, next_generation
from tonearm.sweeps.results import TrialResult
from tonearm.sweeps.rungs import Rungs
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

        A ledger that was finished goes on where more seeds or trials are wanted now.

        Parameters
        ----------
        results
            Of the trials that have ended, by index; a search that learns is also told of those that are paused.

        Raises
        ------
        JobError
            If a search finds no settings that can work.
        """
        proposals, search = ledger.proposals, self.space.search
        if isinstance(search, Population) and proposals:
            ended = {index: result for index, result in results.items() if result.ending != "paused"}
            return next_generation(self.space, search, self._resolved, ledger, ended)
        known = _configurations(proposals)
        first = self._first()
        tried = [own[0].values for own in known.values()]
        fresh = [v for v in first if v not in tried]
        if not isinstance(search, Grid):
            fresh = fresh[: max(0, len(first) - len(known))]
        found = self._more_seeds(known, len(proposals))
        found += self._proposals(fresh, len(proposals) + len(found), len(known))
        if found:
            return found
        configurations = len(known)
        if not isinstance(search, Tpe | Gp) or configurations >= self.space.trials:
            return "finished"
        seen = [*self.earlier, *self._observations(proposals, results)]
        problems: Counter[str] = Counter()
        for attempt in range(MAX_ATTEMPTS):
            values = suggest(self.space, search, seen, configurations, attempt)
            try:
                return self._proposals([values], len(proposals), configurations)
            except ConfigError as error:
                seen.append(Observation(values, failed=True))  # settings that do not go together: others are drawn
                problems.update(text.partition("): ")[2] or text for text in error.problems)
        often, count = problems.most_common(1)[0]
        raise JobError(
            f"{MAX_ATTEMPTS} settings in a row that the search found promising cannot work, after {configurations} of "
            f"{self.space.trials} configurations; most often ({count} times): {often}. Narrow the fields "
            f"({', '.join(self.space.over)}) so that their values go together, or sweep by Random(); the trials that "
            "were trained are kept"
        )

    def wanted(self, proposals: Sequence[Proposal]) -> set[int]:
        """The indices of the trials that are asked for now; a sweep that has more was asked for more before."""
        if isinstance(self.space.search, Population):
            return {p.index for p in proposals}
        known = _configurations(proposals)
        return {p.index for c, own in known.items() if self._wants(c) for p in own[: self.space.seeds]}

    def _wants(self, configuration: int) -> bool:
        return isinstance(self.space.search, Grid) or configuration < self.space.trials

    def _first(self) -> list[Values]:
        """The proposals known beforehand: the best earlier settings, then the space's own, none twice."""
        own, found = self.space.points(), [o.values for o in self.earlier[:FIRST_FROM_EARLIER]]
        found += [p for p in own if p not in found]
        return found if isinstance(self.space.search, Grid) else found[: len(own)]

    def _more_seeds(self, known: Mapping[int, Sequence[Proposal]], first: int) -> list[Proposal]:
        """The seeds that configurations lack."""
        found: list[Proposal] = []
        for configuration, own in known.items():
            lacking = range(len(own), self.space.seeds)  # they are proposed in their order
            if lacking and self._wants(configuration):
                (config,) = self._resolved([own[0].values])
                found += self._seeded(own[0].values, config, configuration, lacking, first + len(found))
        return found

    def _proposals(self, points: Sequence[Values], first: int, configuration: int) -> list[Proposal]:
        search = self.space.search
        found: list[Proposal] = []
        for i, (values, config) in enumerate(zip(points, self._resolved(points), strict=True)):
            if isinstance(search, Population):
                config = limit_to_generation(config, search, 0, self.base.optim.epochs)
            found += self._seeded(values, config, configuration + i, range(self.space.seeds), first + len(found))
        return found

    def _seeded(
        self, values: Values, config: TrialConfig, configuration: int, seeds: Sequence[int], first: int
    ) -> list[Proposal]:
        found = []
        for i, s in enumerate(seeds):
            seeded = self.space.seeded(config, s)
            if self.members:
                seeded = seeded.replace({"members": self.members[s]})
            found.append(Proposal(first + i, configuration, values, seeded))
        return found

    def _resolved(self, points: Sequence[Values]) -> list[TrialConfig]:
        return [bind_to_data(config, self.manifest) for config in self.space.configs(points, self.base)]

    def _observations(self, proposals: Sequence[Proposal], results: Mapping[int, TrialResult]) -> list[Observation]:
        """Each configuration with the mean of its seeds' scores at the highest rung that all of them have reached;
        without a score while one that is asked for is on its way to the first. Seeds that were asked for before, and
        not now, count where they are known.

        A Gaussian process takes scores as numbers, so it is given all at one rung: the highest that all have reached.
        """
        rungs = Rungs(self.space.scheduler, self.space.trial)
        found: list[tuple[Proposal, list[TrialResult], bool, int]] = []
        for own in _configurations(proposals).values():
            known = [results[p.index] for p in own if p.index in results]
            failed = any(r.ending == "failed" for r in known)
            levels = [sum(rungs.reached(r, level) for level in range(rungs.last + 1)) - 1 for r in known]
            level = -1 if failed or len(known) < min(len(own), self.space.seeds) else min(levels)
            found.append((own[0], known, failed, level))
        common = min((level for *_, level in found if level >= 0), default=-1)
        observations = []
        for first, known, failed, level in found:
            at = min(level, common) if isinstance(self.space.search, Gp) else level
            score = sum(rungs.score(r, at)[1] for r in known) / len(known) if at >= 0 else None
            whole = at == rungs.last or isinstance(self.space.search, Gp)
            observations.append(Observation(first.values, score, failed, None if whole else at))
        return observations


def _configurations(proposals: Sequence[Proposal]) -> dict[int, list[Proposal]]:
    """Proposals by configuration, in the order in which these were proposed."""
    found: dict[int, list[Proposal]] = {}
    for proposal in proposals:
        found.setdefault(proposal.configuration, []).append(proposal)
    return found
