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

from jobs.common import cli_errors, table
from jobs.sweep import Sweep, best_trial, open_parent, plan_sweep, resize, save_figure
from search_spaces import SPACES
from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.core.threads import limit_threads
from tonearm.ensembles.bundle import save_ensemble
from tonearm.ensembles.select import select_greedily
from tonearm.inference import load, predict_tracks
from tonearm.inference.recommend import CATALOGUE
from tonearm.recommend import CatalogueIndex
from tonearm.sweeps.results import TrialResult, read_result
from tonearm.tasks.single_label import confusion_matrix
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import champion_uri, is_champion
from tonearm.tracking.register import register_champion
from tonearm.training.evaluate import Scores, majority_scores, score
from tonearm.training.plots import confusion_plot
from tonearm.training.trial import TrialFolder


@dataclass(frozen=True)
class Selection:
    """The chosen ensemble and its scores on test, beside the best single trial, the majority class and chance."""

    bundle: str
    members: dict[int, int]
    ensemble: Scores
    single: Scores
    majority: dict[str, float]
    chance: float
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
    test = [i for i, t in enumerate(tracks) if t.split == "test"]
    target = task.encode([tracks[i].label for i in test], classes)
    groups = [tracks[i].group for i in test]
    probabilities = np.stack([predictions[i].probabilities for i in test])
    ensemble = score(task, probabilities, target, groups)
    single_tracks = predict_tracks(load(best_trial(results).folder.bundle_uri), [tracks[i] for i in test],
                                   home.features_home(), home.node_cache())  # fmt: skip
    single = score(task, np.stack([p.probabilities for p in single_tracks]), target, groups)
    train_target = task.encode([t.label for t in sweep.manifest.of("train")], classes)
    majority = majority_scores(task, train_target, target, len(classes))

    save_ensemble(bundle, uris, [float(w) for w in chosen.values()], {**facts, "test": ensemble.to_dict()})
    figure = confusion_plot(confusion_matrix(target, probabilities.argmax(axis=1), len(classes)), classes,
                            f"{sweep.manifest.name}: ensemble on test")  # fmt: skip
    parent.figure("confusion_test.png", figure)
    save_figure(storage.join(home.reports_home(sweep.manifest.name), "confusion_test.png"), figure)
    parent.metrics({
        **{f"test_{k}": v for k, v in ensemble.metrics.items()},
        **{f"test_single_{k}": v for k, v in single.metrics.items()},
        **{f"test_majority_{k}": v for k, v in majority.items()},
    })  # fmt: skip
    version = register_champion(bundle, parent.run_id, sweep.manifest.name, classes)
    return Selection(bundle, members, ensemble, single, majority, 1 / len(classes), version)


def describe(selection: Selection, sweep: Sweep) -> None:
    """Print the selection for a person."""
    chosen = ", ".join(f"{i:02d}" + (f" x{w}" if w > 1 else "") for i, w in selection.members.items())
    print(f"  ensemble of trials {chosen}, chosen on validation; on {selection.ensemble.tracks} test tracks, once:")
    rows = [("", "F1 micro [95 %]", "F1 macro [95 %]")]
    rows.append(("ensemble", str(selection.ensemble.f1_micro), str(selection.ensemble.f1_macro)))
    rows.append(("best single trial", str(selection.single.f1_micro), str(selection.single.f1_macro)))
    majority = selection.majority
    rows.append(("majority class", f"{majority['f1_micro']:.3f}", f"{majority['f1_macro']:.3f}"))
    rows.append(("chance", f"{selection.chance:.3f}", ""))
    print(table(rows))
    name = names.model_name(sweep.manifest.name)
    print(f"  registered as {name} version {selection.version}: {champion_uri(sweep.manifest.name)}")


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
