"""Training a recipe: data, then every seed, fold and stage, each a run in MLflow; what is finished is not run again."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonearm.audio.windows import ClipConfig
from tonearm.core import home
from tonearm.core.progress import StatusLine
from tonearm.core.seeding import digest
from tonearm.datasets.base import DatasetConfig
from tonearm.datasets.folds import split_by_fold
from tonearm.datasets.manifest import Manifest, Track
from tonearm.datasets.split_report import report_splits as split_report
from tonearm.features.base import Representation
from tonearm.sweeps.results import ENDING, ERROR, log_config, log_history, log_outcome, metrics_to_log, run_tags
from tonearm.tracking import names
from tonearm.tracking.buffer import BufferedRun
from tonearm.tracking.log import RunWriter, Status
from tonearm.tracking.retry import retry, retry_best_effort
from tonearm.training.config import TrialConfig
from tonearm.training.recipe import Recipe, Stage, StageConfig, recipe_representations
from tonearm.training.stages import FinishedStage, StagePaths, StageRun, seeded
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.prepare import make_catalogue, prepare_catalogue
from tonearm.workflows.ray_session import stop_ray

logger = logging.getLogger(__name__)

Check = Callable[[Sequence[Track], Sequence[Representation], ClipConfig], None]
Identity = tuple[str, str, str, Mapping[str, Any], Mapping[str, str]]


@dataclass(frozen=True)
class TrainingRequest:
    """What was asked for.

    Attributes
    ----------
    name
        Of the recipe.
    dataset_name
        What to call the data set; "" as it calls itself.
    folds
        0: the one split.
    seeds
        How often, with the seeds 0, 1, ...
    grouped
        Whether a group stays in one split or fold.
    """

    name: str
    recipe: Recipe
    dataset_name: str = ""
    folds: int = 0
    seeds: int = 1
    split_seed: int = 0
    grouped: bool = True
    device: str = "cpu"
    max_rejected: float = MAX_REJECTED
    descriptors: bool = False
    metadata: str = ""

    def signature_on(self, manifests: Iterable[Manifest]) -> str:
        """Identity of all that is asked for, and of the data as they are there."""
        stages = [[s.name, s.config.to_dict(run_only=False), dict(s.members), dict(s.vectors),
                   s.data and s.data.to_dict()] for s in self.recipe.stages]  # fmt: skip
        data = [m.signature() for m in manifests]
        return digest(data, stages, self.folds, self.seeds, self.split_seed, self.grouped)


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


def run_request(request: TrainingRequest) -> Outcome:
    """Prepare the data and train whatever is missing."""
    manifests = prepare_data(request)
    stop_ray()  # training is one process: it has the cores to itself
    own = manifests[request.recipe.data.signature()]
    signature = request.signature_on(manifests.values())
    params = {"recipe": request.name, "folds": request.folds, "seeds": request.seeds, "tracks": len(own.tracks),
              "ensemble": request.recipe.ensemble,
              "source": request.recipe.source}  # fmt: skip
    name, tags = f"{request.name}-{signature}", {names.DATA: own.signature()}
    parent = retry(RunWriter.open, own.name, name, None, params, tags)
    try:
        runs = [
            _run(request, manifests, seed, fold, parent)
            for seed in range(request.seeds)
            for fold in (range(request.folds) if request.folds else [-1])
        ]
    except BaseException as error:  # Ctrl-C too: no run may stay "running" when nothing runs
        retry_best_effort(parent.end, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    return Outcome(runs, own, parent, signature)


def prepare_data(
    request: TrainingRequest, also: Sequence[Representation] = (), check: Check = lambda tracks, features, clip: None
) -> dict[str, Manifest]:
    """The data of every data set that the recipe names, by the signature of its config; what is missing is extracted.

    Parameters
    ----------
    also
        Representations of the recipe's data set that its stages do not name.
    check
        Called with the tracks, representations and clip before any are extracted; may refuse.
    """
    recipe, found = request.recipe, {}
    sets: dict[str, tuple[DatasetConfig, list[Stage]]] = {}
    for stage in recipe.stages:
        data = stage.data or recipe.data
        sets.setdefault(data.signature(), (data, []))[1].append(stage)
    for signature, (data, stages) in sets.items():
        logger.info("data set %s: %s", data.kind, data.root)
        asked = signature == recipe.data.signature()  # what was typed of a data set is of this one
        wanted = {r.store_name(): r for r in [*recipe_representations(stages), *(also if asked else ())]}
        features = [wanted[name] for name in sorted(wanted)]
        # Where nothing is heard, clips play no part; where something is, a recipe has one kind.
        clip = next((s.config.clip for s in stages if s.representations()), stages[0].config.clip)
        least = max((s.config.min_seconds for s in stages if isinstance(s.config, TrialConfig)), default=0.0)
        catalogue = make_catalogue(data, request.dataset_name if asked else "")
        check(catalogue.tracks, features, clip)
        classes = any(s.config.task.needs_classes for s in stages)
        balanced = any(s.config.task.uses_labels for s in stages)
        made = prepare_catalogue(
            catalogue, features, clip, least or 1.0, request.split_seed, request.max_rejected, request.device,
            descriptors=request.descriptors, predicted=request.descriptors, classes=classes, grouped=request.grouped,
            metadata=request.metadata if asked else "", balanced=balanced, fractions=recipe.fractions,
        )  # fmt: skip
        logger.info("%s", made.describe())
        found[signature] = made.manifest
    return found


def _run(request: TrainingRequest, manifests: dict[str, Manifest], seed: int, fold: int, parent: RunWriter) -> FoldRun:
    places = StagePaths(home.features_home(), f"{home.trials_home()}/single", home.node_cache(), request.device)
    label = f"{fold + 1}/{request.folds}" if fold >= 0 else ""
    finished: dict[str, FinishedStage] = {}
    above = parent
    own = manifests[request.recipe.data.signature()]
    if label:
        split = split_by_fold(own.tracks, request.folds, fold, request.split_seed, request.grouped)
        own = dataclasses.replace(own, tracks=split)
        if seed == 0:
            logger.info("  fold %s: %s", label, split_report(own).lines()[0])
        name, params = f"fold-{fold + 1}-seed-{seed}", {"fold": label, "seed": seed}
        above = retry(RunWriter.open, own.name, name, parent.run_id, params)
    try:
        for stage in request.recipe.stages:
            # A table of artists, say, has data of its own, which the folds do not divide.
            manifest = manifests[stage.data.signature()] if stage.data else own
            run = StageRun(seeded(stage, seed), manifest, finished, places, "" if stage.data else label)
            for note in run.manifest.notes[len(manifest.notes) :]:
                logger.info("  %s: %s", stage.name, note)
            finished[stage.name] = train_stage(run, seed, above.run_id)
    except BaseException as error:
        if label:
            retry_best_effort(above.end, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    if label:
        retry(above.end)
    by_name = [finished[s.name] for s in request.recipe.results()]
    return FoldRun(seed, label, finished, by_name)


def train_stage(run: StageRun, seed: int, parent: str) -> FinishedStage:
    """Train one stage, or what is left of it, as a run of its own below the run ``parent``."""
    config, task, line = run.config, run.config.task, StatusLine()
    of = f"{run.stage.name}{f', fold {config.dataset.fold}' if config.dataset.fold else ''}, seed {seed}"
    name, tags = f"{run.stage.name}-{config.signature()}", run_tags(config, run.folder.uri)
    identity = (config.dataset.name, name, parent, config.flatten(), tags)
    most = config.optim.max_epochs if isinstance(config, TrialConfig) else 1
    history: list[dict[str, Any]] = []
    sending = BufferedRun(*identity)
    try:
        for metrics in run.run():
            history.append(metrics)
            if not metrics["replayed"]:
                sending.metrics(metrics_to_log(metrics), metrics["epoch"])
            line.show(
                f"  {of}: epoch {metrics['epoch']}/{most}, training loss {metrics['train_loss']:.4f}, validation "
                f"{task.primary} {metrics[f'validation_{task.primary}']:.4f}, best {metrics['best']:.4f}"
            )
        done = run.finish()
    except BaseException as error:
        line.close()
        sending.tag(ERROR, str(error)[-5000:])
        sending.close()
        status: Status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        retry_best_effort(_end_badly, identity, config, status)
        raise
    line.say(_sentence(of, done, history))
    sending.close()
    retry(_complete, identity, done, history, say=line.say)
    return done


def _sentence(of: str, done: FinishedStage, history: list[dict[str, float]]) -> str:
    task = done.task
    test = task.metrics(done.test.probabilities, done.test.target, done.test.groups)
    seconds = sum(h["epoch_seconds"] for h in history)
    return (
        f"  {of}: {len(history)} epoch{'s' if len(history) != 1 else ''}, {seconds:.0f} s; {task.primary}: validation "
        f"{history[-1]['best']:.4f}, test {test[task.primary]:.4f}"
    )


def _complete(identity: Identity, done: FinishedStage, history: list[dict[str, Any]]) -> None:
    """Scores, plots and predictions of a finished stage, once: the tag that comes last says that all is there."""
    writer = RunWriter.open(*identity)
    if writer.tags().get(ENDING) != "completed":
        log_config(writer, done.config)
        log_history(writer, history, done.task.primary)
        log_outcome(writer, done.config, done.folder, history)
        writer.tag(ENDING, "completed")
    writer.end()


def _end_badly(identity: Identity, config: StageConfig, status: Status) -> None:
    writer = RunWriter.open(*identity)
    log_config(writer, config)
    writer.end(status)


def stages_of(runs: list[FoldRun]) -> Iterator[tuple[str, list[FinishedStage]]]:
    """Every stage by name with what came of it in all runs."""
    for name in runs[0].finished:
        yield name, [r.finished[name] for r in runs]
