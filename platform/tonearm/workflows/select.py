"""Choosing the ensemble of a sweep on validation, scoring it once on test, registering it, and promoting the better."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tonearm.core import home, storage
from tonearm.core.best_effort import best_effort
from tonearm.core.errors import JobError
from tonearm.core.home_use import using_home
from tonearm.core.seeding import digest
from tonearm.core.text import command
from tonearm.core.types import FloatArray, Prediction
from tonearm.datasets.manifest import Split
from tonearm.ensembles.bundle import save_ensemble
from tonearm.ensembles.combine import weighted_mean
from tonearm.ensembles.select import select_greedily
from tonearm.inference import PYFUNC_CODE, load, predict_tracks
from tonearm.inference.recommend import CATALOGUE
from tonearm.recommend import CatalogueIndex
from tonearm.sweeps.means import log_mean, mean_name
from tonearm.sweeps.results import TrialResult, best_result
from tonearm.tasks.base import Task
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, status_of
from tonearm.tracking.query import registered
from tonearm.tracking.register import register_candidate
from tonearm.tracking.retry import retry, retry_best_effort
from tonearm.training.batches import truth_of
from tonearm.training.config import EnsembleConfig, Member
from tonearm.training.evaluate import Scores, score, trivial_scores
from tonearm.training.examples import keep_usable_tracks
from tonearm.training.predictions import TrackPredictions
from tonearm.workflows.figures import publish_figure
from tonearm.workflows.promotion import decide_promotion
from tonearm.workflows.selection import Selection
from tonearm.workflows.sweep_result import Sweep, find_sweep

logger = logging.getLogger(__name__)


@using_home("selection")
def select(sweep: Sweep | str, *, promotion: bool | None = None) -> Selection:
    """Select the ensemble of a sweep, score it, register it, and promote it if it is no worse than the champion.

    What was selected of the same trials is not selected again.

    Parameters
    ----------
    sweep
        A sweep, or its name in MLflow, or a unique beginning of it.
    promotion
        Whether it becomes the champion; None: if it is no worse on the same validation tracks, or they are others.

    Raises
    ------
    JobError
        If no trial of the sweep has ended.
    ConfigError
        If its models need more than audio, and so cannot be served.
    """
    if isinstance(sweep, str):
        sweep = find_sweep(sweep)
    results = sweep.results
    done = [r for r in results if r.ending != "failed" and r.best is not None]
    if not done:
        raise JobError(f"sweep {sweep.name} has no trial that ended in {sweep.folder}: run {command('sweep')} first")
    if len(done) < len(results):
        logger.info(
            f"  {len(results) - len(done)} of {len(results)} trials have not ended, or failed: chosen from the others"
        )
    done[0].config.audio_inputs()  # what needs more than audio cannot be served
    record, task = record_uri(sweep, done), done[0].config.task
    parent = sweep.open()
    try:
        kept = retry(registered, sweep.manifest.name, names.CANDIDATE)
        selection = None
        if storage.exists(record):
            known = {**storage.read_json(record), "bundle": bundle_uri(sweep)}  # the home may have been moved
            selection = Selection.from_dict(known, sweep.name, sweep.manifest.name, tuple(task.headline))
        if selection is None or kept is None or kept.version != selection.version:
            selection = _select(sweep, done, parent)
        members = set(selection.members)
        publish_figure("sweep.png", home.reports_home(sweep.manifest.name), parent, sweep.plot, members)
        found = decide_promotion(sweep.manifest.name, selection.version, task, promotion, selection.why)
        decided = dataclasses.replace(selection, promoted=found.promoted, why=found.why)
        if decided != selection or not storage.exists(record):
            storage.write_json(record, decided.to_dict())
    except BaseException as error:  # Ctrl-C too: no run may stay "running" when nothing runs
        if parent.is_new:
            retry_best_effort(parent.end, status_of(error))
        raise
    # What a sweep came to, and when it ended, is not this job's to say: it may be run now, or its driver was killed.
    if parent.is_new:  # another database than that of the sweep
        retry(parent.end)
    return decided


def record_uri(sweep: Sweep, done: Sequence[TrialResult]) -> str:
    """Where the selection from these trials is written down."""
    name = f"selection-{digest([(r.folder_name, len(r.history)) for r in done])}.json"
    return storage.join(sweep.folder, "champion", name)


def bundle_uri(sweep: Sweep) -> str:
    """Where the chosen ensemble lies."""
    return storage.join(sweep.folder, "champion", "bundle")


@dataclasses.dataclass(frozen=True)
class _TestSplit:
    """The tracks that are evaluated: their places among the manifest's, their groups and the truth."""

    places: list[int]
    groups: list[str]
    target: np.ndarray
    trivial: dict[str, float]


def _select(sweep: Sweep, done: list[TrialResult], parent: RunWriter) -> Selection:
    task, manifest = done[0].config.task, sweep.manifest
    validation = [r.folder.validation() for r in done]
    chosen = select_greedily(
        [v.probabilities for v in validation], validation[0].target, task, groups=validation[0].groups
    )
    weights = [float(w) for w in chosen.values()]
    bundle, uris = bundle_uri(sweep), [done[i].folder.bundle_uri for i in chosen]
    facts: dict[str, Any] = {"dataset": manifest.name, "sweep": sweep.signature,
                             "members": {done[i].folder_name: w for i, w in chosen.items()}}  # fmt: skip
    save_ensemble(bundle, uris, weights, facts)

    torch.set_num_threads(os.cpu_count() or 1)  # the sweep is over: this process has the machine to itself
    classifier = load(bundle)
    tracks = list(manifest.tracks)
    logger.info(f"  {len(uris)} networks chosen; embedding {len(tracks)} tracks for the catalogue ...")
    predictions = _predict(bundle, sweep)
    CatalogueIndex.build(np.stack([p.embedding for p in predictions]), tracks).save(storage.join(bundle, CATALOGUE))

    test = _test_split(sweep, done[0], classifier.classes)
    probabilities = np.stack([predictions[i].probabilities for i in test.places])
    ensemble = score(task, probabilities, test.target, test.groups)
    alone = _predict(best_result(done).folder.bundle_uri, sweep, test.places)
    single = score(task, np.stack([p.probabilities for p in alone]), test.target, test.groups)
    save_ensemble(bundle, uris, weights, {**facts, "test": ensemble.to_dict()})

    _publish_figures(sweep, parent, task, probabilities, test, classifier.classes)
    _log_scores(parent, ensemble, single, test.trivial)
    mean = weighted_mean([validation[i].probabilities for i in chosen], weights)
    on_validation = task.metrics(mean, validation[0].target, validation[0].groups)[task.primary]
    found: dict[Split, TrackPredictions] = {
        "validation": dataclasses.replace(validation[0], probabilities=mean),
        "test": TrackPredictions([tracks[i].track_id for i in test.places], test.groups, test.target, probabilities,
                                 classifier.classes),
    }  # fmt: skip
    _log_as_candidate(sweep, [done[i] for i in chosen], weights, found, parent)
    tags = {names.DATA: manifest.signature(), names.SWEEP: sweep.signature, names.METRIC: task.primary,
            names.VALIDATION: f"{on_validation:.6g}", names.TEST: f"{ensemble.metrics[task.primary]:.6g}"}  # fmt: skip
    version = register_candidate(bundle, parent.run_id, manifest.name, classifier.classes, PYFUNC_CODE, tags)
    return Selection(
        bundle, {done[i].index: weight for i, weight in chosen.items()}, ensemble, single, test.trivial,
        task.trivial_name, task.chance(len(classifier.classes)), version, False, "", sweep.name, manifest.name,
        tuple(task.headline), best_result(done).index,
    )  # fmt: skip


def _predict(bundle: str, sweep: Sweep, places: Sequence[int] | None = None) -> list[Prediction]:
    """What a model says of the sweep's tracks, or of those at some places, from their stored features."""
    tracks = sweep.manifest.tracks
    wanted = list(tracks) if places is None else [tracks[i] for i in places]
    return predict_tracks(load(bundle), wanted, home.features_home(), home.node_cache())


def _test_split(sweep: Sweep, trial: TrialResult, classes: Sequence[str]) -> _TestSplit:
    task, tracks = trial.config.task, sweep.manifest.tracks
    usable = keep_usable_tracks(task, trial.config.feature, sweep.manifest)
    kept = {t.track_id for t in usable.of("test")}
    places = [i for i, t in enumerate(tracks) if t.track_id in kept]
    target = task.encode(truth_of([tracks[i] for i in places], usable.metadata), classes)
    groups = [tracks[i].group for i in places]
    train_target = task.encode(truth_of(usable.of("train"), usable.metadata), classes)
    return _TestSplit(places, groups, target, trivial_scores(task, train_target, target, len(classes), groups))


def _publish_figures(
    sweep: Sweep, parent: RunWriter, task: Task, probabilities: FloatArray, test: _TestSplit, classes: Sequence[str]
) -> None:
    """The task's own plots of the test split."""
    reports, title = home.reports_home(sweep.manifest.name), f"{sweep.manifest.name}: ensemble on test"
    figures = best_effort("the plots of the test split", task.figures, probabilities, test.target, classes, title)
    for plot, figure in (figures or {}).items():
        publish_figure(f"{plot}_test.png", reports, parent, lambda figure=figure: figure)


def _log_scores(parent: RunWriter, ensemble: Scores, single: Scores, trivial: dict[str, float]) -> None:
    parent.metrics({
        **{f"test_{k}": v for k, v in ensemble.metrics.items()},
        **{f"test_single_{k}": v for k, v in single.metrics.items()},
        **{f"test_trivial_{k}": v for k, v in trivial.items()},
    })  # fmt: skip


def _log_as_candidate(
    sweep: Sweep, members: Sequence[TrialResult], weights: Sequence[float], found: dict[Split, TrackPredictions],
    parent: RunWriter,
) -> None:  # fmt: skip
    """A run of its own for the ensemble, so that it can be compared with the trials."""
    config = EnsembleConfig(
        dataset=members[0].config.dataset, task=members[0].config.task, weights=tuple(weights),
        members=tuple(Member(name=f"{r.index:02d}", trial=r.config.signature(), bundle=r.folder.uri) for r in members),
    )  # fmt: skip
    folder = f"ensemble-{config.signature()}"
    retry(log_mean, mean_name(config), config, found, storage.join(sweep.folder, "champion", folder), parent.run_id)
    retry(parent.tag, names.ENSEMBLE, folder)
