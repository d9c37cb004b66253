"""From a search space and a data set to a sweep that can run: its identity, the stages before it, its proposer."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tonearm.core import home
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.lock import DriverLock
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import Manifest
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.sweeps.propose import Proposer
from tonearm.sweeps.run import Retrain
from tonearm.sweeps.strategies import Population, strategy_text
from tonearm.sweeps.warm_start import NONE, WarmStart
from tonearm.tracking.log import RunWriter, status_of
from tonearm.tracking.retry import retry_best_effort
from tonearm.training.config import TrialConfig
from tonearm.training.recipe import Recipe, Stage
from tonearm.training.stages import FinishedStage, StagePaths, StageRun, data_of_stage, seeded
from tonearm.workflows.earlier_sweeps import told_of_earlier
from tonearm.workflows.ray_session import stop_ray
from tonearm.workflows.sweep_data import SWEPT
from tonearm.workflows.sweep_result import OVER, Sweep, sweep_folder
from tonearm.workflows.training_runs import retrain_stage, train_stage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that can run: its identity and folder, what says which trials are tried, and which of them begin anew."""

    sweep: Sweep
    proposer: Proposer
    retrain: Retrain = "none"


def sweep_signature(space: SearchSpace, data: Mapping[str, Manifest], earlier: Sequence[str]) -> str:
    """Identity of a sweep: its space, its data, and the runs that it begins with, by their ids.

    Not how many trials and seeds there are: with more of them the same sweep goes on.
    """
    return digest(space.signature, sorted({m.signature() for m in data.values()}), sorted(earlier))


def signature_on(signature: str, swept: Manifest) -> str:
    """The identity of a sweep whose trials learn from ``swept``; another where it has planned trials on other data.

    These are the vectors of a stage before it that was trained anew since: the trials on the former ones stay.
    """
    planned = {p.config.dataset.data_signature for p in Ledger(sweep_folder(signature)).proposals}
    return digest(signature, swept.signature()) if planned - {swept.signature()} else signature


def plan_sweep(
    name: str, space: SearchSpace, data: Mapping[str, Manifest], earlier: WarmStart = NONE, resume: bool = False,
    device: str = "cpu", retrain: bool = False,
) -> SweepPlan:  # fmt: skip
    """Resolve a space on its data; the stages before it are trained now, unless they were before.

    Parameters
    ----------
    earlier
        What it begins with; a sweep that was begun goes on with what it began with.
    resume
        Whether it must have been begun.
    retrain
        Whether what other code has trained is trained anew; if a stage before the sweep is, all trials are.

    Raises
    ------
    ConfigError
        If a population is to be trained anew.
    JobError
        If it was not, or another process trains the stages before it.
    """
    if retrain and isinstance(space.search, Population):
        raise ConfigError("retrain: the members of a population go on from each other: begin another with another seed")
    own, signature = data[""], sweep_signature(space, data, earlier.run_ids)
    proposed = Ledger(sweep_folder(signature), space.over).proposals
    earlier_version = "" if proposed else told_of_earlier(name, own.name)
    if resume and not proposed:
        raise JobError(
            f"there is nothing to resume: no sweep {name}-{signature} was begun in {home.trials_home()} with these "
            "options on these data; leave resume out to begin it" + (f" ({earlier_version})" if earlier_version else "")
        )
    if earlier_version:
        logger.info(f"  note: {earlier_version}")
    params = {
        "space": name, "tracks": len(own.tracks), **sizes(space, proposed), "seed": space.seed,
        "search": strategy_text(space.search), "scheduler": strategy_text(space.scheduler),
        "earlier": len(earlier.found),
        **{f"{OVER}{path}": domain.describe() for path, domain in space.over.items()},
    }  # fmt: skip
    places = StagePaths(home.features_home(), home.trials_home(), home.node_cache(), device)
    by_seed: list[dict[str, FinishedStage]] = [{}]
    anew: set[str] | None = set() if retrain else None
    if space.upstream_stages:
        with DriverLock(sweep_folder(signature)):  # a second driver would train the same stages at the same places
            stop_ray()  # training is one process: it has the cores to itself
            by_seed = _train_before(space, data, places, Sweep(name, signature, own, params).open(), anew)
    last = space.base.stages[-1] if isinstance(space.base, Recipe) else Stage(SWEPT, space.trial)
    runs = [StageRun(last, own, finished, places) for finished in by_seed]
    base, swept = runs[0].config, runs[0].manifest
    if not isinstance(base, TrialConfig):
        raise ConfigError(f"stage {last.name!r} is a baseline: a sweep varies a network")
    members = (
        [run.config.members for run in runs if isinstance(run.config, TrialConfig)] if space.upstream_stages else []
    )
    if signature_on(signature, swept) != signature:
        former, signature = signature, signature_on(signature, swept)
        proposed = Ledger(sweep_folder(signature), space.over).proposals
        params |= sizes(space, proposed)
        logger.info(
            f"  note: what this sweep builds on was trained anew and gives other vectors than to {name}-{former}: its "
            f"trials on these are another sweep, {name}-{signature}"
        )
    kept = earlier.persisted_in(sweep_folder(signature), space.over)
    proposer = Proposer(space, base, swept, kept.on(swept.signature()), members)
    sweep = Sweep(name, signature, swept, params)
    return SweepPlan(sweep, proposer, "all" if anew else "other code" if retrain else "none")


def sizes(space: SearchSpace, proposed: Sequence[Proposal]) -> dict[str, int]:
    """How many configurations and seeds a sweep has: as asked for now, or before, if that was more."""
    seeds = Counter(p.configuration for p in proposed) if not isinstance(space.search, Population) else Counter[int]()
    return {"trials": max(space.trials, len(seeds)), "seeds": max([space.seeds, *seeds.values()])}


def _train_before(
    space: SearchSpace, data: Mapping[str, Manifest], places: StagePaths, parent: RunWriter, anew: set[str] | None
) -> list[dict[str, FinishedStage]]:
    """The stages before the sweep by name, for each seed; those that begin anew are added to ``anew``, unless none
    is to."""
    once, by_seed = space.data_stages(), list[dict[str, FinishedStage]]()
    if once and space.seeds > 1:
        logger.info(f"  trained once for all seeds, since others learn from their vectors: {', '.join(sorted(once))}")
    try:
        for seed in range(space.seeds):
            finished: dict[str, FinishedStage] = {}
            for stage in space.upstream_stages:
                if by_seed and stage.name in once:
                    finished[stage.name] = by_seed[0][stage.name]
                    continue
                manifest = data_of_stage(stage, data[""], data)
                run = StageRun(seeded(stage, stage.config.seed + seed), manifest, finished, places)
                if anew is not None:
                    retrain_stage(run, seed, parent, anew)
                finished[stage.name] = train_stage(run, seed, parent)
            by_seed.append(finished)
    except BaseException as error:
        retry_best_effort(parent.end, status_of(error))
        raise
    return by_seed
