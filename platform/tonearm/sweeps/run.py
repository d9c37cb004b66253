"""Running a sweep on Ray Tune. What is finished is never run again, whoever was killed when."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ray import tune

from tonearm.core import storage
from tonearm.core.errors import JobError
from tonearm.core.progress import StatusLine
from tonearm.sweeps.results import TrialResult, finish_run, read_result
from tonearm.sweeps.space import Asha, settings
from tonearm.sweeps.trainable import train
from tonearm.tracking import names
from tonearm.training.config import TrialConfig
from tonearm.training.trial import TrialFolder


@dataclass(frozen=True)
class SweepPlan:
    """All that a sweep needs to know.

    Attributes
    ----------
    configs
        The trials.
    scheduler
        When to stop poor ones.
    folder, manifest, features, cache
        URIs: of the trials, the manifest, the feature stores; a folder on each node for copies of remote stores.
    experiment, parent
        MLflow's experiment and the sweep's run id.
    varied
        The fields that the sweep varies, for people.
    cpus, gpus
        Of each trial; a GPU may be shared by fractions.
    """

    configs: Sequence[TrialConfig]
    scheduler: Asha
    folder: str
    manifest: str
    features: str
    cache: str
    experiment: str
    parent: str
    varied: Sequence[str]
    cpus: float = 1.0
    gpus: float = 0.0

    def name(self, index: int) -> str:
        """Of a trial, its run and its folder."""
        return names.trial_name(index, self.configs[index].signature())

    def trial(self, index: int) -> TrialFolder:
        """Folder of a trial."""
        return TrialFolder(storage.join(self.folder, self.name(index)))

    def tags(self, index: int) -> dict[str, str]:
        """What a trial's run is found by."""
        config = self.configs[index]
        return {
            names.TRIAL: str(index),
            names.DATA: config.dataset.data_signature,
            names.FEATURE: config.representation.store_name(),
            names.CONFIG: config.signature(),
            names.SEED: str(config.seed),
        }

    def result(self, index: int, error: str = "") -> TrialResult:
        """What became of a trial so far."""
        return read_result(index, self.name(index), self.configs[index], self.trial(index), error)


def run_sweep(plan: SweepPlan) -> list[TrialResult]:
    """Run the trials that have not ended, and complete every run in MLflow.

    Raises
    ------
    JobError
        If every trial failed, with the first error.
    """
    follow = _Follow(plan)
    if any(plan.trial(i).ended() is None for i in range(len(plan.configs))):
        _tune(plan, follow)
    results = follow.finish()
    if not any(r.history for r in results):
        raise JobError(f"all {len(results)} trials failed; the first: {results[0].error or 'no reason was given'}")
    return results


def _tune(plan: SweepPlan, follow: _Follow) -> None:
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # MLflow and the trial's folder keep the figures
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C must end the job, not pass for the end of the sweep
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the older reporter is silent at verbose=0; we show our own progress
    jobs: list[dict[str, Any]] = [
        {
            "index": i,
            "config": config.to_dict(),
            "folder": plan.trial(i).uri,
            "manifest": plan.manifest,
            "features": plan.features,
            "cache": plan.cache,
            "experiment": plan.experiment,
            "name": plan.name(i),
            "parent": plan.parent,
            "tags": plan.tags(i),
        }
        for i, config in enumerate(plan.configs)  # ended ones too: they replay, so that ASHA knows their rungs
    ]
    task = plan.configs[0].task
    scheduler = tune.schedulers.ASHAScheduler(
        time_attr="epoch",
        metric=f"validation_{task.primary}",
        mode="max" if task.maximise else "min",
        grace_period=plan.scheduler.grace,
        reduction_factor=plan.scheduler.reduction,
        max_t=max(c.optim.most_epochs for c in plan.configs),
    )
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": plan.cpus, "gpu": plan.gpus}),
        param_space={"job": tune.grid_search(jobs)},
        tune_config=tune.TuneConfig(scheduler=scheduler, reuse_actors=True),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=plan.folder,
            verbose=0,
            callbacks=[follow],
            failure_config=tune.FailureConfig(max_failures=1),  # a lost worker: the trial goes on where it was
        ),
    )
    tuner.fit()


class _Follow(tune.Callback):
    """Shows progress, and completes runs in MLflow in the background as trials end."""

    def __init__(self, plan: SweepPlan) -> None:
        self._plan = plan
        self._line = StatusLine()
        self._results: dict[int, TrialResult] = {}
        self._writing: list[Future[None]] = []
        self._background = ThreadPoolExecutor(max_workers=1)

    def __reduce__(self) -> tuple[type[_Follow], tuple[SweepPlan]]:
        return (type(self), (self._plan,))  # Tune saves its callbacks for a restore that we do not use

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch is finished."""
        config, primary = self._config(trial), self._plan.configs[0].task.primary
        self._line.show(
            f"  {len(self._results)}/{len(self._plan.configs)} trials ended; trial {self._index(trial):02d} "
            f"{config.model.kind} epoch {result['epoch']}/{config.optim.most_epochs}: {primary} "
            f"{result[f'validation_{primary}']:.3f}, best {result['best']:.3f}"
        )

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended by itself or was stopped by the scheduler."""
        folder = self._plan.trial(self._index(trial))
        folder.end("completed" if len(folder.history()) >= self._config(trial).optim.most_epochs else "stopped")
        self._end(self._index(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial failed for good."""
        self._end(self._index(trial), str(trial.get_error() or f"see {trial.error_file}"))

    def finish(self) -> list[TrialResult]:
        """Complete whatever a killed driver left, wait for all of it, and return the results by index."""
        for index in range(len(self._plan.configs)):
            if index not in self._results:
                self._end(index)
        self._background.shutdown(wait=True)
        for writing in self._writing:
            writing.result()  # an error while logging is an error
        self._line.close()
        return [self._results[i] for i in range(len(self._plan.configs))]

    def _end(self, index: int, error: str = "") -> None:
        result = self._plan.result(index, error)
        self._results[index] = result
        self._line.say(f"  {describe(result, self._plan.varied)}")
        arguments = (result, self._plan.experiment, self._plan.parent, self._plan.tags(index))
        self._writing.append(self._background.submit(finish_run, *arguments))

    def _index(self, trial: Any) -> int:
        return int(trial.config["job"]["index"])

    def _config(self, trial: Any) -> TrialConfig:
        return self._plan.configs[self._index(trial)]


def describe(result: TrialResult, varied: Sequence[str]) -> str:
    """A trial in one line: what distinguishes it, and what it came to."""
    named = zip(varied, settings(result.config, varied), strict=True)
    line = f"trial {result.index:02d}: " + ", ".join(f"{path.rsplit('.', 1)[-1]} {value}" for path, value in named)
    if result.best is None:
        return f"{line}: failed: {result.error.strip().splitlines()[-1] if result.error else 'no epoch finished'}"
    seconds = sum(h["epoch_seconds"] for h in result.history)
    return (
        f"{line}: {result.config.task.primary} {result.best:.3f}, {result.ending} after {len(result.history)} epochs, "
        f"{seconds:.0f} s"
    )
