"""Choose the ensemble of a sweep on validation, score it once on test, and promote it.

python -m jobs.select demo --dataset scores
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import torch
import typer

from jobs.common import cli_errors, save_figure, table
from jobs.sweep import Sweep, best_trial, open_parent, plan_sweep, resize
from search_spaces import SPACES
from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.core.statistics import Interval
from tonearm.core.threads import limit_threads
from tonearm.ensembles.bundle import save_ensemble
from tonearm.ensembles.select import select_greedily
from tonearm.inference import load, predict_tracks
from tonearm.inference.recommend import CATALOGUE
from tonearm.recommend import CatalogueIndex
from tonearm.sweeps.results import TrialResult, read_result
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import champion_uri, is_champion
from tonearm.tracking.register import register_champion
from tonearm.training.batches import truth_of
from tonearm.training.evaluate import Scores, score, trivial_scores
from tonearm.training.examples import usable
from tonearm.training.trial import TrialFolder

SHORT_NAMES = {"f1", "mae", "mse", "r2", "roc", "auc"}
SMALL = 0.02


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
    """

    bundle: str
    members: dict[int, int]
    ensemble: Scores
    single: Scores
    trivial: dict[str, float]
    trivial_name: str
    chance: float | None
    version: str

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Selection:
        """The inverse of ``dataclasses.asdict``, by way of JSON."""
        scores = {k: Scores.from_dict(values[k]) for k in ("ensemble", "single")}
        return cls(**{**values, **scores, "members": {int(k): v for k, v in values["members"].items()}})


def run(sweep: Sweep, results: list[TrialResult]) -> Selection:
    """Select, score and promote; what was selected and is still the champion is not selected again."""
    record = storage.join(sweep.folder, "champion", "selection.json")
    parent = open_parent(sweep)
    if storage.exists(record) and is_champion(sweep.manifest.name, parent.run_id):
        selection = Selection.from_dict(storage.read_json(record))
    else:
        selection = _select(sweep, results, parent)
        storage.write_json(record, asdict(selection))
    parent.end()
    describe(selection, sweep)
    return selection


def _select(sweep: Sweep, results: list[TrialResult], parent: RunWriter) -> Selection:
    done = [r for r in results if r.best is not None]
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
    judged = usable(task, done[0].config.feature, sweep.manifest)
    kept = {t.track_id for t in judged.of("test")}
    test = [i for i, t in enumerate(tracks) if t.track_id in kept]
    target = task.encode(truth_of([tracks[i] for i in test], judged.facts), classes)
    groups = [tracks[i].group for i in test]
    probabilities = np.stack([predictions[i].probabilities for i in test])
    ensemble = score(task, probabilities, target, groups)
    single_tracks = predict_tracks(load(best_trial(results).folder.bundle_uri), [tracks[i] for i in test],
                                   home.features_home(), home.node_cache())  # fmt: skip
    single = score(task, np.stack([p.probabilities for p in single_tracks]), target, groups)
    train_target = task.encode(truth_of(judged.of("train"), judged.facts), classes)
    trivial = trivial_scores(task, train_target, target, len(classes), groups)

    save_ensemble(bundle, uris, [float(w) for w in chosen.values()], {**facts, "test": ensemble.to_dict()})
    title = f"{sweep.manifest.name}: ensemble on test"
    for plot, figure in task.figures(probabilities, target, classes, title).items():
        parent.figure(f"{plot}_test.png", figure)
        save_figure(storage.join(home.reports_home(sweep.manifest.name), f"{plot}_test.png"), figure)
    parent.metrics({
        **{f"test_{k}": v for k, v in ensemble.metrics.items()},
        **{f"test_single_{k}": v for k, v in single.metrics.items()},
        **{f"test_trivial_{k}": v for k, v in trivial.items()},
    })  # fmt: skip
    version = register_champion(bundle, parent.run_id, sweep.manifest.name, classes)
    chance = task.chance(len(classes))
    return Selection(bundle, members, ensemble, single, trivial, task.trivial_name, chance, version)


def describe(selection: Selection, sweep: Sweep) -> None:
    """Print the selection for a person."""
    chosen = ", ".join(f"{i:02d}" + (f" x{w}" if w > 1 else "") for i, w in selection.members.items())
    print(f"  ensemble of trials {chosen}, chosen on validation; on {selection.ensemble.tracks} test tracks, once:")
    headline = sweep.configs[0].task.headline  # the intervals, read back from JSON, have another order
    rows: list[tuple[str, ...]] = [("", *(f"{metric_name(metric)} [95 %]" for metric in headline))]
    for name, scores in (("ensemble", selection.ensemble), ("best single trial", selection.single)):
        rows.append((name, *(with_ends(scores.intervals[metric]) for metric in headline)))
    rows.append((selection.trivial_name, *(rounded(selection.trivial[metric]) for metric in headline)))
    if selection.chance is not None:
        rows.append(("chance", rounded(selection.chance), *[""] * (len(headline) - 1)))
    print(table(rows))
    name = names.model_name(sweep.manifest.name)
    print(f"  registered as {name} version {selection.version}: {champion_uri(sweep.manifest.name)}")


def metric_name(metric: str) -> str:
    """A metric's name for people: ``F1 micro``, ``mean cosine``."""
    return " ".join(w.upper() if w in SHORT_NAMES else w for w in metric.split("_"))


def rounded(value: float) -> str:
    """A figure to three decimals, a small one (an error, as a rule) to five."""
    return f"{value:.3f}" if value == 0 or abs(value) >= SMALL else f"{value:.5f}"


def with_ends(value: Interval) -> str:
    """An estimate with the ends of its interval."""
    return f"{rounded(value.value)} [{rounded(value.low)}, {rounded(value.high)}]"


def finished_results(sweep: Sweep) -> list[TrialResult]:
    """The trials of a sweep that was run before."""
    results = []
    for i, config in enumerate(sweep.configs):
        name = names.trial_name(i, config.signature())
        results.append(read_result(i, name, config, TrialFolder(storage.join(sweep.folder, name))))
    if not any(r.history for r in results):
        raise JobError(f"sweep {sweep.run_name} has no finished trial in {sweep.folder}: run jobs.sweep {sweep.space}")
    return results


def main(
    name: Annotated[str, typer.Argument(help="of the search space")],
    dataset: Annotated[str, typer.Option(help="data set, as jobs.extract named it")] = "scores",
    trials: Annotated[int, typer.Option(help="as given to jobs.sweep")] = 0,
    epochs: Annotated[int, typer.Option(help="as given to jobs.sweep")] = 0,
) -> None:
    """Greedy ensemble on validation predictions, scored once on test, registered with the alias champion."""
    with cli_errors():
        limit_threads()
        sweep = plan_sweep(name, resize(SPACES[name](), trials, epochs), dataset)
        run(sweep, finished_results(sweep))


if __name__ == "__main__":
    typer.run(main)
