"""A selection's score on tracks that it did not choose on: what many equal trials are really worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray
from tonearm.ensembles.combine import weighted_mean
from tonearm.ensembles.out_of_fold import predict_out_of_fold
from tonearm.ensembles.select import Limits, best_alone, select_greedily
from tonearm.tasks import SingleLabel
from tonearm.tasks.pooling import softmax

TASK, CLASSES, VALIDATION, NEW = SingleLabel(), 16, 64, 1500


def equal_trials(count: int, tracks: int, seed: int) -> tuple[list[FloatArray], np.ndarray]:
    """Trials of one quality: what is hard is hard for all, and each has its own luck."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, CLASSES, tracks)
    shared = rng.normal(0, 1.0, (tracks, CLASSES))
    shared[np.arange(tracks), target] += 1.7
    return [softmax((shared + rng.normal(0, 0.8, shared.shape)).astype(np.float32)) for _ in range(count)], target


def f1(predictions: FloatArray, target: np.ndarray) -> float:
    return TASK.metrics(predictions, target)["f1_micro"]


def test_the_corrected_score_of_60_equal_trials_is_what_they_are_worth() -> None:
    """Without, the best of them and their ensemble pass for much more than they are."""
    found: dict[str, list[tuple[float, float, float]]] = {"ensemble": [], "single": []}
    groups = [f"artist:{i // 2}" for i in range(VALIDATION)]
    for seed in range(8):
        trials, target = equal_trials(60, VALIDATION + NEW, seed)
        seen, truth = [p[:VALIDATION] for p in trials], target[:VALIDATION]
        held = predict_out_of_fold(seen, truth, TASK, groups, repeats=1)
        assert held is not None
        ensemble = select_greedily(seen, truth, TASK, groups=groups)
        for which, chosen, apart in (("ensemble", ensemble, held.ensemble["mean"]),
                                     ("single", {best_alone(seen, truth, TASK): 1}, held.single)):  # fmt: skip
            mean = weighted_mean([trials[i] for i in chosen], list(chosen.values()))
            corrected = float(np.mean([f1(p, truth) for p in apart]))
            found[which].append((f1(mean[:VALIDATION], truth), corrected, f1(mean[VALIDATION:], target[VALIDATION:])))
    for rows in found.values():
        naive, corrected, real = np.array(rows).T
        error = np.std(corrected - real, ddof=1) / np.sqrt(len(real))
        assert abs(np.mean(corrected - real)) < 2.5 * error < 0.06 < np.mean(naive - real) + 0.02
        assert np.mean(naive - real) > 2 * abs(np.mean(corrected - real))


def test_a_group_is_never_on_both_sides() -> None:
    """Tracks of one artist are alike: what was chosen on one of them is not tried on another."""
    target = np.array([0, 0, 1, 1, 2, 2])
    exact = np.eye(3, dtype=np.float32)[target] * 0.9 + 0.03
    only = [np.where(np.repeat(np.arange(3) == g, 2)[:, None], exact, 1 / 3).astype(np.float32) for g in range(3)]
    held = predict_out_of_fold(only, target, TASK, ["a", "a", "b", "b", "c", "c"])
    assert held is not None
    for repeat in held.single:  # the best on other artists knows nothing of this one
        assert (repeat.max(axis=1) < 0.5).sum() >= 4
    assert predict_out_of_fold(only, target, TASK, ["a"] * 6) is None


def test_members_are_no_more_than_asked_for_and_cost_less() -> None:
    trials, target = equal_trials(20, VALIDATION, 3)
    free = select_greedily(trials, target, TASK)
    few = select_greedily(trials, target, TASK, limits=Limits(3))
    assert len(free) > 5 and len(few) == 3 and set(few) <= set(free) and min(few.values()) > 0
    assert sum(few.values()) == sum(sorted(free.values())[-3:])
    costs = tuple(10.0 if i % 2 else 4.0 for i in range(20))

    def cost(of: Sequence[int]) -> float:
        return sum(costs[i] for i in of)

    cheap = select_greedily(trials, target, TASK, limits=Limits(0, cost, 15.0))
    assert cheap and sum(costs[i] for i in cheap) < 15.0
    assert set(select_greedily(trials, target, TASK, limits=Limits(0, cost, 5.0))) <= set(range(0, 20, 2))
    with pytest.raises(ConfigError, match=r"of 20 networks costs 4\.0 ms a track, .*, at most 3 are allowed"):
        select_greedily(trials, target, TASK, limits=Limits(0, cost, 3.0))
