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
from tests.unit.test_task_contract import EXAMPLES
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.types import FloatArray
from tonearm.sweeps.results import TrialResult, best_result
from tonearm.tasks import SingleLabel
from tonearm.tasks.pooling import softmax
from tonearm.tasks.temperature import apply_temperature, fit_temperature
from tonearm.training.predictions import TrackPredictions, write_predictions
from tonearm.training.trial import TrialFolder
from tonearm.workflows import choose as choosing
from tonearm.workflows.choose import choose
from tonearm.workflows.sweep_result import takes_only_audio, why_not_selected

OF = tracks(40, 3)
EPOCHS = 10


def cheap(trials: Sequence[TrialResult]) -> list[float]:
    return [10.0 + trial.index for trial in trials]


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
    assert "in f1_micro on validation tracks that did not choose, and costs 4." in found.why
    assert found.is_corrected and len(found.held_out) == 5


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


def test_a_gain_that_its_cost_does_not_justify_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [trial(tmp_path, i, noisy(i)) for i in range(8)]
    monkeypatch.setattr(choosing, "LEAST_GAIN", 0.2)
    found = choose(results, cheap)
    assert (
        not found.takes_ensemble and f"trial {found.single:02d} alone: the ensemble of 5 is better by +0." in found.why
    )
    assert "times as much" in found.why and ", for which at least 0." in found.why and found.why.endswith(" is asked")


def test_trials_that_were_stopped_early_are_not_chosen_from(tmp_path: Path) -> None:
    results = [trial(tmp_path, i, noisy(i)) for i in range(3)]
    lucky = trial(tmp_path, 3, noisy(3, signal=3.0), "stopped", epochs=4)
    halfway = trial(tmp_path, 4, noisy(4, signal=3.0), "stopped", epochs=5)
    found = choose([*results, lucky], cheap)
    assert [r.index for r in found.trials] == [0, 1, 2]
    assert found.notes == ("1 of 4 trials were stopped before half of their epochs: not chosen from",)
    both = choose([*results, lucky, halfway], cheap)
    assert 4 in [r.index for r in both.trials] and both.single_trial.ending == "completed"
    assert best_result([*results, lucky, halfway]) == both.single_trial, "all reports have one best single trial"
    alone = choose([lucky], cheap)
    assert alone.single_trial is lucky and alone.notes == (
        "all 1 trials were stopped before half of their epochs: chosen from them",
    )


def test_the_limits_hold_for_the_single_trial_too(tmp_path: Path) -> None:
    results = [trial(tmp_path, i, noisy(i, signal=1 + i)) for i in range(4)]
    found = choose(results, cheap, most_milliseconds=12.5)
    assert found.single_trial.index == 2 and set(found.ensemble) <= {0, 1, 2} and len(found.ensemble) == 1
    with pytest.raises(ConfigError, match=r"the cheapest of 4 networks costs 10\.0 ms a track, at most 5 are allowed"):
        choose(results, cheap, most_milliseconds=5)
    assert len(choose(results, cheap, most_members=1).ensemble) == 1
    with pytest.raises(ConfigError, match="most members 0"):
        choose(results, cheap, most_members=0)


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


# --- temperature


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_a_network_becomes_as_sure_as_it_is_right(sharpness: float) -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 1, (1200, 3))
    target = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)  # drawn with the probabilities of the logits
    said = softmax((sharpness * logits).astype(np.float32))
    found = fit_temperature(SingleLabel(), said, target)
    assert found == pytest.approx(sharpness, rel=0.15)
    calibrated = apply_temperature(SingleLabel(), said, found)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(calibrated.argmax(axis=1), said.argmax(axis=1))


def test_few_tracks_hardly_change_a_temperature() -> None:
    right = np.eye(3, dtype=np.float32) * 0.6 + 0.1
    assert 0.6 < fit_temperature(SingleLabel(), right, np.arange(3)) < 1
    assert fit_temperature(SingleLabel(), np.tile(right, (100, 1)), np.tile(np.arange(3), 100)) < 0.4


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_temperature_changes_no_decision_of_any_task(name: str) -> None:
    example = EXAMPLES[name]
    predictions, task = example.task.pool(example.logits(2)), example.task
    assert apply_temperature(task, predictions, 1.0) is predictions
    found = fit_temperature(task, predictions, example.target)
    assert 0.25 <= found <= 4
    for temperature in (0.5, 2.0):
        changed = apply_temperature(task, predictions, temperature)
        assert changed.dtype == np.float32 and changed.shape == predictions.shape and np.isfinite(changed).all()
        before, after = (task.track_scores(p, example.target) for p in (predictions, changed))
        if task.maximise:  # hits stay hits; squared errors change
            np.testing.assert_array_equal(before, after)
        if found == 1.0 and task.kind in ("regression", "embedding"):
            assert changed is predictions


# --- spaces


def test_a_space_says_before_it_trains_whether_its_models_can_be_selected() -> None:
    """Clips of several lengths can."""
    assert why_not_selected(SPACES["small_collection"]()) == why_not_selected(SPACES["demo"]()) == ""
    other = next(made for made in (SPACES[name]() for name in SPACES) if not takes_only_audio(made.trial))
    said = why_not_selected(other)
    assert said.startswith("its networks take ") and said.endswith(
        "tonearm compare ranks them, they cannot be selected"
    )
