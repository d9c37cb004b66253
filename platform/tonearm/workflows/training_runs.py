"""Training a recipe: data, then every seed, fold and stage, each a run in MLflow; what is finished is not run again."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tonearm.core import home
from tonearm.core.home_use import using_home
from tonearm.core.progress import StatusLine
from tonearm.core.threads import torch_threads
from tonearm.datasets.assignment import NOTHING, Assignment
from tonearm.datasets.manifest import Manifest
from tonearm.datasets.split_report import report_splits as split_report
from tonearm.sweeps.results import ENDING, ERROR, log_config, log_history, log_outcome, metrics_to_log, run_tags
from tonearm.sweeps.trial_runs import Retraining, TrialRun, code_tag
from tonearm.tracking import names
from tonearm.tracking.buffer import BufferedRun
from tonearm.tracking.dataset_input import split_sizes
from tonearm.tracking.environment import machine_tags
from tonearm.tracking.log import RunWriter, Status, status_of
from tonearm.tracking.retry import retry, retry_best_effort
from tonearm.training.config import TrialConfig
from tonearm.training.stages import FinishedStage, StagePaths, StageRun, data_of_stage, divided_as_own, seeded
from tonearm.training.trained_code import note_machine, told_of_other_code
from tonearm.workflows.kept_splits import keep_folds, split_fold
from tonearm.workflows.mlflow_pages import show_training
from tonearm.workflows.ray_session import stop_ray
from tonearm.workflows.sweep_result import takes_only_audio
from tonearm.workflows.training_data import TrainingRequest, fitting_recipe, prepare_data
from tonearm.workflows.trial_library import keep_manifest

logger = logging.getLogger(__name__)

Identity = tuple[str, str, str, Mapping[str, Any], Mapping[str, str]]


@dataclass(frozen=True)
class FoldRun:
    """All stages of one seed and one fold.

    Attributes
    ----------
    fold
        ``"2/5"``, or "" where there is one split.
    finished
        Every stage.
    results
        Those that are the recipe's answer.
    """

    seed: int
    fold: str
    finished: dict[str, FinishedStage]
    results: list[FinishedStage]


@dataclass(frozen=True)
class Outcome:
    """What came of a request: its runs, the data, the run in MLflow that holds the others, and its identity."""

    runs: list[FoldRun]
    manifest: Manifest
    parent: RunWriter
    signature: str


@using_home("training")
def run_request(request: TrainingRequest) -> Outcome:
    """Prepare the data and train whatever is missing."""
    manifests = prepare_data(request)
    if not all(isinstance(s.config, TrialConfig) and s.config.model.solved for s in request.recipe.stages):
        stop_ray()  # training in steps is one process: it has the cores to itself
    own = manifests[request.recipe.data.signature()]
    request = dataclasses.replace(request, recipe=fitting_recipe(request.recipe, own))
    kept, changes = NOTHING, tuple[str, ...]()
    if request.folds:
        kept, changes = keep_folds(own, request.folds, request.split_seed, request.grouped)
    for line in changes:
        logger.info("  %s", line)
    signature = request.signature_on(manifests.values())
    params = {"recipe": request.name, "folds": request.folds, "seeds": request.seeds, "tracks": len(own.tracks),
              "ensemble": request.recipe.ensemble,
              "source": request.recipe.source}  # fmt: skip
    note = f"Training of {request.name} on {own.name}: {request.seeds} seed(s), {request.folds} folds."
    tags = {names.DATA: own.signature(), names.SOURCE: "tonearm train", names.NOTE: note}
    name = f"{request.name}-{signature}"
    parent = retry(RunWriter.open, own.name, name, None, params, {**tags, names.TRAINING: name})
    show_training(parent, own.name, name, request.recipe.stages[-1].config.task)
    places = StagePaths(home.features_home(), home.trials_home(), home.node_cache(), request.device)
    try:
        with torch_threads(request.threads):  # set here: starting Ray leaves one
            runs = [
                _run(request, manifests, seed, fold, kept, parent, places)
                for seed in range(request.seeds)
                for fold in (range(request.folds) if request.folds else [-1])
            ]
    except BaseException as error:  # Ctrl-C too: no run may stay "running" when nothing runs
        retry_best_effort(parent.end, status_of(error))
        raise
    told = told_of_other_code([(done.folder, done.config) for run in runs for done in run.finished.values()])
    if told:
        logger.info(f"  note: {told}")
    return Outcome(runs, own, parent, signature)


def _run(
    request: TrainingRequest, manifests: dict[str, Manifest], seed: int, fold: int, kept: Assignment,
    parent: RunWriter, places: StagePaths,
) -> FoldRun:  # fmt: skip
    label = f"{fold + 1}/{request.folds}" if fold >= 0 else ""
    finished: dict[str, FinishedStage] = {}
    anew: set[str] = set()
    above = parent
    own = manifests[request.recipe.data.signature()]
    if label:
        split = split_fold(own, request.folds, fold, request.split_seed, request.grouped, kept)
        own = dataclasses.replace(own, tracks=split)
        if seed == 0:
            logger.info("  fold %s: %s", label, split_report(own).lines()[0])
        name, params = f"seed {seed} fold {label}", {"fold": label, "seed": seed}
        tags, former = {names.FOLD: label, names.SEED: str(seed)}, f"fold-{fold + 1}-seed-{seed}"
        above = retry(RunWriter.open, own.name, name, parent.run_id, params, tags, former)
    try:
        for stage in request.recipe.stages:
            # A table of artists, say, has data of its own, which the folds need not divide.
            manifest = data_of_stage(stage, own, manifests)
            run = StageRun(seeded(stage, seed), manifest, finished, places, label if divided_as_own(stage) else "")
            for note in run.manifest.notes[len(manifest.notes) :]:
                logger.info("  %s: %s", stage.name, note)
            if isinstance(run.config, TrialConfig) and takes_only_audio(run.config):
                keep_manifest(run.manifest)  # from it can be selected later, whatever becomes of the data set
            if request.retrain:
                retrain_stage(run, seed, above, anew)
            finished[stage.name] = train_stage(run, seed, *dict.fromkeys((above, parent)))
    except BaseException as error:
        if label:
            retry_best_effort(above.end, status_of(error))
        raise
    if label:
        retry(above.end)
    by_name = [finished[s.name] for s in request.recipe.results()]
    return FoldRun(seed, label, finished, by_name)


def train_stage(run: StageRun, seed: int, *above: RunWriter) -> FinishedStage:
    """Train one stage, or what is left of it, as a run of its own.

    Parameters
    ----------
    above
        The runs that hold it, the nearest first: they run again if it is not finished.
    """
    config, task, line = run.config, run.config.task, StatusLine()
    name = _stage_name(run, seed)
    note = f"Stage {name}: {config.model.brief() if isinstance(config, TrialConfig) else config.estimator.brief()}."
    tags = {**run_tags(config, run.folder.uri), names.SOURCE: "tonearm train", names.NOTE: note,
            **code_tag(run.folder, config)}  # fmt: skip
    identity = (config.dataset.name, name, above[0].run_id, config.flatten(), tags)
    most = config.optim.max_epochs if isinstance(config, TrialConfig) else 1
    history: list[dict[str, Any]] = []
    sending: BufferedRun | None = None
    if not run.folder.is_completed():
        for holder in above:
            retry(holder.resume)

    def begin(recorded: Sequence[Mapping[str, Any]]) -> None:
        """Nobody else trains it now: what its run has must be of this training."""
        nonlocal sending
        sending = BufferedRun(*identity, open_run=TrialRun(run.folder, config, recorded, is_all=True).open)

    try:
        with closing(run.run(begin)) as epochs:
            for metrics in epochs:
                history.append(metrics)
                if sending is not None and not metrics["replayed"]:
                    note_machine(run.folder, machine_tags())
                    sending.metrics(metrics_to_log(config, metrics), metrics["epoch"])
                line.show(
                    f"  {name}: epoch {metrics['epoch']}/{most}, training loss {metrics['train_loss']:.4f}, validation "
                    f"{task.primary} {metrics[f'validation_{task.primary}']:.4f}, best {metrics['best']:.4f}"
                )
        done = run.finish()
    except BaseException as error:
        line.close()
        if sending is not None:
            sending.tag(ERROR, str(error)[-5000:])
            sending.close()
        retry_best_effort(_end_badly, identity, run, status_of(error))
        raise
    line.say(_sentence(name, done, history))
    if sending is not None:
        sending.tag(names.CODE, " ".join(run.folder.code()))
        sending.close()
    retry(_complete, identity, done, history, say=line.say)
    return done


def retrain_stage(run: StageRun, seed: int, above: RunWriter, anew: set[str]) -> None:
    """Let a stage begin anew that other code has trained, or that builds upon one of ``anew``, which it is added to."""
    again = Retraining(above.run_id, bool(anew & set(run.stage.needs())), logger.info)
    if again(_stage_name(run, seed), run.folder, run.config):
        anew.add(run.stage.name)


def _stage_name(run: StageRun, seed: int) -> str:
    fold = run.config.dataset.fold
    return f"{run.stage.name} seed {seed}" + (f" fold {fold}" if fold else "")


def _sentence(name: str, done: FinishedStage, history: list[dict[str, float]]) -> str:
    task = done.task
    test = task.metrics(done.test.probabilities, done.test.target, done.test.groups)
    seconds = sum(h["epoch_seconds"] for h in history)
    epochs = f"{len(history)} epoch{'s' if len(history) != 1 else ''}, {seconds:.0f} s"
    scores = f"validation {history[-1]['best']:.4f}, test {test[task.primary]:.4f}"
    return f"  {name}: {epochs}; {task.primary}: {scores}"


def _complete(identity: Identity, done: FinishedStage, history: list[dict[str, Any]]) -> None:
    """Scores, plots and predictions of a finished stage, once: the tag that comes last says that all is there."""
    writer = TrialRun(done.folder, done.config, history).open(*identity)
    if writer.tags().get(ENDING) != "completed":
        log_config(writer, done.config, split_sizes(done.manifest.tracks))
        log_history(writer, done.config, history)
        log_outcome(writer, identity[1], done.config, done.folder, history)
        writer.tag(ENDING, "completed")
    writer.end()


def _end_badly(identity: Identity, run: StageRun, status: Status) -> None:
    writer = TrialRun(run.folder, run.config, run.folder.history()).open(*identity)
    log_config(writer, run.config, split_sizes(run.manifest.tracks))
    writer.end(status)


def stages_of(runs: list[FoldRun]) -> Iterator[tuple[str, list[FinishedStage]]]:
    """Every stage by name with what came of it in all runs."""
    for name in runs[0].finished:
        yield name, [r.finished[name] for r in runs]
