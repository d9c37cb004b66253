"""Optimisers and schedules, worked by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.builders import tiny_config
from tests.unit.toy_problems import ONE_POINT, SQUARES, Line, Points, scripted, table_batches, table_config
from tonearm.core.errors import ConfigError
from tonearm.training.bundle import build_network
from tonearm.training.fit import fit
from tonearm.training.optim import OptimConfig, Round, Schedule

POINTS = (
    [[1.0, 0.5], [-0.5, 2.0], [0.3, -1.0], [2.0, 1.0], [-1.0, -1.0], [0.7, 0.2], [1.5, -0.5], [0.1, 0.9], [-2.0, 0.4],
     [0.6, 0.6], [1.1, -1.3], [0.2, 0.4]],
    [1.0, -0.5, 0.2, 0.7, -1.2, 0.1, 0.9, -0.3, 0.4, 1.3, -0.8, 0.5],
)  # fmt: skip


def weights(optim: OptimConfig, *start: float, points: Any = ONE_POINT, l2: float = 0.0) -> list[list[float]]:
    """The weights of a line after every epoch."""
    line = Line(*start, l2=l2)
    return [r.state["model"]["weight"].tolist() for r in fit(line, SQUARES, Points(*points), optim)]


def one_by_one(**fields: Any) -> OptimConfig:
    return OptimConfig(**{"lr": 0.1, "batch_size": 1, "epochs": 3, **fields})


# --- schedules


def test_constant_rate_stays() -> None:
    schedule = Schedule(OptimConfig(epochs=4))
    assert {schedule.rate(0.3, step, 5) for step in range(20)} == {0.3}


def test_cosine_falls_by_the_step_from_the_round_s_rate_to_zero() -> None:
    schedule = Schedule(OptimConfig(schedule="cosine", epochs=4))
    wanted = {0: 0.2, 5: 0.17071067811865476, 10: 0.1, 15: 0.029289321881345254, 20: 0.0, 25: 0.0}
    assert {s: schedule.rate(0.2, s, 5) for s in wanted} == pytest.approx(wanted, abs=1e-15)
    rates = [schedule.rate(0.2, s, 5) for s in range(21)]
    assert rates == sorted(set(rates), reverse=True)  # strictly: within epochs too


def test_exponential_halves_smoothly_every_five_epochs() -> None:
    schedule = Schedule(OptimConfig(schedule="exponential", halve_every=5))
    wanted = {0: 0.8, 10: 0.6964404506368992, 25: 0.565685424949238, 50: 0.4, 100: 0.2, 150: 0.1}
    assert {s: schedule.rate(0.8, s, 10) for s in wanted} == pytest.approx(wanted, rel=1e-12)
    assert schedule.rate(0.8, 1, 10) == pytest.approx(0.8 * 2 ** (-0.02))  # a step within the first epoch


@pytest.mark.parametrize("steps", [1, 3, 7, 49, 1000])
def test_staircase_halves_at_once_every_five_epochs(steps: int) -> None:
    schedule = Schedule(OptimConfig(schedule="staircase", halve_every=5))
    for stair in range(1, 9):
        at = 5 * stair * steps
        assert schedule.rate(0.8, at, steps) == 0.8 / 2**stair
        assert schedule.rate(0.8, at - 1, steps) == 0.8 / 2 ** (stair - 1)
    assert schedule.rate(0.8, 0, steps) == 0.8


def test_staircase_of_parts_of_epochs_misses_no_stair_by_rounding() -> None:
    schedule = Schedule(OptimConfig(schedule="staircase", halve_every=0.1))
    assert [schedule.rate(0.8, step, 10) for step in range(40)] == [0.8 / 2**step for step in range(40)]


def test_plateau_halves_after_so_many_epochs_without_gain_and_a_gain_begins_anew() -> None:
    schedule = Schedule(OptimConfig(schedule="plateau", plateau=2))
    rates = []
    for improved in (True, False, True, False, False, False, False, True, False, False):
        schedule.end_epoch(improved)
        rates.append(schedule.rate(0.8, 99, 7))
    assert rates == [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.2, 0.1]
    constant = Schedule(OptimConfig(schedule="constant", plateau=1))
    constant.end_epoch(False)
    assert constant.rate(0.8, 0, 1) == 0.8


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"schedule": "constant"}, [0.1] * 6),
        ({"schedule": "staircase", "halve_every": 2.0}, [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]),
        ({"schedule": "exponential", "halve_every": 1.0}, [0.1 * 0.5 ** (e + 2 / 3) for e in range(6)]),
        ({"schedule": "plateau", "plateau": 2}, [0.1, 0.1, 0.1, 0.05, 0.05, 0.025]),
        ({"schedule": "cosine"}, [0.05 * (1 + math.cos(math.pi * (e + 2 / 3) / 6)) for e in range(6)]),
    ],
)
def test_loop_reports_the_rate_of_each_epoch_s_last_step(fields: dict[str, Any], wanted: list[float]) -> None:
    optim = one_by_one(epochs=6, patience=9, **fields)
    three = Points([[1.0]] * 3, [0.0] * 3)
    got = [r.metrics["lr"] for r in fit(Line(1.0), scripted("+-----"), three, optim)]
    assert got == pytest.approx(wanted, rel=1e-12)


def test_steps_of_an_epoch_are_counted_after_accumulation() -> None:
    optim = one_by_one(epochs=2, accumulate=2, schedule="exponential", halve_every=1.0)
    three = Points([[1.0]] * 3, [0.0] * 3)  # three batches, two steps
    got = [r.metrics["lr"] for r in fit(Line(1.0), SQUARES, three, optim)]
    assert got == pytest.approx([0.1 * 0.5**0.5, 0.1 * 0.5**1.5], rel=1e-12)


# --- optimisers


def test_sgd_without_momentum_by_hand() -> None:
    assert weights(one_by_one(optimizer="sgd", momentum=0.0), 1.0) == [
        pytest.approx([w], rel=1e-6) for w in (0.8, 0.64, 0.512)
    ]
    decayed = weights(one_by_one(optimizer="sgd", momentum=0.0, weight_decay=0.5), 1.0)
    assert decayed[0] == pytest.approx([1 - 0.1 * (2 + 0.5)], rel=1e-6)


def test_sgd_with_nesterov_momentum_by_hand() -> None:
    # Gradients 2, 1.24, 0.4448; velocities 2, 3.04, 3.1808; steps of 0.1 (gradient + 0.9 velocity).
    assert weights(one_by_one(optimizer="sgd", momentum=0.9), 1.0) == [
        pytest.approx([w], rel=1e-5) for w in (0.62, 0.2224, -0.108352)
    ]


def test_adam_by_hand() -> None:
    w, m, v, wanted = 1.0, 0.0, 0.0, []
    for step in (1, 2, 3):
        gradient = 2 * w
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        w -= 0.1 * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.999**step)) + 1e-8)
        wanted.append([pytest.approx(w, rel=1e-5)])
    assert wanted[0] == [0.9] and wanted[1] == [pytest.approx(0.8004126, rel=1e-5)]
    assert weights(one_by_one(optimizer="adam"), 1.0) == wanted
    assert weights(one_by_one(optimizer="adamw"), 1.0) == wanted  # without decay they are one


def test_decay_is_a_penalty_for_adam_and_decoupled_for_adamw() -> None:
    # Gradient -0.2, penalty +0.5: their sum's sign moves Adam down; AdamW moves up and shrinks by 5 %.
    uphill = ([[1.0]], [1.1])
    assert weights(one_by_one(optimizer="adam", weight_decay=0.5), 1.0, points=uphill)[0] == [pytest.approx(0.9)]
    assert weights(one_by_one(optimizer="adamw", weight_decay=0.5), 1.0, points=uphill)[0] == [pytest.approx(1.05)]


def test_penalty_of_the_network_is_learned_from_but_not_reported() -> None:
    optim = one_by_one(optimizer="sgd", momentum=0.0, epochs=1)
    (report,) = fit(Line(1.0, l2=0.5), SQUARES, Points(*ONE_POINT), optim)
    assert report.state["model"]["weight"].tolist() == [pytest.approx(1 - 0.1 * (2 + 1))]
    assert report.metrics["train_loss"] == 1.0


def test_norm_of_the_gradient_is_limited_and_its_direction_stays() -> None:
    point = ([[3.0, 4.0]], [-0.5])  # at zero the gradient is (3, 4), 5 long
    plain = {"optimizer": "sgd", "momentum": 0.0, "epochs": 1}
    assert weights(one_by_one(**plain), 0.0, 0.0, points=point) == [[pytest.approx(-0.3), pytest.approx(-0.4)]]
    clipped = weights(one_by_one(**plain, clip_norm=1.0), 0.0, 0.0, points=point)
    assert clipped == [[pytest.approx(-0.06, rel=1e-4), pytest.approx(-0.08, rel=1e-4)]]
    assert weights(one_by_one(**plain, clip_norm=5.1), 0.0, 0.0, points=point) == [
        [pytest.approx(-0.3), pytest.approx(-0.4)]
    ]


def test_norm_is_limited_of_the_accumulated_gradient_and_not_of_its_parts() -> None:
    # Gradients (3, 4) and (-3, 4): their mean (0, 4) is cut to (0, 1); cut before, they would make (0, 0.8).
    points = ([[3.0, 4.0], [-3.0, 4.0]], [-0.5, -0.5])
    optim = one_by_one(optimizer="sgd", momentum=0.0, epochs=1, accumulate=2, clip_norm=1.0)
    assert weights(optim, 0.0, 0.0, points=points) == [[pytest.approx(0.0), pytest.approx(-0.1, rel=1e-4)]]


# --- accumulation


@pytest.mark.parametrize(
    ("small", "times", "examples"), [(2, 3, 12), (2, 3, 10), (1, 4, 9), (3, 2, 9), (4, 5, 12)], ids=str
)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_accumulated_batches_equal_one_large_one(small: int, times: int, examples: int, optimizer: str) -> None:
    """The last ones included, of which there may be too few; a mean loss, no batch normalisation."""
    fields = {"lr": 0.02, "epochs": 3, "optimizer": optimizer, "schedule": "cosine", "clip_norm": 2.0}
    points = tuple(part[:examples] for part in POINTS)
    found = []
    for batch_size, accumulate in ((small, times), (small * times, 1)):
        optim = OptimConfig(**fields, batch_size=batch_size, accumulate=accumulate)
        found.append(list(fit(Line(0.4, -0.2, l2=0.1), SQUARES, Points(*points), optim)))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a.state["model"]["weight"], b.state["model"]["weight"], rtol=1e-5, atol=1e-6)
        assert a.metrics["train_loss"] == pytest.approx(b.metrics["train_loss"], rel=1e-4)
        assert a.metrics["lr"] == b.metrics["lr"]


# --- precision


def test_bfloat16_computes_the_network_in_it_and_keeps_weights_and_evaluation_as_they_are() -> None:
    line = Line(0.4, -0.2)
    reports = list(fit(line, SQUARES, Points(*POINTS), OptimConfig(batch_size=4, epochs=2, precision="bfloat16")))
    assert set(line.types) == {(True, torch.bfloat16), (False, torch.float32)}
    assert line.weight.dtype == torch.float32 == reports[0].state["optimizer"]["state"][0]["exp_avg"].dtype
    plain = list(fit(Line(0.4, -0.2), SQUARES, Points(*POINTS), OptimConfig(batch_size=4, epochs=2)))
    assert reports[0].metrics["train_loss"] == pytest.approx(plain[0].metrics["train_loss"], rel=0.02)
    assert reports[0].metrics["train_loss"] != plain[0].metrics["train_loss"]


def test_tf32_on_a_cpu_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"optim\.precision is 'tf32' on cpu: it needs a GPU; .* 'float32'"):
        next(fit(Line(1.0), SQUARES, Points(*POINTS), OptimConfig(precision="tf32")))


def test_float16_on_a_cpu_is_refused() -> None:
    optim = OptimConfig(precision="float16")
    with pytest.raises(ConfigError, match=r"optim\.precision is 'float16' on cpu: it needs a GPU; .* 'bfloat16'"):
        next(fit(Line(1.0), SQUARES, Points(*ONE_POINT), optim))


# --- batches of one


@pytest.mark.parametrize("fields", [{"batch_size": 1}, {"rounds": (Round(lr=1e-4, batch_size=1),)}], ids=str)
def test_single_examples_are_refused_by_name_where_batches_are_normalised(fields: dict[str, Any]) -> None:
    config = table_config({"model.batch_norm": True, **{f"optim.{k}": v for k, v in fields.items()}})
    model = build_network(config, 3)
    with pytest.raises(ConfigError, match=r"optim\.batch_size is 1: batch normalisation cannot learn from a single"):
        next(fit(model, config.task, table_batches(config), config.optim))
    both = config.optim.replace({"precision": "float16"})
    with pytest.raises(ConfigError) as caught:
        next(fit(model, config.task, table_batches(config), both))
    assert len(caught.value.problems) == 2


def test_single_examples_are_learned_from_where_no_batch_is_normalised() -> None:
    points = Points(*POINTS)
    next(fit(Line(0.4, -0.2), SQUARES, points, OptimConfig(batch_size=1)))
    assert points.asked == [(1, 1, 1)]


def test_frozen_batch_normalisation_does_not_ask_for_larger_batches() -> None:
    frozen, learning = Line(1.0), Line(1.0)
    frozen.norm = nn.BatchNorm1d(1).requires_grad_(False)
    learning.norm = nn.BatchNorm1d(1)
    asked = []
    for line in (frozen, learning):
        points = Points([[1.0]] * 2, [0.0] * 2)
        next(fit(line, SQUARES, points, OptimConfig(batch_size=2)))
        asked.append(points.asked)
    assert asked == [[(1, 2, 1)], [(1, 2, 2)]]


# --- configs


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": 0.0}, r"optim\.lr is 0\.0: it must be positive and below 10"),
        ({"lr": float("nan")}, r"optim\.lr is nan"),
        ({"lr": 10.0}, r"optim\.lr is 10\.0"),
        ({"batch_size": 0}, r"optim\.batch_size is 0: a batch has at least one example"),
        ({"epochs": 0}, r"optim\.epochs 0 and optim\.patience \d+ must be at least 1"),
        ({"patience": 0}, r"optim\.epochs \d+ and optim\.patience 0 must be at least 1"),
        ({"weight_decay": -0.1}, r"optim\.weight_decay is -0\.1: it must be at least 0"),
        ({"weight_decay": float("nan")}, r"optim\.weight_decay is nan"),
        ({"momentum": 1.0}, r"optim\.momentum is 1\.0: it must be at least 0 and below 1"),
        ({"momentum": -0.1}, r"optim\.momentum is -0\.1"),
        ({"halve_every": 0.0}, r"optim\.halve_every 0\.0 and optim\.plateau 3 must be positive"),
        ({"halve_every": float("nan")}, r"optim\.halve_every nan and optim\.plateau 3 must be positive"),
        ({"plateau": 0}, r"optim\.halve_every 5\.0 and optim\.plateau 0 must be positive"),
        ({"clip_norm": 0.0}, r"optim\.clip_norm is 0\.0: it must be positive, or None for no limit"),
        ({"clip_norm": float("nan")}, r"optim\.clip_norm is nan: it must be positive"),
        ({"accumulate": 0}, r"optim\.accumulate is 0: at least one batch makes a step"),
        ({"optimizer": "adagrad"}, r"'adagrad' is none of 'adam', 'adamw', 'sgd'"),
        ({"schedule": "linear"}, r"'linear' is none of 'constant', 'cosine', 'exponential', 'staircase', 'plateau'"),
        ({"precision": "float64"}, r"'float64' is none of 'float32', 'tf32', 'bfloat16', 'float16'"),
        ({"sampling": "some"}, r"'some' is none of 'all', 'balanced'"),
    ],
    ids=str,
)
def test_values_that_cannot_work_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        OptimConfig(**fields)
    assert len(caught.value.problems) == 1
    with pytest.raises(ConfigError, match=message):
        tiny_config({f"optim.{k}": v for k, v in fields.items()})


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        OptimConfig(lr=-1.0, batch_size=0, epochs=0, weight_decay=-1.0, momentum=2.0, halve_every=0.0, clip_norm=0.0,
                    accumulate=0)  # fmt: skip
    assert len(caught.value.problems) == 8
