"""Training a recipe: data, then every seed, fold and stage, each a run in MLflow; what is finished is not run again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from jobs.common import stop_ray
from jobs.datasets import make_catalogue, prepare
from tonearm.core import home
from tonearm.core.progress import StatusLine
from tonearm.core.seeding import digest
from tonearm.datasets.base import DatasetConfig
from tonearm.datasets.folds import with_fold
from tonearm.datasets.manifest import Manifest
from tonearm.features.base import Representation
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.training.config import TrialConfig
from tonearm.training.plots import learning_curves
from tonearm.training.recipe import Recipe, Stage, recipe_representations
from tonearm.training.stages import Finished, Places, StageRun, seeded


@dataclass(frozen=True)
class Request:
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
    max_rejected: float = 0.2
    descriptors: bool = False
    facts: str = ""

    @property
    def signature(self) -> str:
        """Identity of all that is asked for, whatever the recipe is called."""
        stages = [[s.name, s.config.to_dict(run_only=False), dict(s.members), dict(s.vectors),
                   s.data and s.data.to_dict()] for s in self.recipe.stages]  # fmt: skip
        return digest(self.recipe.data.to_dict(), stages, self.folds, self.seeds, self.split_seed, self.grouped)


@dataclass(frozen=True)
class Run:
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
    finished: dict[str, Finished]
    results: list[Finished]


@dataclass(frozen=True)
class Outcome:
    """What came of a request: its runs, the data, and the run in MLflow that holds the others."""

    runs: list[Run]
    manifest: Manifest
    parent: RunWriter


def run_request(request: Request) -> Outcome:
    """Prepare the data and train whatever is missing."""
    manifests = _manifests(request)
    stop_ray()  # training is one process: it has the cores to itself
    own = manifests[request.recipe.data.signature()]
    params = {"recipe": request.name, "folds": request.folds, "seeds": request.seeds, "tracks": len(own.tracks),
              "source": request.recipe.source}  # fmt: skip
    parent = RunWriter.open(
        own.name, f"{request.name}-{request.signature}", params=params, tags={names.DATA: own.signature()}
    )
    try:
        runs = [
            _run(request, manifests, seed, fold, parent)
            for seed in range(request.seeds)
            for fold in (range(request.folds) if request.folds else [-1])
        ]
    except BaseException as error:  # Ctrl-C too: no run may stay "running" when nothing runs
        parent.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    return Outcome(runs, own, parent)


def _manifests(request: Request) -> dict[str, Manifest]:
    """The data of every data set that the recipe names, by the signature of its config."""
    recipe, found = request.recipe, {}
    sets: dict[str, tuple[DatasetConfig, list[Stage]]] = {}
    for stage in recipe.stages:
        data = stage.data or recipe.data
        sets.setdefault(data.signature(), (data, []))[1].append(stage)
    for signature, (data, stages) in sets.items():
        print(f"data set {data.kind}: {data.root}", flush=True)
        features: list[Representation] = recipe_representations(stages)
        asked = signature == recipe.data.signature()  # what was typed of a data set is of this one
        # Where nothing is heard, clips play no part.
        clips = {s.config.clip for s in stages if s.representations()} or {stages[0].config.clip}
        least = max((s.config.min_seconds for s in stages if isinstance(s.config, TrialConfig)), default=0.0)
        catalogue = make_catalogue(data, request.dataset_name if asked else "")
        classes = any(s.config.task.needs_classes for s in stages)
        # Stages that listen to other parts of a recording (a clip of 120 s beside one of 30 s) are extracted apart.
        for clip in sorted(clips, key=lambda c: c.seconds):
            of_clip = [r for s in stages if s.config.clip == clip for r in s.representations()]
            wanted = [r for r in features if r in of_clip]
            found[signature], _ = prepare(
                catalogue, wanted, clip, least or 1.0, request.split_seed, request.max_rejected, request.device,
                request.descriptors, classes, request.grouped, request.facts if asked else "",
            )  # fmt: skip
    return found


def _run(request: Request, manifests: dict[str, Manifest], seed: int, fold: int, parent: RunWriter) -> Run:
    places = Places(home.features_home(), f"{home.trials_home()}/single", home.node_cache(), request.device)
    label = f"{fold + 1}/{request.folds}" if fold >= 0 else ""
    finished: dict[str, Finished] = {}
    above = parent
    if label:
        own = manifests[request.recipe.data.signature()]
        above = RunWriter.open(own.name, f"fold-{fold + 1}-seed-{seed}", parent.run_id, {"fold": label, "seed": seed})
    for stage in request.recipe.stages:
        manifest = manifests[(stage.data or request.recipe.data).signature()]
        if label and stage.data is None:
            split = with_fold(manifest.tracks, request.folds, fold, request.split_seed, request.grouped)
            manifest = dataclasses.replace(manifest, tracks=split)
        run = StageRun(seeded(stage, seed), manifest, finished, places, label)
        finished[stage.name] = _train(run, seed, above)
    if label:
        above.end()
    by_name = [finished[s.name] for s in request.recipe.results()]
    return Run(seed, label, finished, by_name)


def _train(run: StageRun, seed: int, parent: RunWriter) -> Finished:
    config, task, line = run.config, run.config.task, StatusLine()
    of = f"{run.stage.name}{f', fold {config.dataset.fold}' if config.dataset.fold else ''}, seed {seed}"
    tags = {names.DATA: config.dataset.data_signature, names.CONFIG: config.signature(), names.SEED: str(seed)}
    writer = RunWriter.open(
        config.dataset.name, f"{run.stage.name}-{config.signature()}", parent.run_id, config.flatten(), tags
    )
    logged = writer.steps(f"validation_{task.primary}")
    most = config.optim.most_epochs if isinstance(config, TrialConfig) else 1
    history = []
    try:
        for metrics in run.run():
            history.append(metrics)
            if metrics["epoch"] not in logged:
                writer.metrics({k: v for k, v in metrics.items() if k not in ("epoch", "replayed")}, metrics["epoch"])
            line.show(
                f"  {of}: epoch {metrics['epoch']}/{most}, training loss {metrics['train_loss']:.4f}, validation "
                f"{task.primary} {metrics[f'validation_{task.primary}']:.4f}, best {metrics['best']:.4f}"
            )
        done = run.finish()
    except BaseException as error:
        line.close()
        writer.tag("tonearm.error", str(error)[-5000:])
        writer.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    line.say(_sentence(of, done, history))
    _log(writer, done, history, already=max(logged, default=0) >= len(history))
    return done


def _sentence(of: str, done: Finished, history: list[dict[str, float]]) -> str:
    task = done.task
    test = task.metrics(done.test.probabilities, done.test.target, done.test.groups)
    seconds = sum(h["epoch_seconds"] for h in history)
    return (
        f"  {of}: {len(history)} epoch{'s' if len(history) != 1 else ''}, {seconds:.0f} s; {task.primary}: validation "
        f"{history[-1]['best']:.4f}, test {test[task.primary]:.4f}"
    )


def _log(writer: RunWriter, done: Finished, history: list[dict[str, float]], already: bool) -> None:
    task, test = done.task, done.test
    scores = {**task.metrics(test.probabilities, test.target, test.groups), **done.folder.window_metrics()}
    writer.metrics({f"test_{k}": v for k, v in scores.items()})
    if not already:
        if len(history) > 1:
            writer.figure("learning_curves.png", learning_curves(history, task.primary, done.name))
        for name, figure in task.figures(test.probabilities, test.target, test.classes, f"{done.name}, test").items():
            writer.figure(f"{name}_test.png", figure)
        for split in ("validation", "test"):
            writer.file(done.folder.predictions_uri(split), "predictions")
    writer.end()


def stages_of(runs: list[Run]) -> Iterator[tuple[str, list[Finished]]]:
    """Every stage by name with what came of it in all runs."""
    for name in runs[0].finished:
        yield name, [r.finished[name] for r in runs]
