"""What a sweep trains next: each trial to the next rung, and on from there where its configuration may go on."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from tonearm.core.errors import JobError
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.sweeps.propose import Proposer
from tonearm.sweeps.results import ENDINGS, TrialResult, result_in_sweep
from tonearm.sweeps.rungs import Rungs, levels
from tonearm.training.config import TrialConfig
from tonearm.training.trial import TrialFolder

Anew = Callable[[str, TrialFolder, TrialConfig], object]


class Agenda:
    """The trials of a sweep, as far as they have come. It follows from what is on disk; the driver alone has it.

    Parameters
    ----------
    anew
        Called with the name, the folder and the config of each trial that is asked for, before it is looked at: it may
        let the trial begin anew.

    Attributes
    ----------
    ledger
        What was proposed.
    results
        The trials that have ended, by index.
    failure
        Why no more could be proposed, if that was an error.
    """

    def __init__(self, proposer: Proposer, ledger: Ledger, anew: Anew | None = None) -> None:
        self.ledger, self._proposer, self._anew = ledger, proposer, anew
        self.results: dict[int, TrialResult] = {}
        self.failure: JobError | None = None
        self._rungs = Rungs(proposer.space.scheduler, proposer.base)
        self._levels: dict[int, int] = {}
        self._paused: dict[int, TrialResult] = {}  # those that have not ended
        self._running: dict[int, int] = {}  # by index the epochs that a trial had when it was handed out
        self._complete = False  # no more trials will be proposed
        self._changed = True  # since the levels were decided
        wanted = proposer.wanted(ledger.proposals)
        self._begin_anew([p for p in ledger.proposals if p.index in wanted])
        for proposal in ledger.proposals:
            if self._completed(proposal):  # by an earlier driver, perhaps another sweep's
                self.end(proposal.index)
            elif proposal.index in wanted:
                self._pause(proposal)

    def next(self) -> tuple[Proposal, int] | Literal["wait", "finished"]:
        """The trial that is to be trained next, and until which epoch; more are proposed where none may go on.

        ``"wait"`` until one that is trained has come to where it is paused, ``"finished"`` where nothing is left.
        """
        while True:
            found = self._ready()
            if found is not None:
                self._running[found.index] = len(self._paused[found.index].history)
                return found, self._until(found)
            if not self._propose():
                return "wait" if self._running else "finished"

    def anything_left(self) -> bool:
        """Whether a trial must be trained on, or proposed."""
        found = self.next()
        if isinstance(found, tuple):
            del self._running[found[0].index]
        return found != "finished"

    def returned(self, index: int, error: str = "") -> None:
        """Note that a trial is not trained any more: it has ended, or is paused."""
        proposal, before = self.ledger.proposals[index], self._running.pop(index)
        if not error and not self._completed(proposal):
            self._pause(proposal)
            if len(self._paused[index].history) > before:
                return
            error = "its process ended without an epoch"
        self.end(index, error)

    def end(self, index: int, error: str = "") -> None:
        """Note that a trial has ended, by itself, by an error, or since nothing more is wanted of it."""
        proposal = self.ledger.proposals[index]
        self._paused.pop(index, None)
        self._changed = True
        self.results[index] = result_in_sweep(self.ledger, proposal, error)

    def stopped(self) -> list[int]:
        """The trials that are paused and will not go on; they are marked."""
        for index in sorted(self._paused):
            self.ledger.stop(self.ledger.proposals[index])
        return sorted(self._paused)

    def states(self) -> dict[str, int]:
        """How many trials are ``running``, ``waiting`` (proposed, or paused), and have ended, by how."""
        endings = Counter(result.ending for result in self.results.values())
        found = {state: endings[state] for state in ENDINGS}
        return {"running": len(self._running), "waiting": len(self._paused) - len(self._running), **found}

    def _ready(self) -> Proposal | None:
        """Of the trials that are to go on one whose configuration has risen highest, the first of those."""
        if self._changed:
            by_configuration: dict[int, list[TrialResult]] = {}
            for p in self.ledger.proposals:
                if p.index not in self.results and p.index not in self._paused:
                    continue  # begun before, and not asked for now
                of = by_configuration.setdefault(p.configuration, [])
                of.append(self.results.get(p.index) or self._paused[p.index])
            self._levels, self._changed = levels(self._rungs, by_configuration, self._complete), False
        waiting = [p for p in self.ledger.proposals if p.index in self._paused and p.index not in self._running]
        ready = [p for p in waiting if self._levels[p.configuration] == self._rungs.last
                 or len(self._paused[p.index].history) < self._until(p)]  # fmt: skip
        return min(ready, key=lambda p: (-self._levels[p.configuration], p.index), default=None)

    def _begin_anew(self, proposals: Sequence[Proposal]) -> None:
        if self._anew is None:
            return
        for proposal in proposals:
            self._anew(f"trial {proposal.name}", self.ledger.trial(proposal), proposal.config)

    def _completed(self, proposal: Proposal) -> bool:
        """Whether nothing of it is left to do: earlier versions' trainings completed trials before these were scored on
        test, and may have been killed then."""
        return self.ledger.ending(proposal) == "completed" and self.ledger.trial(proposal).is_completed(tested=True)

    def _until(self, proposal: Proposal) -> int:
        return self._rungs.epochs(proposal.config)[self._levels[proposal.configuration]]

    def _propose(self) -> bool:
        """Write more trials down; whether that, or that there are no more, lets a trial go on."""
        if self._complete:
            return False
        try:
            found = self._proposer.next(self.ledger, {**self._paused, **self.results})
        except JobError as error:
            self.failure, found = error, "finished"  # what is trained now comes to its end first
        if found == "wait":
            return False
        if found == "finished":
            self._complete = self._changed = True
            return True
        self.ledger.add(found)
        self._begin_anew(self.ledger.proposals[-len(found) :])
        for proposal in found:
            if self._completed(proposal):  # for another sweep
                self.end(proposal.index)
            else:
                self._pause(proposal)
        return True

    def _pause(self, proposal: Proposal) -> None:
        found = result_in_sweep(self.ledger, proposal)
        self._changed = True
        self._paused[proposal.index] = dataclasses.replace(found, ending="paused")
