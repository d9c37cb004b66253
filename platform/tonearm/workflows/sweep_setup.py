"""From a search space and a data set to a sweep that can run: its identity, the stages before it, its proposer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonearm.core import home, storage
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import Manifest, load_manifest, save_manifest
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.ledger import Ledger
from tonearm.sweeps.propose import Proposer
from tonearm.sweeps.results import TrialResult, read_result
from tonearm.sweeps.warm_start import NONE, WarmStart
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import find_runs
from tonearm.tracking.retry import retry, retry_best_effort
from tonearm.training.config import TrialConfig
from tonearm.training.recipe import Recipe, Stage
from tonearm.training.stages import FinishedStage, StagePaths, StageRun, seeded
from tonearm.workflows.ray_session import stop_ray
from tonearm.workflows.sweep_data import SWEPT
from tonearm.workflows.train import train_stage

MANIFEST, DESCRIPTION = "manifest.parquet", "sweep.json"


@dataclass(frozen=True)
class Sweep:
    """A sweep in its folder, which says what it is.

    Attributes
    ----------
    name
        Of the space.
    signature
        Identity of the space, of the data and of the earlier runs that it starts from.
    manifest
        What its trials are trained on: a copy, since the data set may be prepared anew while the sweep runs.
    params
        What a person wants to know of it.
    proposer
        What says which trials are tried; None where it is only read.
    """

    name: str
    signature: str
    manifest: Manifest
    params: dict[str, Any]
    proposer: Proposer | None = None

    @property
    def run_name(self) -> str:
        return f"{self.name}-{self.signature}"

    @property
    def folder(self) -> str:
        return sweep_folder(self.signature)

    @property
    def manifest_uri(self) -> str:
        return storage.join(self.folder, MANIFEST)

    def results(self) -> list[TrialResult]:
        """Of the trials that were proposed so far."""
        ledger = Ledger(self.folder)
        return [read_result(p.index, p.name, p.config, ledger.trial(p)) for p in ledger.proposals]

    def save(self) -> None:
        """Write down what it is, unless that was done; the description comes last."""
        description, own = storage.join(self.folder, DESCRIPTION), {"name": self.name, "params": self.params}
        if not storage.exists(description) or storage.read_json(description) != own:
            save_manifest(self.manifest_uri, self.manifest)
            storage.write_json(description, own)

    def open(self) -> RunWriter:
        """The sweep's run in MLflow; waits for a server that is away."""
        tags = {names.SWEEP: self.signature, names.SPACE: self.name, names.DATA: self.manifest.signature()}
        return retry(RunWriter.open, self.manifest.name, self.run_name, None, self.params, tags)


def sweep_folder(signature: str) -> str:
    """Where a sweep lies."""
    return storage.join(home.trials_home(), signature)


def find_sweep(text: str) -> Sweep:
    """A sweep that was begun, by its run's name or id in MLflow, or a unique beginning of it.

    Raises
    ------
    TrackingError
        If MLflow has no such run, or several.
    JobError
        If the run is no sweep, or its folder is not in this home.
    """
    (run, *_) = retry(find_runs, text, seconds=60.0)
    signature = run.tags.get(names.SWEEP)
    if signature is None:
        raise JobError(f"run {run.name} is no sweep, which has the tag {names.SWEEP}: name a sweep, e.g. demo-3f2a")
    description = storage.join(sweep_folder(signature), DESCRIPTION)
    if not storage.exists(description):
        raise JobError(f"the trials of sweep {run.name} are not in {home.trials_home()}: set TONEARM_HOME as it was")
    kept = storage.read_json(description)
    manifest = load_manifest(storage.join(sweep_folder(signature), MANIFEST))
    return Sweep(kept["name"], signature, manifest, kept["params"])


def sweep_signature(space: SearchSpace, data: Mapping[str, Manifest], earlier: Sequence[str]) -> str:
    """Identity of a sweep: its space, its data, and the runs that it begins with, by their ids."""
    return digest(space.signature, sorted({m.signature() for m in data.values()}), sorted(earlier))


def prepare_sweep(
    name: str, space: SearchSpace, data: Mapping[str, Manifest], earlier: WarmStart = NONE, resume: bool = False,
    device: str = "cpu",
) -> Sweep:  # fmt: skip
    """Resolve a space on its data; the stages before it are trained now, unless they were before.

    Parameters
    ----------
    earlier
        What it begins with; a sweep that was begun goes on with what it began with.
    resume
        Whether it must have been begun.

    Raises
    ------
    JobError
        If it was not.
    """
    own, signature = data[""], sweep_signature(space, data, earlier.run_ids)
    if resume and not Ledger(sweep_folder(signature)).proposals:
        raise JobError(
            f"there is nothing to resume: no sweep {name}-{signature} was begun in {home.trials_home()} with these "
            "options on these data; leave --resume out to begin it"
        )
    params = {
        "space": name, "tracks": len(own.tracks), "trials": space.trials, "seeds": space.seeds, "seed": space.seed,
        "search": str(space.search), "scheduler": str(space.scheduler), "earlier": len(earlier.found),
        **{f"over.{path}": str(domain) for path, domain in space.over.items()},
    }  # fmt: skip
    places = StagePaths(home.features_home(), f"{home.trials_home()}/single", home.node_cache(), device)
    by_seed: list[dict[str, FinishedStage]] = [{}]
    if space.upstream_stages:
        stop_ray()  # training is one process: it has the cores to itself
        by_seed = _train_before(space, data, places, Sweep(name, signature, own, params).open())
    last = space.base.stages[-1] if isinstance(space.base, Recipe) else Stage(SWEPT, space.trial)
    runs = [StageRun(last, own, finished, places) for finished in by_seed]
    base, swept = runs[0].config, runs[0].manifest
    if not isinstance(base, TrialConfig):
        raise ConfigError(f"stage {last.name!r} is a baseline: a sweep varies a network")
    members = (
        [run.config.members for run in runs if isinstance(run.config, TrialConfig)] if space.upstream_stages else []
    )
    kept = earlier.persisted_in(sweep_folder(signature), space.over)
    proposer = Proposer(space, base, swept, kept.on(swept.signature()), members)
    sweep = Sweep(name, signature, swept, params, proposer)
    sweep.save()
    return sweep


def _train_before(
    space: SearchSpace, data: Mapping[str, Manifest], places: StagePaths, parent: RunWriter
) -> list[dict[str, FinishedStage]]:
    """The stages before the sweep by name, for each seed."""
    once, by_seed = space.data_stages(), list[dict[str, FinishedStage]]()
    if once and space.seeds > 1:
        print(f"  trained once for all seeds, since others learn from their vectors: {', '.join(sorted(once))}")
    try:
        for seed in range(space.seeds):
            finished: dict[str, FinishedStage] = {}
            for stage in space.upstream_stages:
                if by_seed and stage.name in once:
                    finished[stage.name] = by_seed[0][stage.name]
                    continue
                manifest = data[stage.data.signature()] if stage.data else data[""]
                run = StageRun(seeded(stage, stage.config.seed + seed), manifest, finished, places)
                finished[stage.name] = train_stage(run, seed, parent.run_id)
            by_seed.append(finished)
    except BaseException as error:
        retry_best_effort(parent.end, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    return by_seed
