"""Choose the ensemble of a sweep on validation, score it once on test, register it, and promote it if it is better.

python -m jobs.select demo-3f2a              # a sweep, by its name in MLflow or a unique beginning of it
python -m jobs.select demo-3f2a --promote    # whatever the champion is like
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
import typer

from jobs.common import cli_errors
from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.core.seeding import digest
from tonearm.core.text import format_table
from tonearm.core.threads import limit_threads
from tonearm.datasets.manifest import Split
from tonearm.ensembles.bundle import save_ensemble
from tonearm.ensembles.combine import weighted_mean
from tonearm.ensembles.select import select_greedily
from tonearm.inference import PYFUNC_CODE, load, predict_tracks
from tonearm.inference.recommend import CATALOGUE
from tonearm.recommend import CatalogueIndex
from tonearm.statistics.intervals import Interval
from tonearm.sweeps.means import log_mean
from tonearm.sweeps.results import TrialResult, best_result
from tonearm.tasks import Task
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import champion_uri, registered
from tonearm.tracking.register import promote, register_candidate
from tonearm.tracking.retry import retry, retry_best_effort
from tonearm.training.batches import truth_of
from tonearm.training.config import EnsembleConfig, Member
from tonearm.training.evaluate import Scores, score, trivial_scores
from tonearm.training.examples import keep_usable_tracks
from tonearm.training.predictions import TrackPredictions
from tonearm.workflows.sweep_setup import Sweep, find_sweep

SHORT_NAMES = {"f1", "mae", "mse", "r2", "roc", "auc"}
SMALL = 0.02
METRIC, VALIDATION, TEST = "tonearm.metric", "tonearm.validation", "tonearm.test"
"""Tags of a registered version: what it is judged by, and how it was."""


@dataclass(frozen=True)
class Selection:
    """The chosen ensemble and its scores on test, beside the best single trial, what needs no model, and chance.

    Attributes
    ----------
    members
        How often each trial was chosen, by its index.
    trivial, trivial_name
        Metrics of what needs no model, and what that is: ``"majority class"``.
    chance
        The primary metric of guessing; None where guessing has no meaning.
    promoted, why
        Whether it is the champion now, and the reason.
    """

    bundle: str
    members: dict[int, int]
    ensemble: Scores
    single: Scores
    trivial: dict[str, float]
    trivial_name: str
    chance: float | None
    version: str
    promoted: bool
    why: str

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Selection:
        """The inverse of ``dataclasses.asdict``, by way of JSON."""
        scores = {k: Scores.from_dict(values[k]) for k in ("ensemble", "single")}
        return cls(**{**values, **scores, "members": {int(k): v for k, v in values["members"].items()}})


def run(sweep: Sweep, results: list[TrialResult], promotion: bool | None = None) -> Selection:
    """Select, score and register; what was selected of the same trials is not selected again.

    Parameters
    ----------
    promotion
        Whether it becomes the champion; None: if it is no worse on the same validation tracks, or they are others.
    """
    done = [r for r in results if r.ending != "failed" and r.best is not None]
    if not done:
        raise JobError(f"sweep {sweep.run_name} has no trial that ended in {sweep.folder}: run jobs.sweep first")
    if len(done) < len(results):
        print(
            f"  {len(results) - len(done)} of {len(results)} trials have not ended, or failed: chosen from the others"
        )
    done[0].config.audio_inputs()  # what needs more than audio cannot be served
    record = storage.join(
        sweep.folder, "champion", f"selection-{digest([(r.name, len(r.history)) for r in done])}.json"
    )
    parent = sweep.open()
    try:
        kept = retry(registered, sweep.manifest.name, names.CANDIDATE)
        selection = Selection.from_dict(storage.read_json(record)) if storage.exists(record) else None
        if selection is None or kept is None or kept.version != selection.version:
            selection = _select(sweep, done, parent)
        promoted, why = _promote(selection, sweep, done[0].config.task, promotion)
    except BaseException as error:
        retry_best_effort(parent.end, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    told = dataclasses.replace(selection, promoted=promoted, why=why)
    if told != selection or not storage.exists(record):
        storage.write_json(record, dataclasses.asdict(told))
    selection = told
    retry(parent.end)
    describe(selection, sweep, done[0].config.task)
    return selection


def _promote(selection: Selection, sweep: Sweep, task: Task, wanted: bool | None) -> tuple[bool, str]:
    """Make the candidate the champion, if it should be."""
    dataset = sweep.manifest.name
    now, candidate = (retry(registered, dataset, alias) for alias in (names.CHAMPION, names.CANDIDATE))
    if now is not None and now.version == selection.version:
        return True, selection.why or "it is the champion already"
    if wanted is None:
        wanted, why = True, "the first one"
        if now is not None and candidate is not None:
            wanted, why = _validates_as_well(candidate.tags, now.tags, task)
            why = f"{why}; the champion was version {now.version}"
    else:
        why = "as was asked for"
    if wanted:
        retry(promote, dataset, selection.version)
    return wanted, why


def _validates_as_well(candidate: Mapping[str, str], champion: Mapping[str, str], task: Task) -> tuple[bool, str]:
    """Whether a version validates at least as well as another, where that can be said."""
    if champion.get(names.DATA) != candidate[names.DATA]:
        return True, "the champion was chosen on other data, so its score cannot be compared"
    if champion.get(METRIC) != candidate[METRIC]:
        return True, f"the champion was judged by {champion.get(METRIC)}, this one by {candidate[METRIC]}"
    ours, theirs = float(candidate[VALIDATION]), float(champion[VALIDATION])
    better = ours >= theirs if task.maximise else ours <= theirs
    return better, f"validation {task.primary} {rounded(ours)}, the champion's {rounded(theirs)}"


def _select(sweep: Sweep, done: list[TrialResult], parent: RunWriter) -> Selection:
    task = done[0].config.task
    validation = [r.folder.validation() for r in done]
    chosen = select_greedily([v.probabilities for v in validation], validation[0].target, task)
    members = {done[i].index: weight for i, weight in chosen.items()}
    bundle = storage.join(sweep.folder, "champion", "bundle")
    uris = [done[i].folder.bundle_uri for i in chosen]
    facts: dict[str, Any] = {"dataset": sweep.manifest.name, "sweep": sweep.signature,
                             "members": {done[i].name: w for i, w in chosen.items()}}  # fmt: skip
    save_ensemble(bundle, uris, [float(w) for w in chosen.values()], facts)

    torch.set_num_threads(os.cpu_count() or 1)  # the sweep is over: this process has the machine to itself
    classifier = load(bundle)
    tracks = list(sweep.manifest.tracks)
    predictions = predict_tracks(classifier, tracks, home.features_home(), home.node_cache())
    CatalogueIndex.build(np.stack([p.embedding for p in predictions]), tracks).save(storage.join(bundle, CATALOGUE))

    classes = classifier.classes
    judged = keep_usable_tracks(task, done[0].config.feature, sweep.manifest)
    kept = {t.track_id for t in judged.of("test")}
    test = [i for i, t in enumerate(tracks) if t.track_id in kept]
    target = task.encode(truth_of([tracks[i] for i in test], judged.metadata), classes)
    groups = [tracks[i].group for i in test]
    probabilities = np.stack([predictions[i].probabilities for i in test])
    ensemble = score(task, probabilities, target, groups)
    single_tracks = predict_tracks(load(best_result(done).folder.bundle_uri), [tracks[i] for i in test],
                                   home.features_home(), home.node_cache())  # fmt: skip
    single = score(task, np.stack([p.probabilities for p in single_tracks]), target, groups)
    train_target = task.encode(truth_of(judged.of("train"), judged.metadata), classes)
    trivial = trivial_scores(task, train_target, target, len(classes), groups)

    save_ensemble(bundle, uris, [float(w) for w in chosen.values()], {**facts, "test": ensemble.to_dict()})
    title = f"{sweep.manifest.name}: ensemble on test"
    for plot, figure in task.figures(probabilities, target, classes, title).items():
        parent.figure(f"{plot}_test.png", figure)
        storage.write_figure(storage.join(home.reports_home(sweep.manifest.name), f"{plot}_test.png"), figure)
    parent.metrics({
        **{f"test_{k}": v for k, v in ensemble.metrics.items()},
        **{f"test_single_{k}": v for k, v in single.metrics.items()},
        **{f"test_trivial_{k}": v for k, v in trivial.items()},
    })  # fmt: skip
    mean = weighted_mean([validation[i].probabilities for i in chosen], [float(w) for w in chosen.values()])
    on_validation = task.metrics(mean, validation[0].target, validation[0].groups)[task.primary]
    as_run = EnsembleConfig(
        dataset=done[0].config.dataset, task=task, weights=tuple(float(w) for w in chosen.values()),
        members=tuple(Member(name=f"{r.index:02d}", trial=r.config.signature(), bundle=r.folder.uri)
                      for r in (done[i] for i in chosen)),
    )  # fmt: skip
    found: dict[Split, TrackPredictions] = {
        "validation": dataclasses.replace(validation[0], probabilities=mean),
        "test": TrackPredictions([tracks[i].track_id for i in test], groups, target, probabilities, classes),
    }
    name = f"ensemble-{as_run.signature()}"
    retry(log_mean, name, as_run, found, storage.join(sweep.folder, "champion", name), parent.run_id)
    retry(parent.tag, names.ENSEMBLE, name)
    tags = {names.DATA: sweep.manifest.signature(), names.SWEEP: sweep.signature, METRIC: task.primary,
            VALIDATION: f"{on_validation:.6g}", TEST: f"{ensemble.metrics[task.primary]:.6g}"}  # fmt: skip
    version = register_candidate(bundle, parent.run_id, sweep.manifest.name, classes, PYFUNC_CODE, tags)
    chance = task.chance(len(classes))
    return Selection(bundle, members, ensemble, single, trivial, task.trivial_name, chance, version, False, "")


def describe(selection: Selection, sweep: Sweep, task: Task) -> None:
    """Print the selection for a person."""
    chosen = ", ".join(f"{i:02d}" + (f" x{w}" if w > 1 else "") for i, w in selection.members.items())
    print(f"  ensemble of trials {chosen}, chosen on validation; on {selection.ensemble.tracks} test tracks, once:")
    headline = task.headline  # the intervals, read back from JSON, have another order
    rows: list[tuple[str, ...]] = [("", *(f"{metric_name(metric)} [95 %]" for metric in headline))]
    for name, scores in (("ensemble", selection.ensemble), ("best single trial", selection.single)):
        rows.append((name, *(format_with_interval(scores.intervals[metric]) for metric in headline)))
    rows.append((selection.trivial_name, *(rounded(selection.trivial[metric]) for metric in headline)))
    if selection.chance is not None:
        rows.append(("chance", rounded(selection.chance), *[""] * (len(headline) - 1)))
    print(format_table(rows))
    name = names.model_name(sweep.manifest.name)
    became = "promoted to champion" if selection.promoted else "candidate, not promoted (--promote does it)"
    print(f"  registered as {name} version {selection.version}, {became}: {selection.why}")
    print(f"  the champion: {champion_uri(sweep.manifest.name)}")
    print(f"  how it compares with the trials: python -m jobs.compare {sweep.run_name}")


def metric_name(metric: str) -> str:
    """A metric's name for people: ``F1 micro``, ``mean cosine``."""
    return " ".join(w.upper() if w in SHORT_NAMES else w for w in metric.split("_"))


def rounded(value: float) -> str:
    """A figure to three decimals, a small one (an error, as a rule) to five."""
    return f"{value:.3f}" if value == 0 or abs(value) >= SMALL else f"{value:.5f}"


def format_with_interval(value: Interval) -> str:
    """An estimate with the ends of its interval."""
    return f"{rounded(value.value)} [{rounded(value.low)}, {rounded(value.high)}]"


def main(
    sweep: Annotated[str, typer.Argument(help="sweep: its name or id in MLflow, or a unique beginning of it")],
    promotion: Annotated[
        bool | None,
        typer.Option("--promote/--no-promote", help="make it the champion or not; by default if it validates no worse"),
    ] = None,
) -> None:
    """Greedy ensemble on validation predictions, scored once on test, registered, promoted if it is no worse."""
    with cli_errors():
        limit_threads()
        chosen = find_sweep(sweep)
        run(chosen, chosen.results(), promotion)


if __name__ == "__main__":
    typer.run(main)
