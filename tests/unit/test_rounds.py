"""Rounds of training, what they begin with and end in, and trainings that were broken off anywhere."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.toy_problems import (
    ONE_POINT,
    SQUARES,
    Line,
    Points,
    scripted,
    table_batches,
    table_config,
    through_a_file,
)
from tonearm.core.errors import TrainingError
from tonearm.training.batches import Batches
from tonearm.training.bundle import build_network, load_bundle
from tonearm.training.config import TrialConfig
from tonearm.training.fit import EpochReport, State, fit
from tonearm.training.optim import OptimConfig, Round
from tonearm.training.trial import TrialFolder, run_trial

MOMENTUM = OptimConfig(lr=0.1, batch_size=1, epochs=3, optimizer="sgd", momentum=0.9)
#: Each of these must come back to the bit. The last round takes other batches and gives up after one epoch.
WAYS: dict[str, dict[str, Any]] = {
    "momentum": {"optim.optimizer": "sgd", "optim.lr": 0.05},
    "adamw": {"optim.optimizer": "adamw", "optim.weight_decay": 0.1},
    "plateau": {"optim.schedule": "plateau", "optim.plateau": 1, "optim.lr": 0.05},
    "staircase": {"optim.schedule": "staircase", "optim.halve_every": 2.0},
    "dropout": {"model.dropout": 0.4},
    "batch normalisation": {"model.batch_norm": True},
    "accumulation": {"optim.accumulate": 3, "optim.clip_norm": 0.5},
    "bfloat16": {"optim.precision": "bfloat16"},
    "balanced": {"optim.sampling": "balanced", "task.class_weights": "balanced"},
}
ROUNDS = (Round(lr=3e-3, batch_size=5), Round(lr=1e-3, batch_size=4, patience=1))


def weight_of(report: EpochReport) -> list[float]:
    return list(report.state["model"]["weight"].tolist())


def reports(batches: Batches, state: State | None = None) -> list[EpochReport]:
    config = batches.config
    torch.manual_seed(3)
    network = build_network(config, len(batches.classes))
    return list(fit(network, config.task, batches, config.optim, config.seed, state))


# --- what a round begins with


def test_rounds_take_from_the_first_what_they_leave_open() -> None:
    optim = OptimConfig(lr=0.1, batch_size=8, epochs=3, patience=5, rounds=(Round(lr=0.2), Round(lr=0.3, patience=1)))
    assert optim.all_rounds() == [
        Round(lr=0.1, batch_size=8, patience=5),
        Round(lr=0.2, batch_size=8, patience=5),
        Round(lr=0.3, batch_size=8, patience=1),
    ]
    assert optim.max_epochs == 9 and OptimConfig(epochs=4).max_epochs == 4


def test_round_begins_from_the_best_weights_with_a_fresh_optimiser_at_its_rate() -> None:
    # With momentum 1, 0.62, 0.2224, -0.108352; the second is the best. From there, gradient 0.4448, no velocity yet:
    # 0.2224 - 0.05 (0.4448 + 0.9 x 0.4448) = 0.180144; then gradient 0.360288, velocity 0.760608.
    optim = MOMENTUM.replace({"rounds": (Round(lr=0.05),)})
    got = list(fit(Line(1.0), scripted("++-+++"), Points(*ONE_POINT), optim))
    wanted = [0.62, 0.2224, -0.108352, 0.180144, 0.180144 - 0.05 * (0.360288 + 0.9 * (0.9 * 0.4448 + 0.360288))]
    assert [weight_of(r) for r in got[:5]] == [pytest.approx([w], rel=1e-5) for w in wanted]
    assert [r.metrics["round"] for r in got] == [0, 0, 0, 1, 1, 1]
    assert [r.metrics["lr"] for r in got] == [0.1] * 3 + [0.05] * 3
    assert [r.epoch for r in got] == [1, 2, 3, 4, 5, 6]


def test_round_without_gain_leaves_the_best_weights_of_an_earlier_one() -> None:
    optim = MOMENTUM.replace({"rounds": (Round(lr=0.05), Round(lr=0.01))})
    line = Line(1.0)
    got = list(fit(line, scripted("++-------"), Points(*ONE_POINT), optim))
    assert [r.improved for r in got] == [True, True, *[False] * 7]
    # Each further round began from epoch 2's weights, at its own rate: 0.2224 (1 - 0.1 x 1.9), 0.2224 (1 - 0.02 x 1.9).
    assert weight_of(got[3]) == pytest.approx([0.180144], rel=1e-5)
    assert weight_of(got[6]) == pytest.approx([0.2139488], rel=1e-5)
    assert line.weight.tolist() == pytest.approx([0.2224], rel=1e-5)
    assert line.weight.tolist() == got[-1].state["best_weights"]["weight"].tolist()


def test_round_has_its_own_batch_size_and_patience() -> None:
    optim = OptimConfig(lr=0.1, batch_size=2, epochs=4, patience=2,
                        rounds=(Round(lr=0.05, batch_size=3), Round(lr=0.02, patience=1)))  # fmt: skip
    points = Points([[1.0]] * 6, [0.0] * 6)
    got = list(fit(Line(1.0), scripted("+--" + "+-+-" + "-"), points, optim))
    assert [r.metrics["round"] for r in got] == [0, 0, 0, 1, 1, 1, 1, 2]
    assert points.asked == [(1, 2, 1), (2, 2, 1), (3, 2, 1), (4, 3, 1), (5, 3, 1), (6, 3, 1), (7, 3, 1), (8, 2, 1)]


def test_schedule_begins_anew_with_each_round() -> None:
    optim = OptimConfig(lr=0.1, batch_size=1, epochs=3, rounds=(Round(lr=0.04),))
    for schedule, rates in (
        ("plateau", [0.1, 0.1, 0.05, 0.04, 0.02, 0.01]),
        ("staircase", [0.1, 0.05, 0.025, 0.04, 0.02, 0.01]),
    ):
        changed = optim.replace({"schedule": schedule, "plateau": 1, "halve_every": 1.0})
        got = list(fit(Line(1.0), scripted("+-----"), Points(*ONE_POINT), changed))
        assert [r.metrics["lr"] for r in got] == pytest.approx(rates, rel=1e-12)


def test_network_holds_the_best_epoch_s_weights_when_all_has_ended() -> None:
    line = Line(1.0)
    got = list(fit(line, scripted("+-+--"), Points(*ONE_POINT), MOMENTUM.replace({"epochs": 5})))
    assert line.weight.tolist() == weight_of(got[2]) != weight_of(got[-1])
    assert not line.training


def test_network_holds_the_weights_to_keep_whenever_an_epoch_is_reported_as_better() -> None:
    line = Line(1.0)
    optim = MOMENTUM.replace({"rounds": (Round(lr=0.05),)})
    for report in fit(line, scripted("+-+-+-"), Points(*ONE_POINT), optim):
        if report.improved:
            assert line.weight.tolist() == weight_of(report) == report.state["best_weights"]["weight"].tolist()


def test_weights_of_a_better_epoch_are_kept_once_and_change_no_more(tmp_path: Path) -> None:
    line, sizes = Line(*[1.0] * 4000), []
    points = Points([[1.0] * 4000], [0.0])
    got = list(fit(line, scripted("+-+"), points, MOMENTUM))
    for report in got:
        model, best = (report.state[name]["weight"] for name in ("model", "best_weights"))
        assert (model.data_ptr() == best.data_ptr()) == report.improved
        torch.save(report.state, tmp_path / "state.pt")
        sizes.append((tmp_path / "state.pt").stat().st_size)
    assert sizes[0] < sizes[1] - 15_000 and sizes[2] < sizes[1] - 15_000
    assert torch.equal(got[1].state["best_weights"]["weight"], got[0].state["model"]["weight"])
    assert not torch.equal(got[1].state["model"]["weight"], got[0].state["model"]["weight"])


def test_no_batch_at_all_is_an_error() -> None:
    config = table_config({"model.batch_norm": True, "window.train_per_track": 1})
    with pytest.raises(TrainingError, match=r"no training batch: batches of 8 with at least 2 example.*more tracks"):
        reports(table_batches(config, (1,)))


# --- broken off


@pytest.fixture(scope="module", params=sorted(WAYS))
def undisturbed(request: pytest.FixtureRequest) -> tuple[TrialConfig, Batches, list[EpochReport]]:
    changes = {"optim.lr": 2e-2, "optim.batch_size": 6, "optim.patience": 2, **WAYS[request.param]}
    config = table_config({"optim.rounds": ROUNDS, **changes})
    batches = table_batches(config)
    return config, batches, reports(batches)


def test_training_goes_on_to_the_bit_after_every_epoch(
    undisturbed: tuple[TrialConfig, Batches, list[EpochReport]], tmp_path: Path
) -> None:
    config, _, whole = undisturbed
    assert {r.metrics["round"] for r in whole} == {0.0, 1.0, 2.0}
    assert len({tuple(r.state["model"]["classifier.weight"].flatten().tolist()) for r in whole}) == len(whole)
    for after, report in enumerate(whole, start=1):
        rest = reports(table_batches(config), through_a_file(tmp_path, report.state))
        assert len(rest) == len(whole) - after
        for a, b in zip(rest, whole[after:], strict=True):
            same(a, b)


def same(a: EpochReport, b: EpochReport) -> None:
    """All but the seconds is the same."""
    own, other = ({k: v for k, v in r.metrics.items() if k != "epoch_seconds"} for r in (a, b))
    assert own == other and (a.epoch, a.improved) == (b.epoch, b.improved)
    assert np.array_equal(a.predictions, b.predictions)
    for name in ("model", "best_weights"):
        assert all(torch.equal(v, b.state[name][k]) for k, v in a.state[name].items())
    assert {k: v for k, v in a.state.items() if k in ("progress", "schedule")} == {
        k: v for k, v in b.state.items() if k in ("progress", "schedule")
    }


def test_ended_training_goes_on_with_nothing_and_gives_the_best_weights(tmp_path: Path) -> None:
    optim = MOMENTUM.replace({"rounds": (Round(lr=0.05),)})
    got = list(fit(Line(1.0), scripted("++----"), Points(*ONE_POINT), optim))
    line = Line(7.0)
    assert list(fit(line, SQUARES, Points(*ONE_POINT), optim, state=through_a_file(tmp_path, got[-1].state))) == []
    assert line.weight.tolist() == weight_of(got[1]) and not line.training


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_going_on_changes_nothing_in_the_state_that_it_began_with(optimizer: str) -> None:
    config = table_config({"optim.optimizer": optimizer, "model.batch_norm": True})
    batches = table_batches(config)
    state = reports(batches)[0].state
    before = copy.deepcopy(state)
    first, again = reports(batches, state), reports(batches, state)
    for a, b in zip(first, again, strict=True):
        same(a, b)
    for name in ("model", "best_weights"):
        assert all(torch.equal(v, before[name][k]) for k, v in state[name].items())
    for own, was in zip(*(s["optimizer"]["state"].values() for s in (state, before)), strict=True):
        assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(was[k])) for k, v in own.items() if v is not None)


@pytest.mark.parametrize("after", [2, 3, 4])
def test_trial_killed_about_the_border_of_two_rounds_goes_on_as_if_undisturbed(tmp_path: Path, after: int) -> None:
    config = table_config({"optim.epochs": 3, "optim.rounds": (Round(lr=1e-3, batch_size=4),), "model.dropout": 0.3})
    whole, killed = TrialFolder(str(tmp_path / "whole")), TrialFolder(str(tmp_path / "killed"))
    wanted = list(run_trial(config, table_batches(config), whole))
    running = run_trial(config, table_batches(config), killed)
    for _ in range(after):
        next(running)
    running.close()
    got = list(run_trial(config, table_batches(config), killed))
    assert [m["replayed"] for m in got] == [i < after for i in range(6)]
    drop = ("epoch_seconds", "replayed")
    assert [{k: v for k, v in m.items() if k not in drop} for m in got] == [
        {k: v for k, v in m.items() if k not in drop} for m in wanted
    ]
    ours, theirs = (load_bundle(f.bundle_uri).network.state_dict() for f in (killed, whole))
    assert all(torch.equal(v, theirs[k]) for k, v in ours.items())
    assert np.array_equal(killed.validation().probabilities, whole.validation().probabilities)
