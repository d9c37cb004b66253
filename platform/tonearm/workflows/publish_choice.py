"""The scores of what was chosen, and what MLflow and the reports hold of it."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tonearm.core import home, storage
from tonearm.core.best_effort import best_effort
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Split
from tonearm.sweeps.means import log_mean, mean_name
from tonearm.tasks.temperature import calibration_error
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.retry import retry
from tonearm.training.config import EnsembleConfig, Member
from tonearm.training.evaluate import Scores, score, score_runs
from tonearm.training.predictions import TrackPredictions
from tonearm.workflows.choose import Chosen
from tonearm.workflows.figures import publish_figure
from tonearm.workflows.held_out import HeldOutTracks
from tonearm.workflows.selection import Selection
from tonearm.workflows.trial_costs import ENSEMBLE, TrialCosts, cost_figure, points_of
from tonearm.workflows.trial_library import TrialLibrary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ChoiceScores:
    """Scores of what was chosen.

    Attributes
    ----------
    single
        The best single trial's on test.
    ensemble
        The ensemble's on test; None where the search found none of several trials.
    held_out
        Of what is registered, on validation tracks, predicted by what was chosen without them.
    trivial, chance
        Metrics on test of what needs no model, and the primary one of guessing.
    calibration
        Expected calibration error on test of what is registered, without and with the temperatures that validation
        gave; None where predictions are no probabilities.
    """

    single: Scores
    ensemble: Scores | None
    held_out: Scores
    trivial: dict[str, float]
    chance: float | None
    takes_ensemble: bool
    calibration: tuple[float, float] | None = None

    @property
    def taken(self) -> Scores:
        """On test, of what is registered."""
        return self.ensemble if self.takes_ensemble and self.ensemble else self.single

    def selection(self, library: TrialLibrary, chosen: Chosen, bundle: str, version: str) -> Selection:
        """What the selection came to, before it is promoted."""
        task, single = chosen.single_trial.config.task, chosen.single_trial.index
        return Selection(
            bundle, _by_index(chosen, chosen.members), _by_index(chosen, chosen.ensemble), self.ensemble, self.single,
            self.held_out, chosen.is_corrected, self.trivial, task.trivial_name, self.chance, chosen.why, version,
            False, "", library.name, library.manifest.name, tuple(task.headline), single,
            others=library.others, calibration=self.calibration, combination=chosen.combination.kind,
        )  # fmt: skip


def score_choice(
    chosen: Chosen, held: HeldOutTracks, on_test: Mapping[bool, FloatArray], uncalibrated: FloatArray
) -> ChoiceScores:
    """Score what was chosen.

    Parameters
    ----------
    on_test
        What the ensemble (True), if there is one, and the single trial (False) predict of the test tracks.
    uncalibrated
        The same of what is registered, without temperatures.
    """
    validation = chosen.validation[0]
    on = {which: score(held.task, p, held.test_target, held.test_groups) for which, p in on_test.items()}
    runs = [(p, validation.target) for p in chosen.held_out]
    before, after = (
        calibration_error(held.task, p, held.test_target) for p in (uncalibrated, on_test[chosen.takes_ensemble])
    )
    calibration = None if before is None or after is None else (before, after)
    return ChoiceScores(
        on[False], on.get(True), score_runs(held.task, runs, validation.groups), held.trivial_test_scores(),
        held.task.chance(held.outputs), chosen.takes_ensemble, calibration,
    )  # fmt: skip


def publish_choice(
    library: TrialLibrary, parent: RunWriter, chosen: Chosen, held: HeldOutTracks, scores: ChoiceScores,
    on_test: Mapping[bool, FloatArray],
) -> None:  # fmt: skip
    """Plots of test, scores in MLflow, and a run of its own for the ensemble."""
    classes, task = chosen.validation[0].classes, held.task
    title = f"{library.manifest.name}: {'ensemble' if chosen.takes_ensemble else 'best single trial'} on test"
    shown = (on_test[chosen.takes_ensemble], held.test_target, classes, title)
    for plot, figure in (best_effort("the plots of the test split", task.figures, *shown) or {}).items():
        reports = home.reports_home(library.manifest.name)
        publish_figure(f"{plot}_test.png", reports, parent, lambda figure=figure: figure)
    parent.metrics({
        **{f"{names.HELD_OUT}{k}": v for k, v in scores.taken.metrics.items()},
        **{f"{names.HELD_OUT}single_{k}": v for k, v in scores.single.metrics.items()},
        **{f"{names.HELD_OUT}trivial_{k}": v for k, v in scores.trivial.items()},
        **{f"{names.HELD_OUT}calibration_error{when}": v
           for when, v in zip(("_without_temperature", ""), scores.calibration or (), strict=False)},
    })  # fmt: skip
    if len(chosen.ensemble) > 1:
        _log_as_run(library, parent, chosen, held, on_test[True])


def publish_costs(
    library: TrialLibrary, parent: RunWriter, chosen: Chosen, costs: TrialCosts, most_milliseconds: float
) -> None:
    """The plot of scores against milliseconds a track, in the reports and in MLflow."""
    if len(chosen.trials) > 1:
        plot = partial(_costs_plot, chosen, costs, most_milliseconds)
        publish_figure("score_by_cost.png", home.reports_home(library.manifest.name), parent, plot)


def _costs_plot(chosen: Chosen, costs: TrialCosts, most_milliseconds: float) -> Figure:
    metric = chosen.single_trial.config.task.metric(chosen.single_trial.config.task.primary)
    registered = ENSEMBLE if chosen.takes_ensemble else f"{chosen.single_trial.index:02d}"
    return cost_figure(points_of(chosen, costs), registered, metric, most_milliseconds)


def _log_as_run(
    library: TrialLibrary, parent: RunWriter, chosen: Chosen, held: HeldOutTracks, on_test: FloatArray
) -> None:
    """A run of its own for the ensemble, so that it can be compared with the trials."""
    members = [chosen.trials[i] for i in chosen.ensemble]
    config = EnsembleConfig(
        dataset=members[0].config.dataset, task=members[0].config.task,
        weights=tuple(float(w) for w in chosen.ensemble.values()), combination=chosen.combination.kind,
        members=tuple(Member(name=f"{r.index:02d}", trial=r.config.signature(), bundle=r.folder.uri) for r in members),
    )  # fmt: skip
    # Predicted by what was chosen on the other tracks: else the search's own luck would pass for a score.
    validation = dataclasses.replace(chosen.validation[0], probabilities=chosen.held_out_ensemble[0])
    test = TrackPredictions(
        [t.track_id for t in held.test], held.test_groups, held.test_target, on_test, validation.classes
    )
    found: dict[Split, TrackPredictions] = {"validation": validation, "test": test}
    folder = f"ensemble-{config.signature()}"
    retry(log_mean, mean_name(config), config, found, storage.join(library.folder, folder), parent.run_id)
    retry(parent.tag, names.ENSEMBLE, folder)


def version_tags(library: TrialLibrary, chosen: Chosen, scores: ChoiceScores) -> dict[str, str]:
    """Tags of the registered version: its data, its trials, its scores, and why it was chosen."""
    task = chosen.single_trial.config.task
    return {
        names.DATA: library.manifest.signature(), **library.tags, names.METRIC: task.primary,
        names.VALIDATION: f"{scores.held_out.metrics[task.primary]:.6g}",
        names.TEST: f"{scores.taken.metrics[task.primary]:.6g}", names.CHOICE: chosen.why,
        names.COMBINATION: chosen.registered_combination.name if chosen.takes_ensemble else "alone",
    }  # fmt: skip


def _by_index(chosen: Chosen, members: Mapping[int, int]) -> dict[int, int]:
    return {chosen.trials[i].index: weight for i, weight in members.items()}


def keep_predictions(uri: str, held_out: Sequence[FloatArray], on_test: FloatArray) -> None:
    """Keep what a selection is promoted by: of validation what was predicted without it, and of test."""
    buffer = io.BytesIO()
    np.savez(buffer, validation=np.stack(held_out), test=on_test)
    storage.write_bytes(uri, buffer.getvalue())


def read_predictions(uri: str) -> tuple[list[FloatArray], FloatArray]:
    """The inverse of :func:`keep_predictions`."""
    kept = np.load(io.BytesIO(storage.read_bytes(uri)), allow_pickle=False)
    return list(kept["validation"]), kept["test"]
