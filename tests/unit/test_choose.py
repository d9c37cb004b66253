"""What a selection takes: of which trials, calibrated, an ensemble or the best one alone, and why."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from search_spaces import SPACES
from tests.unit.comparison_runs import Tracks, tracks, with_changes
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.types import FloatArray
from tonearm.ensembles.combine import weighted_mean
from tonearm.inference.cost import CostParts
from tonearm.models.mean_kernel import MeanKernelConfig
from tonearm.sweeps.results import TrialResult
from tonearm.tasks import SingleLabel
from tonearm.tasks.pooling import softmax
from tonearm.training.predictions import TrackPredictions, write_predictions
from tonearm.training.trial import TrialFolder
from tonearm.workflows import choose as choosing
from tonearm.workflows.choose import choose
from tonearm.workflows.choose_combination import best_combination
from tonearm.workflows.sweep_result import takes_only_audio, why_not_selected

OF = tracks(40, 3)
EPOCHS = 10


def cheap(trials: Sequence[TrialResult]) -> list[CostParts]:
    return [{trial.index: 10.0 + trial.index} for trial in trials]


def trial(
    root: Path, index: int, predictions: FloatArray, ending: str = "completed", epochs: int = EPOCHS, of: Tracks = OF
) -> TrialResult:
    """A trial that has ended so, with what it predicted on validation."""
    config = with_changes({"optim.epochs": EPOCHS, "seed": index})
    folder, best = TrialFolder(str(root / f"{index:02d}")), SingleLabel().metrics(predictions, of.target)["f1_micro"]
    found = TrackPredictions(of.ids, list(of.groups), of.target, predictions, ("bass", "flute", "noise"))
    write_predictions(folder.predictions_uri("validation"), config.task, found)
    history = [{"epoch": i + 1, "best": best} for i in range(epochs)]
    return TrialResult(index, f"{index:02d} simple", config, folder, history, ending, best)


def noisy(seed: int, own: float = 1.5, sharpness: float = 1.0, signal: float = 1.0) -> FloatArray:
    """A network with luck of its own, as sure as its sharpness says."""
    logits = np.random.default_rng(seed).normal(0, own, (len(OF.target), 3))
    logits[np.arange(len(OF.target)), OF.target] += signal
    return softmax((sharpness * logits).astype(np.float32))


def test_an_ensemble_is_taken_where_it_beats_its_best_trial_by_more_than_noise(tmp_path: Path) -> None:
    found = choose([trial(tmp_path, i, noisy(i)) for i in range(8)], cheap)
    assert found.takes_ensemble and len(found.members) == 5 and found.members == found.ensemble
    assert found.why.startswith(f"the ensemble of 5: it is better than trial {found.single:02d} alone by +0.")
    assert "in log_loss on validation tracks that did not choose, and costs 4." in found.why
    assert found.is_corrected and len(found.held_out) == 5


def experts(count: int) -> list[FloatArray]:
    """Networks each of which knows other tracks: the truth is the product of what they say."""
    said = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        strength = np.where(rng.random(len(OF.target)) < 0.3, 3.0, 0.3)[:, None]
        seen = strength * np.eye(3)[OF.target] + rng.normal(0, 1, (len(OF.target), 3))
        said.append(softmax((strength * seen).astype(np.float32)))  # its posterior
    return said


def test_members_are_combined_by_what_is_better_on_tracks_that_did_not_choose(tmp_path: Path) -> None:
    found = choose([trial(tmp_path, i, p) for i, p in enumerate(experts(4))], cheap)
    assert found.takes_ensemble and found.combination.kind == "geometric" == found.registered_combination.kind
    assert "; members are combined by geometric mean; log_loss there of weighted mean 0.375, " in found.why
    assert ", geometric mean 0.321 (p 0.0" in found.why and ", mean of ranks 0.741, stacking 0.311 (p 0.4" in found.why
    own = [found.validation[i].probabilities for i in found.ensemble]
    combined = found.combination.combine(SingleLabel(), own, list(found.ensemble.values()))
    mean = weighted_mean(own, list(found.ensemble.values()))
    losses = {name: SingleLabel().metrics(p, OF.target)["log_loss"] for name, p in (("by", combined), ("mean", mean))}
    assert losses["by"] < losses["mean"] - 0.02


def test_stacking_is_taken_where_it_is_better_than_what_stands() -> None:
    right = 0.85 * np.eye(3, dtype=np.float32)[OF.target] + np.float32(0.05)
    held = {"mean": [noisy(0)], "geometric": [noisy(0)], "rank": [noisy(1, signal=0.5)], "stacking": [right]}
    kind, why = best_combination(SingleLabel(), OF.target, OF.groups, held)
    assert kind == "stacking" and why.startswith("members are combined by stacking; ") and why.endswith("(p < 0.001)")
    assert best_combination(SingleLabel(), OF.target, OF.groups, {"mean": [noisy(0)]}) == ("mean", "")


def test_the_simpler_combination_stays_where_others_differ_by_noise(tmp_path: Path) -> None:
    found = choose([trial(tmp_path, i, noisy(i)) for i in range(8)], cheap)
    assert found.combination.kind == "mean" and "; members are combined by weighted mean; log_loss there" in found.why
    votes = [trial(tmp_path, i, noisy(i)) for i in range(3)]
    votes = [dataclasses.replace(r, config=r.config.replace({"task.pooling": "vote"})) for r in votes]
    of_votes = choose(votes, cheap)
    assert of_votes.combination.kind == "mean" and "members are combined" not in of_votes.why


def test_the_best_trial_is_taken_alone_where_an_ensemble_is_no_better(tmp_path: Path) -> None:
    """Networks that err alike: one of them is as good as five, and a fifth of the cost."""
    shared = np.random.default_rng(0).normal(0, 1.5, (len(OF.target), 3))
    shared[np.arange(len(OF.target)), OF.target] += 1
    alike = [softmax((shared + np.random.default_rng(i).normal(0, 0.3, shared.shape)).astype(np.float32))
             for i in range(8)]  # fmt: skip
    found = choose([trial(tmp_path, i, p) for i, p in enumerate(alike)], cheap)
    assert not found.takes_ensemble and found.members == {found.single: 1} and len(found.ensemble) > 1
    assert found.why.startswith(f"trial {found.single:02d} alone: the ensemble of {len(found.ensemble)} differs by ")
    assert ", which is noise, and costs " in found.why and "times as much" in found.why


def answering(right: int, to_truth: float, of: Tracks = OF) -> FloatArray:
    """Of ten tracks it has so many right, and gives the truth so much where it is wrong."""
    p = np.zeros((len(of.target), 3), dtype=np.float32)
    hits = np.arange(len(of.target)) % 10 < right
    p[np.arange(len(p)), of.target] = np.where(hits, 0.6, to_truth)
    p[np.arange(len(p)), (of.target + 1) % 3] = np.where(hits, 0.3, 0.5)
    p[np.arange(len(p)), (of.target + 2) % 3] = np.where(hits, 0.1, 0.5 - to_truth)
    return p


def test_of_trials_that_are_right_as_often_the_one_that_is_surer_of_the_truth_is_taken(tmp_path: Path) -> None:
    found = choose([trial(tmp_path, 0, answering(7, 0.05)), trial(tmp_path, 1, answering(7, 0.45))], cheap, 1)
    assert found.single == 1 and found.members == {1: 1}
    assert "; of 2 trials, calibrated, trial 01 0." in found.why and "has the best log_loss on 120" in found.why
    assert found.why.endswith(" follows"), "both are right as often"


def test_a_hit_more_counts_less_than_what_the_truth_was_given_on_all_tracks(tmp_path: Path) -> None:
    results = [trial(tmp_path, 0, answering(8, 0.0)), trial(tmp_path, 1, answering(7, 0.45))]
    found = choose(results, cheap, 1)
    assert found.single == 1 and found.why.endswith(
        "; by f1_micro, which says less of so few, it would have been trial 00 0.800 before trial 01 0.700"
    )
    by_hits = [dataclasses.replace(r, config=r.config.replace({"task.pooling": "vote"})) for r in results]
    assert choose(by_hits, cheap, 1).single == 0, "shares of windows are no probabilities"
    asked = [dataclasses.replace(r, config=r.config.replace({"task.primary": "f1_macro"})) for r in results]
    assert choose(asked, cheap, 1).single == 0, "a metric that was chosen decides"


def solved(result: TrialResult) -> TrialResult:
    """The same of a network that is solved in closed form."""
    return dataclasses.replace(result, config=result.config.replace({"model": MeanKernelConfig()}))


def test_what_was_solved_gives_way_only_to_what_is_better_by_more_than_noise(tmp_path: Path) -> None:
    """Nothing of it was chosen on validation tracks, of the others epochs and settings were."""
    results = [trial(tmp_path, 0, noisy(5)), solved(trial(tmp_path, 1, noisy(3)))]
    found = choose(results, cheap, 1)
    assert found.members == {1: 1} and found.why.endswith(", and below 0.05 is asked")
    assert "; of 2 trials trial 01 0.926 was solved, and stays: trial 00 0.915, which chose its epoch on" in found.why
    others = [dataclasses.replace(r, config=r.config.replace({"seed": 1})) for r in results[:1]]
    assert choose([*others, trial(tmp_path, 1, noisy(3))], cheap, 1).single == 0, "of equals in kind the better"
    several = [trial(tmp_path, i, noisy(i, signal=0.8)) for i in (2, 3, 4)]
    assert choose([*several, *results], cheap, 1).why.endswith(", and below 0.0125 is asked"), "the best of four"
    better = trial(tmp_path, 5, noisy(9, signal=2.5))
    assert choose([better, results[1]], cheap, 1).single == 0


def test_of_equal_trials_the_cheaper_is_taken(tmp_path: Path) -> None:
    results = [trial(tmp_path, i, noisy(5)) for i in range(3)]
    assert choose(results, lambda trials: [{t.index: 30.0 - t.index} for t in trials], 1).single == 2
    assert choose(results, cheap, 1).single == 0
    alone = choose(results[:1], cheap, 1)
    assert alone.why.endswith("; trial 00 is the only one that can be taken alone")


def test_a_gain_that_its_cost_does_not_justify_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [trial(tmp_path, i, noisy(i)) for i in range(8)]
    monkeypatch.setattr(choosing, "LEAST_GAIN", 0.2)
    found = choose(results, cheap)
    assert (
        not found.takes_ensemble and f"trial {found.single:02d} alone: the ensemble of 5 is better by +0." in found.why
    )
    assert "times as much" in found.why and ", for which at least 0." in found.why and " is asked; " in found.why


def test_trials_that_were_stopped_early_are_not_chosen_from(tmp_path: Path) -> None:
    results = [trial(tmp_path, i, noisy(i)) for i in range(3)]
    lucky = trial(tmp_path, 3, noisy(3, signal=3.0), "stopped", epochs=4)
    halfway = trial(tmp_path, 4, noisy(4, signal=3.0), "stopped", epochs=5)
    found = choose([*results, lucky], cheap)
    assert [r.index for r in found.trials] == [0, 1, 2]
    assert found.notes == ("1 of 4 trials were stopped before half of their epochs: not chosen from",)
    both = choose([*results, lucky, halfway], cheap)
    assert 4 in [r.index for r in both.trials] and both.single_trial.ending == "completed"
    alone = choose([lucky], cheap)
    assert alone.single_trial is lucky and alone.notes == (
        "all 1 trials were stopped before half of their epochs: chosen from them",
    )


def test_the_limits_hold_for_the_single_trial_too(tmp_path: Path) -> None:
    results = [trial(tmp_path, i, noisy(i, signal=1 + i)) for i in range(4)]
    found = choose(results, cheap, most_milliseconds=12.5)
    assert found.single_trial.index == 2 and set(found.ensemble) <= {0, 1, 2} and len(found.ensemble) == 1
    with pytest.raises(ConfigError, match=r"of 4 networks costs 10\.0 ms a track, decoding .*, at most 5 are allowed"):
        choose(results, cheap, most_milliseconds=5)
    assert len(choose(results, cheap, most_members=1).ensemble) == 1
    with pytest.raises(ConfigError, match="most members 0"):
        choose(results, cheap, most_members=0)


def test_what_members_share_counts_once(tmp_path: Path) -> None:
    """Within 20.5 ms: decoding and features of 15 are shared, networks cost 1 each, so that five are within it."""

    def sharing(trials: Sequence[TrialResult]) -> list[CostParts]:
        return [{"decoding": 5.0, ("feature", "mel"): 10.0, ("network", t.index): 1.0} for t in trials]

    def apart(trials: Sequence[TrialResult]) -> list[CostParts]:
        return [{"decoding": 5.0, ("feature", t.index): 10.0, ("network", t.index): 1.0} for t in trials]

    results = [trial(tmp_path, i, noisy(i)) for i in range(8)]
    found = choose(results, sharing, most_milliseconds=20.5)
    assert len(found.ensemble) == 5 and "and costs 1.2 times as much (20 ms a track)" in found.why
    assert len(choose(results, apart, most_milliseconds=20).ensemble) == 1
    assert len(choose(results, apart, most_milliseconds=30).ensemble) == 2


def test_predictions_are_in_memory_once_and_of_what_costs_too_much_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [trial(tmp_path, i, noisy(i, sharpness=3.0)) for i in range(6)]
    read, as_read = list[int](), list[weakref.ref[FloatArray]]()
    validation = TrialFolder.validation

    def noted(folder: TrialFolder) -> TrackPredictions:
        found = validation(folder)
        read.append(int(Path(folder.uri).name))
        as_read.append(weakref.ref(found.probabilities))
        assert sum(ref() is not None for ref in as_read) <= 2, "this one and the one before, until it is calibrated"
        return found

    monkeypatch.setattr(TrialFolder, "validation", noted)
    found = choose(results, cheap, most_milliseconds=13.5)
    assert read == [0, 1, 2, 3] and [r.index for r in found.trials] == read
    assert found.notes == ("2 of 6 trials cost too much a track: not chosen from",)


def test_tracks_of_one_group_show_nothing(tmp_path: Path) -> None:
    one = Tracks(("artist:a",) * len(OF.groups), OF.target, OF.hardness)
    found = choose([trial(tmp_path, i, noisy(i), of=one) for i in range(4)], cheap)
    assert not found.takes_ensemble and not found.is_corrected and "all validation tracks are of one group" in found.why


def test_trials_of_other_tracks_are_refused(tmp_path: Path) -> None:
    results = [trial(tmp_path, 0, noisy(0)), trial(tmp_path, 1, noisy(1)[:60], of=tracks(20, 3))]
    with pytest.raises(JobError, match="validated on different tracks or classes"):
        choose(results, cheap)


def test_each_trial_is_calibrated_as_it_pools(tmp_path: Path) -> None:
    """Shares of windows that won are no probabilities, and stay."""
    results = [trial(tmp_path, i, noisy(i, sharpness=3.0)) for i in range(2)]
    votes = dataclasses.replace(results[0], config=results[0].config.replace({"task.pooling": "vote"}))
    found = choose([votes, results[1]], cheap)
    assert found.temperatures[0] == 1.0 and found.temperatures[1] > 1.5


# --- spaces


def test_a_space_says_before_it_trains_whether_its_models_can_be_selected() -> None:
    """Clips of several lengths can."""
    assert why_not_selected(SPACES["small_collection"]()) == why_not_selected(SPACES["demo"]()) == ""
    other = next(made for made in (SPACES[name]() for name in SPACES) if not takes_only_audio(made.trial))
    said = why_not_selected(other)
    assert said.startswith("its networks take ") and said.endswith(
        "tonearm compare ranks them, they cannot be selected"
    )
