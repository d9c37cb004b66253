"""Running a sweep on Ray Tune. What is finished is never run again, whoever was killed when."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import ray
from ray import tune
from ray.tune.search import Searcher

from tonearm.core import storage
from tonearm.core.errors import JobError, TrackingError
from tonearm.core.metrics import TRIALS
from tonearm.core.plugins import modules_of
from tonearm.core.progress import StatusLine
from tonearm.datasets.manifest import load_manifest
from tonearm.sweeps.agenda import Agenda
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.sweeps.propose import Proposer
from tonearm.sweeps.results import TrialResult, describe, finish_run, run_tags
from tonearm.sweeps.scheduling import require_resources
from tonearm.sweeps.trainable import FAILED, train
from tonearm.sweeps.trial_names import tuned_numbers
from tonearm.sweeps.trial_runs import Retraining, code_tag, mark_running_as_killed
from tonearm.sweeps.worker_places import keep_keys, worker_places
from tonearm.tasks.base import Task
from tonearm.tracking import names
from tonearm.tracking.dataset_input import split_sizes
from tonearm.tracking.log import RunWriter
from tonearm.tracking.retry import retry, retry_best_effort
from tonearm.training.trained_code import told_of_other_code
from tonearm.training.trial import TrialFolder

FINAL_RETRY_SECONDS, RETRY_SECONDS = 600.0, 20.0
"""Seconds to retry a tracking server that is away: once all trials have ended, and before."""
MAX_PROCESS_ATTEMPTS = 3
"""Attempts of a trial's process before the trial counts as failed; each goes on where the last one was."""

Retrain = Literal["none", "other code", "all"]


@dataclass(frozen=True)
class SweepContext:
    """Everything that running a sweep needs.

    Attributes
    ----------
    proposer
        Proposes the trials.
    folder, manifest, features, cache
        URIs: of the sweep, the manifest, the feature stores; a folder on each node for copies of remote stores.
    experiment, parent
        MLflow's experiment and the sweep's run id.
    cpus, gpus
        Of each trial; a GPU may be shared by fractions.
    retrain
        Which of the finished trials begin anew: none, those of other code, or all.
    """

    proposer: Proposer
    folder: str
    manifest: str
    features: str
    cache: str
    experiment: str
    parent: str
    cpus: float = 1.0
    gpus: float = 0.0
    retrain: Retrain = "none"

    @property
    def task(self) -> Task:
        """The task that evaluates all trials."""
        return self.proposer.base.task

    def ledger(self) -> Ledger:
        """What was proposed so far, as it is on disk."""
        return Ledger(self.folder, self.proposer.space.over)

    def tags(self, proposal: Proposal, folder: str) -> dict[str, str]:
        """The tags by which a trial's run is found, with the trial's folder."""
        feature_stores = sorted(r.store_name() for r in proposal.config.representations.values())
        return {
            **run_tags(proposal.config, folder),
            names.TRIAL: str(proposal.index),
            names.NOTE: f"Trial {proposal.name}.",
            names.SOURCE: "tonearm sweep",
            names.FEATURE: " ".join(feature_stores),
            **code_tag(TrialFolder(folder), proposal.config),
        }


def run_sweep(context: SweepContext) -> list[TrialResult]:
    """Run the trials that have not ended, and complete every run in MLflow. The caller holds the sweep lock.

    Raises
    ------
    JobError
        If every trial failed, with the first error; or no node has what a trial needs.
    """
    callback = _ProgressCallback(context)
    try:
        _tune(context, callback)
        results = callback.finish()
    except BaseException:
        callback.abandon()
        raise
    if not any(r.history for r in results):
        raise JobError(f"all {len(results)} trials failed; the first: {results[0].error or 'no reason was recorded'}")
    return results


def _tune(context: SweepContext, callback: _ProgressCallback) -> None:
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # MLflow and the trial's folder keep the figures
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C must end the job, not pass for the end of the sweep
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"  # a trial that fails reports its error instead
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the older reporter is silent at verbose=0; we show our own progress
    if not callback.agenda.anything_left():
        return
    retry(RunWriter(context.parent).resume)
    require_resources(context.cpus, context.gpus)
    keep_keys()
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": context.cpus, "gpu": context.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=_ProposalSearcher(context, callback),
            num_samples=-1,  # until the proposer has finished
            reuse_actors=not context.gpus,  # a fault leaves a process's GPU unusable for the trials after it
            trial_dirname_creator=lambda trial: f"{trial.config['job']['index']:05d}-{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=storage.escaped(context.folder),
            verbose=0,
            callbacks=[callback],
            failure_config=tune.FailureConfig(max_failures=MAX_PROCESS_ATTEMPTS - 1),
        ),
    )
    tuner.fit()


class _ProposalSearcher(Searcher):
    """Hands Tune the ledger's trials, then those of the proposer."""

    def __init__(self, context: SweepContext, callback: _ProgressCallback) -> None:
        super().__init__()
        self._context, self._callback = context, callback

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config, None to be asked again, or FINISHED."""
        found = self._callback.agenda.next()
        self._callback.show_ended()
        if found == "wait":
            return None
        if found == "finished":
            return Searcher.FINISHED
        self._callback.tell_of_others(found[0])
        return {"job": self._job(*found)}

    def _job(self, proposal: Proposal, until: int) -> dict[str, Any]:
        context, folder = self._context, self._callback.agenda.ledger.trial(proposal).uri
        return {
            "index": proposal.index, "config": proposal.config.to_dict(), "name": proposal.name,
            "folder": folder, "until": until, "manifest": context.manifest,
            "features": context.features, "cache": context.cache, "experiment": context.experiment,
            "parent": context.parent, "tags": context.tags(proposal, folder), "cpus": context.cpus,
            "gpus": context.gpus,
            "modules": modules_of(proposal.config, proposal.config.task.added_by), "places": worker_places(),
            "tuned": tuned_numbers(proposal.config, context.proposer.space.over),
        }  # fmt: skip

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The callback keeps the results."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is on disk."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is on disk."""


class _ProgressCallback(tune.Callback):
    """Shows progress, keeps each trial's result, and completes runs in MLflow in the background as trials end."""

    def __init__(self, context: SweepContext) -> None:
        self._context = context
        self._line = StatusLine()
        anew = Retraining(context.parent, context.retrain == "all", self._line.say)
        self.agenda = Agenda(context.proposer, context.ledger(), None if context.retrain == "none" else anew)
        self._splits = split_sizes(load_manifest(context.manifest).tracks)
        self._errors: dict[int, str] = {}
        self._trained: set[int] = set()  # of which an epoch was finished for this sweep
        self._writing: dict[int, Future[None]] = {}
        self._background = ThreadPoolExecutor(max_workers=1)
        self.show_ended()

    def __reduce__(self) -> tuple[type[_ProgressCallback], tuple[SweepContext]]:
        return (type(self), (self._context,))  # Tune saves its callbacks for a restore that we do not use

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch is finished, or the trial failed."""
        index, primary = self._index(trial), self._context.task.primary
        if FAILED in result:
            self._errors[index] = str(result[FAILED])
            return
        if not result["replayed"]:
            self._trained.add(index)
        agenda = self.agenda
        config, count = agenda.ledger.proposals[index].config, len(agenda.ledger.proposals)
        self._line.show(
            f"  {len(agenda.results)}/{count} trials ended; trial {index:02d} {config.model.kind} epoch "
            f"{result['epoch']}/{config.optim.max_epochs}: {primary} {result[f'validation_{primary}']:.3f}, best "
            f"{result['best']:.3f}"
        )

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has ended, or has come to where it is paused."""
        index = self._index(trial)
        self.agenda.returned(index, self._errors.get(index, ""))
        self.show_ended()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial's process died too often."""
        self.agenda.returned(self._index(trial), str(trial.get_error() or f"see {trial.error_file}"))
        self.show_ended()

    def finish(self) -> list[TrialResult]:
        """Wait until all runs are complete, those of trials that will not go on too; return the results by index.

        Raises
        ------
        JobError
            If the search found nothing more to try.
        """
        for index in self.agenda.stopped():
            self.agenda.end(index)
        self.show_ended()
        self._background.shutdown(wait=True)
        for index, writing in self._writing.items():
            if isinstance(writing.exception(), TrackingError):  # the server was away: now is the time to wait for it
                self._complete(index, FINAL_RETRY_SECONDS)
            else:
                writing.result()  # an error while logging is an error
        told = told_of_other_code([(result.folder, result.config) for result in self.agenda.results.values()])
        if told:
            self._line.say(f"  note: {told}")
        self._line.close()
        if self.agenda.failure:
            raise self.agenda.failure
        return [result for _, result in sorted(self.agenda.results.items())]

    def abandon(self) -> None:
        """The sweep was stopped: what was written is kept, and no run stays "running" when nothing runs."""
        self._background.shutdown(wait=False, cancel_futures=True)
        self._line.close()
        ray.shutdown()  # ends the trials, one of which might open its run anew
        retry_best_effort(mark_running_as_killed, self._context.parent)

    def tell_of_others(self, proposal: Proposal) -> None:
        """Say if another job trains a trial now: ours waits for it."""
        other = self.agenda.ledger.trial(proposal).trainer()
        if other:
            self._line.say(f"  trial {proposal.name} is being trained by process {other['pid']} on {other['host']}, "
                           "for another job: waiting for it")  # fmt: skip

    def show_ended(self) -> None:
        """Show the trials that have ended and were not shown, be it that another driver or sweep has trained them."""
        for index, result in self.agenda.results.items():
            if index not in self._writing:
                self._show(result)
        for state, count in self.agenda.states().items():
            TRIALS.set(count, state=state)

    def _show(self, result: TrialResult) -> None:
        """Tell how a trial ended, and complete its run."""
        self._line.say(f"  {describe(result)}")
        self._writing[result.index] = self._background.submit(self._complete, result.index, RETRY_SECONDS)

    def _complete(self, index: int, seconds: float) -> None:
        context, result = self._context, self.agenda.results[index]
        tags = context.tags(self.agenda.ledger.proposals[index], result.folder.uri)
        tuned = tuned_numbers(result.config, context.proposer.space.over)
        arguments = (result, context.experiment, context.parent, tags, self._splits, tuned, index in self._trained)
        note = retry(finish_run, *arguments, seconds=seconds, say=self._line.say)
        if note:
            self._line.say(f"  {note}")

    def _index(self, trial: Any) -> int:
        return int(trial.config["job"]["index"])
