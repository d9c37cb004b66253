"""What a selection registers: an ensemble where it is better by more than noise, else the best single trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.comparison.contrast import SIGNIFICANCE_LEVEL, PairedComparison
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.types import FloatArray
from tonearm.ensembles.combination import MEAN, WEIGHTED_MEAN, Combination, fit_combination, kinds_for
from tonearm.ensembles.out_of_fold import predict_out_of_fold
from tonearm.ensembles.select import Limits, affordable, losses_of, select_greedily
from tonearm.inference.cost import CostParts, total_cost
from tonearm.sweeps.results import TrialResult, best_result, best_results, trained_enough
from tonearm.tasks.temperature import apply_temperature, fit_temperature
from tonearm.training.predictions import TrackPredictions
from tonearm.workflows.choose_combination import best_combination
from tonearm.workflows.choose_single import best_single, why_single
from tonearm.workflows.paired import compare_predictions, gain_with_interval

MOST_MEMBERS = 5
LEAST_GAIN = 0.0025  # of the single trial's score, that an ensemble gains for each time more that it costs


@dataclass(frozen=True)
class Chosen:
    """The best single trial, the ensemble, and which of them is registered.

    Attributes
    ----------
    trials
        Those that were chosen from.
    single
        The best alone, of ``trials`` the number.
    ensemble
        Numbers of its members, with how often each was chosen.
    temperatures
        Of each trial, by which its predictions are calibrated.
    validation
        What each trial predicts, calibrated; the tracks are the same.
    held_out, held_out_ensemble
        What was predicted of the validation tracks by what was chosen without them: of what is registered, and of the
        ensemble; several times over, with other halves. Of tracks of one group the predictions that chose, once.
    is_corrected
        Whether they are that.
    takes_ensemble
        Whether the ensemble is what is registered.
    combination
        How the ensemble's members answer together.
    why
        The reason in a sentence.
    notes
        What a person must know.
    """

    trials: tuple[TrialResult, ...]
    single: int
    ensemble: dict[int, int]
    temperatures: tuple[float, ...]
    validation: tuple[TrackPredictions, ...]
    held_out: tuple[FloatArray, ...]
    held_out_ensemble: tuple[FloatArray, ...]
    is_corrected: bool
    takes_ensemble: bool
    combination: Combination
    why: str
    notes: tuple[str, ...] = ()

    @property
    def single_trial(self) -> TrialResult:
        """The best alone."""
        return self.trials[self.single]

    @property
    def members(self) -> dict[int, int]:
        """What is registered: numbers of the trials, with their weights."""
        return self.ensemble if self.takes_ensemble else {self.single: 1}

    @property
    def registered_combination(self) -> Combination:
        """Of what is registered: a network alone is as it is."""
        return self.combination if self.takes_ensemble else WEIGHTED_MEAN


def choose(
    results: Sequence[TrialResult], costs: Callable[[Sequence[TrialResult]], list[CostParts]],
    most_members: int = MOST_MEMBERS, most_milliseconds: float = 0.0,
) -> Chosen:  # fmt: skip
    """Choose on validation by ``task.selected_by``, and say by how much on tracks that did not choose.

    The members of an ensemble are those that make the best weighted mean; then it is chosen how they are combined. Of
    trials that predict the same the cheaper is taken.

    Parameters
    ----------
    results
        Trials with a model.
    costs
        Measures what answers of trials cost, each as its parts.
    most_members
        Of an ensemble, at least 1.
    most_milliseconds
        An answer of all members together costs less a track; 0: whatever it costs.

    Raises
    ------
    ConfigError
        If a limit cannot be, or no trial is within it.
    JobError
        If the trials were validated on different tracks.
    """
    if most_members < 1 or most_milliseconds < 0:
        raise ConfigError(f"most members {most_members}, most milliseconds {most_milliseconds:g}: at least 1, and 0")
    trials, notes = _trained_enough(results)
    trials = _of_one_meaning(trials, notes)
    limits = Limits(most_members)
    if most_milliseconds:  # before predictions are read: of many trials these fill the memory
        each = costs(trials)
        within = affordable([total_cost([parts]) for parts in each], most_milliseconds)
        if len(within) < len(trials):
            notes.append(f"{len(trials) - len(within)} of {len(trials)} trials cost too much a track: not chosen from")
        trials, parts_of = [trials[i] for i in within], [each[i] for i in within]
        limits = Limits(most_members, lambda of: total_cost([parts_of[i] for i in of]), most_milliseconds)
    task, temperatures, validation = trials[0].config.task, list[float](), list[TrackPredictions]()
    for trial in trials:
        read, own = trial.folder.validation(), trial.config.task  # which may pool its windows differently
        first = validation[0] if validation else read
        _require_same_tracks(trials[0], first, trial, read)
        temperatures.append(fit_temperature(own, read.probabilities, first.target))
        calibrated = apply_temperature(own, read.probabilities, temperatures[-1])
        validation.append(dataclasses.replace(first, probabilities=calibrated))
    target, groups = validation[0].target, validation[0].groups
    predictions = [v.probabilities for v in validation]
    ensemble = select_greedily(predictions, target, task, groups=groups, limits=limits)
    lone = [trials.index(r) for r in best_results(trials)]
    best = best_single(trials, lone, predictions, target, groups)
    equal = [i for i in lone if np.array_equal(predictions[i], predictions[best.place])]
    single = best.place
    if len(equal) > 1:
        single = equal[int(np.argmin([total_cost([parts]) for parts in costs([trials[i] for i in equal])]))]

    def alone_on(chosen: np.ndarray) -> int:
        own, own_groups = [p[chosen] for p in predictions], [groups[i] for i in chosen.tolist()]
        return best_single(trials, lone, own, target[chosen], own_groups).place

    def kind_on(own: np.ndarray, own_groups: Sequence[str], by_kind: dict[str, tuple[FloatArray, ...]]) -> str:
        return best_combination(task, own, own_groups, by_kind)[0]

    kinds = kinds_for([t.config.task for t in trials]) if len(ensemble) > 1 else (MEAN,)
    held = predict_out_of_fold(predictions, target, task, groups, limits, alone_on, kinds=kinds, choose_kind=kind_on)
    kind, why_combined = best_combination(task, target, groups, held.ensemble if held else {})
    members, weights = [predictions[i] for i in ensemble], list(ensemble.values())
    own_task = trials[next(iter(ensemble))].config.task  # the bundle combines by its first member's
    combination = fit_combination(kind, own_task, members, weights, target) if len(ensemble) > 1 else WEIGHTED_MEAN
    combined = combination.combine(own_task, members, weights)
    together, alone = (held.chosen, held.single) if held else ((combined,), (predictions[single],))
    found = compare_predictions(task, target, groups, together, alone, task.selected_by[0])
    cost = costs([trials[i] for i in (single, *ensemble)]) if len(ensemble) > 1 else []
    score = sum(abs(losses_of(p, target, task, groups)[0]) for p in alone) / len(alone)
    why_alone = why_single(dataclasses.replace(best, place=single), trials, lone, predictions, target, groups)
    single_ms, ensemble_ms = (total_cost(parts) for parts in (cost[:1], cost[1:]))
    takes, why = _decide(trials[single], ensemble, found, single_ms, ensemble_ms, score)
    why = "; ".join(filter(None, (why, why_combined)))
    return Chosen(
        tuple(trials), single, ensemble, tuple(temperatures), tuple(validation), together if takes else alone, together,
        held is not None, takes, combination, f"{why}; {why_alone}", tuple(notes),
    )  # fmt: skip


def _trained_enough(results: Sequence[TrialResult]) -> tuple[list[TrialResult], list[str]]:
    """Without the trials that were stopped before half of their epochs, unless there is no other."""
    enough = [r for r in results if trained_enough(r)]
    short = len(results) - len(enough)
    if not short:
        return list(results), []
    if not enough:
        return list(results), [f"all {short} trials were stopped before half of their epochs: chosen from them"]
    return enough, [f"{short} of {len(results)} trials were stopped before half of their epochs: not chosen from"]


def _of_one_meaning(trials: list[TrialResult], notes: list[str]) -> list[TrialResult]:
    """Those whose predictions mean what those of the best do: no others can be averaged with them."""
    task = best_result(trials).config.task
    alike = [r for r in trials if r.config.task.meaning() == task.meaning()]
    if len(alike) < len(trials):
        notes.append(
            f"{len(trials) - len(alike)} of {len(trials)} trials did not learn {task.brief()}, as the best did, so "
            "that their predictions mean something else: not chosen from"
        )
    return alike


def _require_same_tracks(
    one: TrialResult, first: TrackPredictions, trial: TrialResult, other: TrackPredictions
) -> None:  # fmt: skip
    if (other.track_ids, other.classes) != (first.track_ids, first.classes):
        raise JobError(
            f"trials {one.name} and {trial.name} were validated on different tracks or classes, so that no "
            "ensemble of them can be chosen: select from trainings of one data set and split"
        )


def _decide(
    single: TrialResult,
    ensemble: dict[int, int],
    found: PairedComparison | None,
    single_ms: float,
    ensemble_ms: float,
    single_score: float,
) -> tuple[bool, str]:
    """Whether the ensemble is taken, and why: better by more than noise, and by what its cost asks for."""
    alone, metric = f"trial {single.index:02d} alone", single.config.task.selected_by[0]
    if len(ensemble) == 1:
        return False, f"{alone}: the search for an ensemble chose a single trial"
    costs = f"costs {ensemble_ms / single_ms:.1f} times as much ({ensemble_ms:.0f} ms a track)"
    if found is None:
        return False, f"{alone}: all validation tracks are of one group, so that nothing better can be shown"
    size = f"the ensemble of {len(ensemble)}"
    by = f"by {gain_with_interval(found)} in {metric} on validation tracks that did not choose"
    least = LEAST_GAIN * max(0.0, ensemble_ms / single_ms - 1) * single_score
    if found.p < SIGNIFICANCE_LEVEL and 0 < found.gain < least:
        return False, f"{alone}: {size} is better {by}, but {costs}, for which at least {least:.3g} is asked"
    if found.p < SIGNIFICANCE_LEVEL and found.gain > 0:
        return True, f"{size}: it is better than {alone} {by}, and {costs}"
    if found.p < SIGNIFICANCE_LEVEL:
        return False, f"{alone}: {size} is worse, {by}"
    return False, f"{alone}: {size} differs {by}, which is noise, and {costs}"
