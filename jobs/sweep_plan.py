"""From a search space and a data set to a sweep that can run: data, features, the stages before it, its identity."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.common import start_ray, stop_ray
from jobs.datasets import choose_dataset, manifest_uri
from jobs.training_run import Request, prepare_data, train_stage
from search_spaces import SPACES
from tonearm.audio.windows import ClipConfig
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.seeding import digest
from tonearm.datasets.base import DatasetConfig
from tonearm.datasets.manifest import Manifest, Track, load_manifest, save_manifest
from tonearm.features.base import Representation
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.estimate import store_needs
from tonearm.sweeps.ledger import Ledger
from tonearm.sweeps.propose import Proposer
from tonearm.sweeps.results import TrialResult, read_result
from tonearm.sweeps.sampling import Observation
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.patience import patiently
from tonearm.tracking.query import find_runs
from tonearm.training.config import TrialConfig
from tonearm.training.recipe import Recipe, Stage
from tonearm.training.stages import Finished, Places, StageRun

GIGABYTE = 1e9
SWEPT = "trial"
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

    def open(self) -> RunWriter:
        """The sweep's run in MLflow, its folder written before; waits for a server that is away."""
        if not storage.exists(self.manifest_uri):
            save_manifest(self.manifest_uri, self.manifest)
        storage.write_json(storage.join(self.folder, DESCRIPTION), {"name": self.name, "params": self.params})
        tags = {names.SWEEP: self.signature, names.SPACE: self.name, names.DATA: self.manifest.signature()}
        return patiently(RunWriter.open, self.manifest.name, self.run_name, None, self.params, tags)


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
    (run, *_) = find_runs(text)
    signature = run.tags.get(names.SWEEP)
    if signature is None:
        raise JobError(f"run {run.name} is no sweep, which has the tag {names.SWEEP}: name a sweep, e.g. demo-3f2a")
    description = storage.join(sweep_folder(signature), DESCRIPTION)
    if not storage.exists(description):
        raise JobError(f"the trials of sweep {run.name} are not in {home.trials_home()}: set TONEARM_HOME as it was")
    kept = storage.read_json(description)
    manifest = load_manifest(storage.join(sweep_folder(signature), MANIFEST))
    return Sweep(kept["name"], signature, manifest, kept["params"])


def find_space(name: str) -> SearchSpace:
    """A search space of ours by its name, or of yours by its place, ``package.module:function``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if ":" not in name:
        return SPACES[name]()
    module, _, function = name.partition(":")
    try:
        space = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"no search space {name!r}: {error}; name a module that Python finds from here") from error
    if not isinstance(space, SearchSpace):
        raise ConfigError(f"{name!r} gives a {type(space).__name__}, a search space is needed")
    return space


def sweep_data(
    space: SearchSpace, dataset: str, root: str = "", label: str = "", options: dict[str, object] | None = None,
    name: str = "", max_rejected: float = 0.2, max_gigabytes: float = float("inf"), device: str = "cpu",
) -> dict[str, Manifest]:  # fmt: skip
    """The data of a sweep, with all the features that its trials need; what is missing is extracted.

    Parameters
    ----------
    dataset
        Without ``root`` the name of a data set that was prepared before, or a kind that needs no files; with it a kind,
        by default the recipe's.
    root
        Folder or URI of the data set's files.
    max_gigabytes
        Refuse to extract more.

    Returns
    -------
    By the signature of a data set's config its manifest; the sweep's own one also under "".
    """

    def check(tracks: Sequence[Track], features: Sequence[Representation], clip: ClipConfig) -> None:
        require_room(features, clip, tracks, max_gigabytes)

    base, extractions = space.base, space.extractions()
    if dataset and not root and storage.exists(manifest_uri(dataset)):
        manifest = load_manifest(manifest_uri(dataset))
        others = [s.name for s in space.before if s.data]
        if others:
            raise ConfigError(
                f"stage(s) {', '.join(others)} learn from files of their own, beside the prepared data set "
                f"{dataset!r}: give --dataset KIND --data FOLDER"
            )
        for clip, features in extractions.items():
            check(manifest.tracks, features, clip)
        _extract_missing(manifest, extractions, space.trial.min_seconds, device)
        return {"": manifest}
    fields = {**({"label": label} if label else {}), **(options or {})}
    if isinstance(base, Recipe):
        recipe = base if not dataset or dataset == base.data.kind else base.on(DatasetConfig.registry[dataset]())
        recipe = recipe.replace({"data.root": root} if root else {})
        kind, given = recipe.data.kind, {**recipe.data.to_dict(), **fields}
        given.pop("kind")
        recipe = recipe.on(choose_dataset(kind, root, given))
    else:
        if dataset and dataset not in DatasetConfig.registry:
            raise ConfigError(
                f"there is no manifest of a data set {dataset!r} in {home.home()}: prepare it with "
                f"python -m jobs.extract, or give its files with --dataset KIND --data FOLDER; kinds are "
                f"{', '.join(DatasetConfig.registry)}"
            )
        recipe = Recipe(choose_dataset(dataset or base.dataset.name, root, fields), (Stage(SWEPT, base),), "a sweep")
    request = Request("sweep", recipe, name, device=device, max_rejected=max_rejected)
    manifests = prepare_data(request, extractions.pop(space.trial.clip, []), check)
    own = manifests[recipe.data.signature()]
    _extract_missing(own, extractions, space.trial.min_seconds, device)
    return {**manifests, "": own}


def require_room(
    features: Sequence[Representation], clip: ClipConfig, tracks: Sequence[Track], max_gigabytes: float
) -> None:
    """Say how much is to be extracted, and refuse where that is more than allowed.

    Raises
    ------
    ConfigError
        With the sizes.
    """
    needs = [n for n in store_needs(features, clip, home.features_home(), tracks) if n.missing]
    total = sum(n.bytes for n in needs) / GIGABYTE
    if needs:
        print(f"  to extract: {len(needs)} representation(s) of {max(n.missing or 0 for n in needs)} tracks, "
              f"{total:.2f} GB")  # fmt: skip
    if total > max_gigabytes:
        parts = ", ".join(f"{n.representation.brief()} {n.bytes / GIGABYTE:.2f} GB" for n in needs)
        raise ConfigError(
            f"the sweep would extract {total:.2f} GB of features ({parts}), allowed are {max_gigabytes:g} GB: vary the "
            "input less, or allow more with --max-gigabytes"
        )


def _extract_missing(
    manifest: Manifest, extractions: Mapping[ClipConfig, Sequence[Representation]], min_seconds: float, device: str
) -> None:
    from tonearm.pipelines.extract import extract_features

    for clip, features in extractions.items():
        report = extract_features(manifest.tracks, features, clip, home.features_home(), min_seconds, (), device,
                                  start=start_ray)  # fmt: skip
        if not report.rejects:
            continue
        first = report.rejects[0]
        raise ConfigError(f"{len(report.rejects)} of {len(manifest.tracks)} tracks cannot be extracted as the sweep "
                          f"needs them, e.g. {first.track_id}: {first.reason}: prepare the data set anew")  # fmt: skip


def plan_sweep(
    name: str, space: SearchSpace, data: dict[str, Manifest], earlier: tuple[Observation, ...] = (), device: str = "cpu"
) -> Sweep:
    """Resolve a space on its data; the stages before it are trained now, unless they were before."""
    own = data[""]
    signature = digest(space.signature, sorted({m.signature() for m in data.values()}),
                       [[str(o.values), o.score] for o in earlier])  # fmt: skip
    params = {
        "space": name, "tracks": len(own.tracks), "trials": space.trials, "seeds": space.seeds, "seed": space.seed,
        "search": str(space.search), "scheduler": str(space.scheduler), "earlier": len(earlier),
        **{f"over.{path}": str(domain) for path, domain in space.over.items()},
    }  # fmt: skip
    finished: dict[str, Finished] = {}
    places = Places(home.features_home(), f"{home.trials_home()}/single", home.node_cache(), device)
    if space.before:
        stop_ray()  # training is one process: it has the cores to itself
        parent = Sweep(name, signature, own, params).open()
        for stage in space.before:
            manifest = data[stage.data.signature()] if stage.data else own
            finished[stage.name] = train_stage(StageRun(stage, manifest, finished, places), 0, parent.run_id)
    last = space.base.stages[-1] if isinstance(space.base, Recipe) else Stage(SWEPT, space.trial)
    swept = StageRun(last, own, finished, places)
    if not isinstance(swept.config, TrialConfig):
        raise ConfigError(f"stage {last.name!r} is a baseline: a sweep varies a network")
    proposer = Proposer(space, swept.config, swept.manifest, earlier)
    return Sweep(name, signature, swept.manifest, params, proposer)
