"""Running a search space on Ray Tune, tracked in MLflow; what is finished is never run again."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence

import torch

from tonearm.core import home
from tonearm.core.errors import ConfigError
from tonearm.core.home_use import using_home
from tonearm.core.lock import DriverLock
from tonearm.datasets import DatasetConfig
from tonearm.datasets.manifest import Manifest
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.propose import FIRST_FROM_EARLIER
from tonearm.sweeps.run import SweepContext, run_sweep
from tonearm.tracking.log import status_of
from tonearm.tracking.retry import retry, retry_best_effort
from tonearm.workflows.figures import publish_figure
from tonearm.workflows.mlflow_pages import show_sweep, write_description
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.prepared_names import not_prepared
from tonearm.workflows.ray_session import start_ray
from tonearm.workflows.several_labels import without_lost_fields
from tonearm.workflows.sweep_data import SweepRequest, complete_features, prepared, sweep_data
from tonearm.workflows.sweep_plan import SweepPlan, plan_sweep
from tonearm.workflows.sweep_result import Sweep, why_not_selected

logger = logging.getLogger(__name__)


def sweep(
    space: SearchSpace | Callable[[], SearchSpace], data: Manifest | PreparedData | str, *,
    trials: int = 0, epochs: int = 0, seeds: int = 0, seed: int = -1,
    changes: Mapping[str, object] | None = None, name: str = "sweep", warm_start: Sequence[str] = (),
    cpus: float = 1.0, gpus: float = 0.0, max_gigabytes: float = float("inf"), retrain: bool = False,
) -> Sweep:  # fmt: skip
    """Run a search space on a prepared data set; the same call goes on where it was stopped.

    Parameters
    ----------
    space
        What is varied, or a function that gives it, such as ``tonearm.spaces.demo``; e.g.
        ``SearchSpace(base=TrialConfig(...), over={"optim.lr": LogUniform(1e-4, 1e-2)})``.
    data
        What :func:`tonearm.prepare` gives, the name of a prepared data set, or a manifest; features that it
        lacks are extracted.
    trials, epochs, seeds, seed
        How many configurations, the most epochs of a trial, how often each, and the seed of the search; 0, of ``seed``
        -1: as the space says.
    changes
        Fields that the space does not vary, by their paths.
    name
        Its run in MLflow is called ``name-signature``.
    warm_start
        Runs or sweeps whose best settings are tried first.
    cpus, gpus
        Of each trial; with 0.25 GPUs four trials share one.
    max_gigabytes
        Refuse to extract more features than this.
    retrain
        Whether trials that other code has trained are trained anew, also for the other sweeps that have them.

    Returns
    -------
    The sweep with its trials.

    Raises
    ------
    ConfigError
        If the space cannot be.
    JobError
        If every trial failed, or another process runs this sweep.
    """
    made = space if isinstance(space, SearchSpace) or not callable(space) else space()
    if not isinstance(made, SearchSpace):
        raise ConfigError(f"a {type(made).__name__} cannot be swept: give a SearchSpace, or a function that gives one")
    if cpus <= 0 or not 0 <= gpus <= 1:
        raise ConfigError(f"cpus {cpus:g}, gpus {gpus:g}: a trial needs a part of a core, and at most one GPU")
    space = resize(made, trials=trials, epochs=epochs, seeds=seeds, seed=seed, changes=changes)
    space.check()
    manifest = _manifest_of(data)
    request = SweepRequest(name, space, manifest.name, warm_start_from=tuple(warm_start), cpus=cpus, gpus=gpus)
    earlier = request.warm_start()
    also = [e.values for e in earlier.found[:FIRST_FROM_EARLIER]]
    manifests = complete_features(space, manifest, max_gigabytes, also)
    plan = plan_sweep(name, space, manifests, earlier, device=stage_device(gpus, space), retrain=retrain)
    return run_plan(plan, cpus, gpus)


def _manifest_of(data: Manifest | PreparedData | str) -> Manifest:
    if isinstance(data, PreparedData):
        return data.manifest
    if isinstance(data, Manifest):
        return data
    found = prepared(data, "")
    if found is None:
        raise not_prepared(data, DatasetConfig.registry)
    return found


def run_request(request: SweepRequest) -> Sweep:
    """Prepare the data of a request where needed, and run its sweep; as :func:`sweep` otherwise."""
    request.space.check()
    if unselectable := why_not_selected(request.space):
        logger.info(f"  note: {unselectable}")
    earlier = request.warm_start()
    also = [e.values for e in earlier.found[:FIRST_FROM_EARLIER]]
    manifests = sweep_data(request, also)
    device = stage_device(request.gpus, request.space)
    plan = plan_sweep(request.name, request.space, manifests, earlier, request.resume, device, request.retrain)
    return run_plan(plan, request.cpus, request.gpus)


def run_plan(plan: SweepPlan, cpus: float = 1.0, gpus: float = 0.0) -> Sweep:
    """Run what is missing of a planned sweep."""
    with using_home("sweep"), DriverLock(plan.sweep.folder):
        return _run(plan, cpus, gpus)


def _run(plan: SweepPlan, cpus: float, gpus: float) -> Sweep:
    sweep = plan.sweep
    sweep.save()  # under the lock: a driver that is refused must not rewrite what another one runs
    start_ray()
    parent = sweep.open()
    over, task = plan.proposer.space.over, plan.proposer.base.task
    show_sweep(parent, sweep.manifest.name, sweep.name, task, over)
    context = SweepContext(
        plan.proposer, sweep.folder, sweep.manifest_uri, home.features_home(), home.node_cache(), sweep.manifest.name,
        parent.run_id, cpus, gpus, plan.retrain,
    )  # fmt: skip
    try:
        results = run_sweep(context)
    except BaseException as error:  # Ctrl-C too: no run may stay "running" when nothing runs
        retry_best_effort(parent.end, status_of(error))
        raise
    done = dataclasses.replace(sweep, finished=tuple(results))
    best = done.best
    publish_figure("sweep.png", home.reports_home(sweep.manifest.name), parent, done.plot)

    def complete() -> None:
        write_description(parent, done.description)
        parent.dataset(*done.data)
        parent.metrics({f"best_{best.config.task.primary}": best.best or 0.0, "trials": float(len(results))})
        parent.end()

    retry(complete)
    return done


def resize(
    space: SearchSpace, *, trials: int = 0, epochs: int = 0, seeds: int = 0, seed: int = -1,
    changes: Mapping[str, object] | None = None,
) -> SearchSpace:  # fmt: skip
    """A space with other numbers of trials, epochs and seeds, or other fields that it does not vary.

    Raises
    ------
    ConfigError
        If the space varies one of these fields.
    """
    for path in changes or {}:
        if path in space.over:
            raise ConfigError(f"{path} cannot be set: the space varies it")
    base = {**(changes or {}), **({"optim.epochs": epochs} if epochs else {})}
    if base:
        space = without_lost_fields(space.replace_base(base))
    return dataclasses.replace(
        space, trials=trials or space.trials, seeds=seeds or space.seeds, seed=space.seed if seed < 0 else seed
    )


def stage_device(gpus: float, space: SearchSpace) -> str:
    """Where the stages before a sweep are trained: this process may see no GPU where the trials' nodes have some."""
    if gpus and torch.cuda.is_available():
        return "cuda"
    if gpus and space.upstream_stages:
        names = ", ".join(stage.name for stage in space.upstream_stages)
        logger.info(
            f"  note: this process sees no GPU: what the sweep builds on ({names}) is trained on its CPU, the "
            "trials on the cluster's GPUs"
        )
    return "cpu"
