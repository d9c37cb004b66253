"""Ensembles: combining, greedy selection, and the folder that holds them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import CLASSES, tiny_config
from tonearm.core.errors import BundleError, ConfigError
from tonearm.core.types import FloatArray
from tonearm.ensembles.bundle import load_ensemble, save_ensemble
from tonearm.ensembles.combination import WEIGHTED_MEAN, Combination
from tonearm.ensembles.combine import weighted_mean
from tonearm.ensembles.select import select_greedily
from tonearm.tasks import Embedding, MultiLabel, Regression, SingleLabel, Task
from tonearm.training.bundle import Bundle, build_network, save_bundle

# --- combine


def test_weighted_mean_is_by_ratios() -> None:
    a, b = np.full((2, 3), 0.2, dtype=np.float32), np.full((2, 3), 0.8, dtype=np.float32)
    np.testing.assert_allclose(weighted_mean([a, b], [1, 2]), 0.6, atol=1e-6)
    assert np.array_equal(weighted_mean([a, b], [1, 2]), weighted_mean([a, b], [10, 20]))
    assert weighted_mean([a], [7]).dtype == np.float32 and np.array_equal(weighted_mean([a], [7]), a)


# --- select


def one_hot(answers: list[int], confidence: float = 0.9) -> FloatArray:
    out = np.full((len(answers), 3), (1 - confidence) / 2, dtype=np.float32)
    out[np.arange(len(answers)), answers] = confidence
    return out


def mean_of(predictions: list[FloatArray], chosen: dict[int, int]) -> FloatArray:
    return weighted_mean([predictions[i] for i in chosen], [float(w) for w in chosen.values()])


def test_complementary_pair_is_found() -> None:
    # Two models are sure of one half each and unsure in the other; more would only dilute them.
    target = np.array([0, 0, 1, 1, 2, 2])
    first, second = one_hot([0, 0, 1, 2, 0, 0]), one_hot([1, 2, 0, 1, 2, 2])
    first[3:], second[:3] = one_hot([2, 0, 0], 0.4), one_hot([1, 2, 0], 0.4)
    wrong = one_hot([1, 1, 2, 2, 0, 0], 0.8)
    predictions, task = [wrong, first, wrong, wrong, second, wrong], SingleLabel()
    chosen = select_greedily(predictions, target, task)
    assert {1, 4} <= set(chosen)
    assert chosen[1] + chosen[4] > 0.8 * sum(chosen.values())
    singles = [task.metrics(p, target)["f1_micro"] for p in predictions]
    assert max(singles) == 0.5 and task.metrics(mean_of(predictions, chosen), target)["f1_micro"] == 1.0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), models=st.integers(1, 7), bags=st.integers(1, 8), rounds=st.integers(1, 6))
def test_selection_is_as_good_as_what_every_bag_holds(seed: int, models: int, bags: int, rounds: int) -> None:
    rng, task = np.random.default_rng(seed), SingleLabel()
    target = rng.integers(0, 3, 20)
    predictions = [rng.dirichlet(np.ones(3), 20).astype(np.float32) for _ in range(models)]
    chosen = select_greedily(predictions, target, task, bags, rounds)
    assert chosen and sum(chosen.values()) <= bags * rounds and list(chosen) == sorted(chosen)
    # Of any half of the models the best is at worst the middle one; the loss of a mean is at most the mean loss.
    losses = sorted(task.metrics(p, target)["log_loss"] for p in predictions)
    assert task.metrics(mean_of(predictions, chosen), target)["log_loss"] <= losses[models // 2] + 1e-5
    assert chosen == select_greedily(predictions, target, task, bags, rounds)


def test_selection_goes_by_the_smooth_metric_of_any_task() -> None:
    target = np.array([[0.2], [0.5], [0.9]], dtype=np.float32)
    near, low, high = target + 0.05, target - 0.2, target + 0.2
    chosen = select_greedily([target + 0.6, low, high], target, Regression(target="energy"), bags=30)
    assert {1, 2} <= set(chosen)  # their errors cancel
    assert set(select_greedily([near, target + 0.6], target, Regression(target="energy"), bags=30)) >= {0}
    several = (np.random.default_rng(0).random((30, 4)) < 0.4).astype(np.float32)
    good, bad = 0.1 + 0.8 * several, 0.9 - 0.8 * several
    weights = select_greedily([bad, good, bad, good], several, MultiLabel())
    assert weights.get(1, 0) + weights.get(3, 0) > 0.7 * sum(weights.values())


def test_vectors_are_selected_by_direction() -> None:
    target = np.eye(3, dtype=np.float32)
    weights = select_greedily([target, target[::-1].copy(), target], target, Embedding(target="artist"))
    assert set(weights) == {0, 2}


def test_selection_of_one_model_is_that_model() -> None:
    chosen = select_greedily([one_hot([0, 1, 2])], np.array([0, 1, 2]), SingleLabel())
    assert set(chosen) == {0}


def test_models_that_hardly_any_bag_chose_are_left_out() -> None:
    rng, task = np.random.default_rng(0), SingleLabel()
    target = rng.integers(0, 3, 30)
    predictions = [rng.dirichlet(np.ones(3), 30).astype(np.float32) for _ in range(25)]
    chosen = select_greedily(predictions, target, task)
    assert min(chosen.values()) >= 0.02 * sum(chosen.values())
    assert chosen != select_greedily(predictions, target, task, seed=1)


def test_selection_from_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="no trial has predictions"):
        select_greedily([], np.array([0]), SingleLabel())


# --- bundle


def member(tmp_path: Path, seed: int, classes: tuple[str, ...] = CLASSES, changes: dict[str, Any] | None = None) -> str:
    uri = str(tmp_path / f"member{seed}")
    torch.manual_seed(seed)
    config = tiny_config({"seed": seed, **(changes or {})})
    save_bundle(uri, Bundle(config, classes, {"validation_f1_micro": 0.5}, build_network(config, len(classes))))
    return uri


def edit(uri: str, **changes: Any) -> None:
    """Change what an ensemble's description says; ``"absent"`` takes it away."""
    path = Path(uri) / "ensemble.json"
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in values.items() if v != "absent"}))


def test_ensemble_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    members = [member(tmp_path, 0), member(tmp_path, 1)]
    save_ensemble(str(tmp_path / "ensemble"), members, [2.0, 1.0], {"dataset": "toy"})
    for uri in members:
        shutil.rmtree(uri)
    moved = str((tmp_path / "ensemble").rename(tmp_path / "elsewhere"))
    ensemble = load_ensemble(moved)
    assert ensemble.weights == (2.0, 1.0) and ensemble.classes == CLASSES and ensemble.metadata == {"dataset": "toy"}
    assert [m.config.seed for m in ensemble.members] == [0, 1]
    assert not any(m.network.training for m in ensemble.members)


def test_single_bundle_is_an_ensemble_of_one(tmp_path: Path) -> None:
    ensemble = load_ensemble(member(tmp_path, 3))
    assert len(ensemble.members) == 1 and ensemble.weights == (1.0,)
    assert ensemble.metadata == {"metrics": {"validation_f1_micro": 0.5}}


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], []])
def test_every_member_needs_a_positive_weight(tmp_path: Path, weights: list[float]) -> None:
    uri = str(tmp_path / "ensemble")
    members = [member(tmp_path, 0), member(tmp_path, 1)]
    with pytest.raises(BundleError, match="one positive weight a member"):
        save_ensemble(uri, members, weights, {})
    save_ensemble(uri, members, [1.0, 2.0], {})
    edit(uri, weights=weights)
    with pytest.raises(BundleError, match="one positive weight a member"):
        load_ensemble(uri)


OTHER_TASKS: list[dict[str, Any]] = [
    {"kind": "multi_label"}, {"kind": "playlists"}, {"kind": "playlists", "training": "multi_hot"},
]  # fmt: skip


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (2, 3)])
def test_what_cannot_be_combined_is_refused_before_anything_is_written(tmp_path: Path, pair: tuple[int, int]) -> None:
    uri, tasks = str(tmp_path / "ensemble"), [SingleLabel(), *map(Task.from_dict, OTHER_TASKS)]
    members = [member(tmp_path, i, changes={"task": tasks[i]}) for i in pair]
    with pytest.raises(BundleError, match="their predictions mean different things"):
        save_ensemble(uri, members, [1.0, 1.0], {})
    with pytest.raises(BundleError, match="differ in classes, so"):
        save_ensemble(uri, [members[0], member(tmp_path, 9, ("x", "y"))], [1.0, 1.0], {})
    assert not Path(uri).exists()
    save_ensemble(uri, [members[0]] * 2, [1.0, 1.0], {})
    shutil.copytree(members[1], f"{uri}/members/01", dirs_exist_ok=True)  # as earlier versions saved them
    with pytest.raises(BundleError, match="their predictions mean different things"):
        load_ensemble(uri)


def test_members_may_have_learned_the_same_in_other_ways(tmp_path: Path) -> None:
    uri = str(tmp_path / "ensemble")
    changes = {"task.label_smoothing": 0.1, "task.pooling": "mean_logit"}
    save_ensemble(uri, [member(tmp_path, 0), member(tmp_path, 1, changes=changes)], [1.0, 1.0], {})
    assert load_ensemble(uri).task == SingleLabel()


def test_members_may_hear_other_clips(tmp_path: Path) -> None:
    uri = str(tmp_path / "ensemble")
    save_ensemble(uri, [member(tmp_path, 0), member(tmp_path, 1, changes={"clip.seconds": 3.0})], [1.0, 1.0], {})
    assert [m.config.clip.seconds for m in load_ensemble(uri).members] == [2.0, 3.0]


@pytest.mark.parametrize("temperatures", [(), (0.5, 2.0)])
def test_temperatures_are_kept(tmp_path: Path, temperatures: tuple[float, ...]) -> None:
    uri = str(tmp_path / "ensemble")
    save_ensemble(uri, [member(tmp_path, 0), member(tmp_path, 1)], [1.0, 1.0], {}, temperatures)
    assert load_ensemble(uri).temperatures == (temperatures or (1.0, 1.0))


def test_ensembles_of_earlier_versions_are_as_they_were(tmp_path: Path) -> None:
    uri = str(tmp_path / "ensemble")
    save_ensemble(uri, [member(tmp_path, 0), member(tmp_path, 1)], [2.0, 1.0], {}, (2.0, 3.0))
    edit(uri, combination="absent", format=2)
    found = load_ensemble(uri)
    assert found.temperatures == (2.0, 3.0) and found.combination == Combination()
    assert found.identity() == [[2.0, 1.0], [2.0, 3.0]], "answers that were kept keep their names"
    edit(uri, temperatures="absent", format=1)
    found = load_ensemble(uri)
    assert found.temperatures == (1.0, 1.0) and found.weights == (2.0, 1.0)


COMBINATIONS = [Combination("geometric", 0.5), Combination("rank"),
                Combination("stacking", 1.0, (0.75, 0.5), (0.5, 0.0, -0.5))]  # fmt: skip


@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda c: c.kind)
def test_how_members_are_combined_is_kept(tmp_path: Path, combination: Combination) -> None:
    uri = str(tmp_path / "ensemble")
    save_ensemble(uri, [member(tmp_path, 0), member(tmp_path, 1)], [2.0, 1.0], {}, (), combination)
    found = load_ensemble(uri)
    assert found.combination == combination and found.identity()[2:] == [combination.to_dict()]
    assert found.without_temperatures().combination == combination.without_temperature()


def test_a_combination_that_means_nothing_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    uri, votes = str(tmp_path / "ensemble"), {"task.pooling": "vote"}
    members = [member(tmp_path, 0), member(tmp_path, 1, changes=votes)]
    with pytest.raises(BundleError, match="combined by 'geometric': they state no probabilities"):
        save_ensemble(uri, members, [1.0, 1.0], {}, (), Combination("geometric"))
    assert not Path(uri).exists()


@pytest.mark.parametrize("change", [{"format": 7}, {"members": "absent"}, {"weights": "absent"}, {"members": 3},
                                    {"members": [1]}, {"weights": ["x", "y"]}, {"facts": "absent"},
                                    {"members": ["members/00", "members/07"]}, {"members": ["members/00", 1]},
                                    {"members": ["members/00", "members/01/"]},
                                    {"members": ["members/00", "members/../members/01"]},
                                    {"temperatures": "absent"}, {"temperatures": ["x", 1]},
                                    {"combination": "absent"}, {"combination": []}, {"combination": {"kind": "mean"}},
                                    ], ids=str)  # fmt: skip
def test_damaged_ensemble_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    uri = str(tmp_path / "ensemble")
    save_ensemble(uri, [member(tmp_path, 0), member(tmp_path, 1)], [1.0, 1.0], {}, (), Combination("geometric"))
    edit(uri, **change)
    with pytest.raises(BundleError, match=r"damaged|format version 7|no model at"):
        load_ensemble(uri)


def test_a_weighted_mean_is_written_as_servers_of_earlier_versions_read_it(tmp_path: Path) -> None:
    uri = str(tmp_path / "ensemble")
    save_ensemble(uri, [member(tmp_path, 0), member(tmp_path, 1)], [1.0, 1.0], {}, (1.5, 1.0))
    written = json.loads((tmp_path / "ensemble" / "ensemble.json").read_text())
    assert written["format"] == 2 and "combination" not in written
    assert load_ensemble(uri).combination == WEIGHTED_MEAN
