"""Sweeps without training: a space, its proposer, and what would come of its trials."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

from tests.builders import tiny_config, toy_tracks
from tonearm.datasets.manifest import Manifest
from tonearm.sweeps import Choice, Full, LogUniform, SearchSpace
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.sweeps.propose import Proposer
from tonearm.sweeps.results import TrialResult
from tonearm.sweeps.sampling import Observation

Score = Callable[[Proposal], float | None]
MANIFEST = Manifest("toy", "sound", tuple(toy_tracks()))
OVER = {"optim.lr": LogUniform(1e-5, 1e-1), "optim.batch_size": Choice(4, 8, 16, 32)}


def space(**changes: object) -> SearchSpace:
    made = SearchSpace(base=tiny_config(), over=OVER, trials=12, scheduler=Full())
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def proposer(chosen: SearchSpace, earlier: tuple[Observation, ...] = ()) -> Proposer:
    return Proposer(chosen, chosen.trial, MANIFEST, earlier)


def result(ledger: Ledger, proposal: Proposal, score: float | None) -> TrialResult:
    """A trial that reached this score, or failed."""
    metrics = {"epoch": proposal.config.optim.epochs, "validation_f1_micro": score, "best": score,
               "validation_log_loss": 1.0}  # fmt: skip
    history, ending = ([metrics], "completed") if score is not None else ([], "failed")
    folder = ledger.trial(proposal)
    return TrialResult(proposal.index, proposal.name, proposal.config, folder, history, ending, score)


def finish(chosen: SearchSpace, folder: Path, score: Score, earlier: tuple[Observation, ...] = ()) -> Ledger:
    """A whole sweep by a single worker, without training."""
    ledger, results = Ledger(str(folder), chosen.over), dict[int, TrialResult]()
    while (found := proposer(chosen, earlier).next(ledger, results)) != "finished":
        assert found != "wait", "every trial has ended: there is nothing to wait for"
        ledger.add(found)
        results |= {p.index: result(ledger, p, score(p)) for p in found}
    return ledger


def hill(proposal: Proposal) -> float:
    """Best at a rate of 1e-3 and batches of 16."""
    off = abs(math.log10(proposal.config.optim.lr) + 3) / 2
    return 1 - off - 0.2 * (proposal.config.optim.batch_size != 16)
