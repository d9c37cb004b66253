"""Batches and the loop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import CLASSES, tiny_config, toy_batches, toy_tracks
from tonearm.core.errors import TrainingError
from tonearm.tasks import SingleLabel
from tonearm.training.batches import Batches
from tonearm.training.bundle import build_network
from tonearm.training.config import OptimConfig, TrialConfig
from tonearm.training.fit import EpochReport, fit
from tonearm.training.optim import Schedule


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def batches(features: Path) -> Batches:
    return toy_batches(features, tiny_config())


def reports(batches: Batches, config: TrialConfig, state: dict[str, Any] | None = None) -> Iterator[EpochReport]:
    torch.manual_seed(1)
    model = build_network(config, len(batches.classes))
    return fit(model, config.task, batches, config.optim, config.seed, state)


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in h.items() if k not in ("epoch_seconds", "replayed")} for h in history]


# --- batches


def test_batches_have_the_promised_shapes(batches: Batches) -> None:
    got = list(batches.train(1))
    assert [b.inputs.shape for b in got] == [(8, 1, 32, 40)] * 4 + [(4, 1, 32, 40)]
    assert len(got) == batches.steps(8)
    assert all(b.inputs.dtype == torch.float32 and b.targets.dtype == torch.int64 for b in got)
    label_of = {t.track_id: t.label for t in toy_tracks()}
    assert all(CLASSES[c] == label_of[i] for b in got for c, i in zip(b.targets.tolist(), b.track_ids, strict=True))


def test_every_training_track_is_seen_equally_often_and_no_other(batches: Batches) -> None:
    seen = [i for b in batches.train(1) for i in b.track_ids]
    assert sorted(seen) == sorted([t.track_id for t in batches.tracks("train")] * 2)


def test_order_depends_on_seed_and_epoch_alone(features: Path, batches: Batches) -> None:
    def epoch(n: int, seed: int = 0) -> list[float]:
        config = tiny_config({"seed": seed})
        return [float(b.inputs.sum()) for b in toy_batches(features, config).train(n)]

    list(batches.train(5))
    assert epoch(2) == epoch(2)
    assert epoch(2) != epoch(3) and epoch(2) != epoch(2, seed=1)


def test_a_batch_of_one_is_left_out(features: Path) -> None:
    got = list(toy_batches(features, tiny_config({"optim.batch_size": 5})).train(1))
    assert [len(b.track_ids) for b in got] == [5] * 7  # 36 windows: one is left
    assert toy_batches(features, tiny_config()).steps(5) == 7


def test_a_batch_of_one_is_kept_where_a_network_can_learn_from_it(batches: Batches) -> None:
    assert [len(b.track_ids) for b in batches.train(1, 5, least=1)] == [5] * 7 + [1] and batches.steps(5, least=1) == 8
    assert [len(b.track_ids) for b in batches.train(1, 16, least=5)] == [16] * 2 and batches.steps(16, least=5) == 2


def test_evaluation_windows_are_normalised_and_evenly_spread(features: Path) -> None:
    batches = toy_batches(features, tiny_config({"window.per_track": 3}))
    ((together, each),) = batches.evaluation("validation")
    windows = together.reshape(-1, each, *together.shape[1:])
    assert len(windows) == len(batches.tracks("validation")) == 9
    assert all(w.shape == (3, 1, 32, 40) for w in windows)
    np.testing.assert_allclose(windows[0].mean(dim=2), 0, atol=2e-3)  # float16 values, float32 statistics
    assert torch.equal(windows[0][0, 0, :, 20:], windows[0][2, 0, :, :20])  # frames 0-39 and 20-59


# --- the loop


def test_loop_learns_what_is_easy(features: Path) -> None:
    config = tiny_config({"optim.epochs": 8, "optim.lr": 1e-2})
    got = list(reports(toy_batches(features, config), config))
    assert [r.epoch for r in got] == list(range(1, 9))
    assert got[-1].metrics["train_loss"] < 0.5 * got[0].metrics["train_loss"]
    assert max(r.metrics["validation_f1_micro"] for r in got) == 1.0
    assert got[-1].predictions.shape == (9, 3)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("after", [1, 3])
def test_resumed_loop_equals_an_undisturbed_one_exactly(features: Path, schedule: str, after: int) -> None:
    config = tiny_config({"optim.schedule": schedule, "model.dropout": 0.3})
    batches = toy_batches(features, config)
    whole = list(reports(batches, config))
    begun = reports(batches, config)
    state = [next(begun) for _ in range(after)][-1].state
    begun.close()
    rest = list(reports(batches, config, state))
    assert without_seconds([r.metrics for r in rest]) == without_seconds([r.metrics for r in whole[after:]])
    for a, b in zip(rest, whole[after:], strict=True):
        assert (a.epoch, a.improved) == (b.epoch, b.improved) and np.array_equal(a.predictions, b.predictions)
        assert all(torch.equal(v, b.state["model"][k]) for k, v in a.state["model"].items())


def test_states_are_snapshots(features: Path) -> None:
    config = tiny_config()
    got = list(reports(toy_batches(features, config), config))
    first = next(iter(reports(toy_batches(features, config), config)))
    assert all(torch.equal(v, got[0].state["model"][k]) for k, v in first.state["model"].items())
    assert any(not torch.equal(v, got[-1].state["model"][k]) for k, v in first.state["model"].items())


class NeverBetter(SingleLabel):
    """Only the first epoch counts as better."""

    def better(self, candidate: dict[str, float], incumbent: dict[str, float] | None) -> bool:
        return incumbent is None


def test_loop_stops_after_patience_and_stays_stopped(features: Path) -> None:
    config = tiny_config({"optim.epochs": 9, "optim.patience": 2, "task": NeverBetter()})
    batches = toy_batches(features, config)
    got = list(reports(batches, config))
    assert [(r.epoch, r.improved) for r in got] == [(1, True), (2, False), (3, False)]
    assert list(reports(batches, config, got[-1].state)) == []


class Exploding(SingleLabel):
    """The loss of the third step is no number."""

    def loss(self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        value = super().loss(logits, target, weights)
        steps.append(float(value.detach()))
        return value * (math.nan if len(steps) == 7 else 1.0)


steps: list[float] = []


def test_non_finite_loss_names_step_rate_and_tracks(features: Path) -> None:
    steps.clear()
    config = tiny_config({"task": Exploding()})
    with pytest.raises(TrainingError) as caught:
        list(reports(toy_batches(features, config), config))
    text = str(caught.value)
    assert "the loss is nan at step 6 of epoch 2" in text and "learning rate 0.005" in text
    assert any(t.track_id in text for t in toy_tracks())


def test_cosine_falls_from_the_rate_to_zero() -> None:
    cosine = Schedule(OptimConfig(lr=0.2, schedule="cosine", epochs=10))
    rates = [cosine.rate(0.2, s, 10) for s in range(101)]
    assert rates[0] == 0.2 and rates[50] == pytest.approx(0.1) and rates[100] == pytest.approx(0, abs=1e-12)
    assert rates == sorted(rates, reverse=True)
    assert {Schedule(OptimConfig(lr=0.2, epochs=10)).rate(0.2, s, 10) for s in (0, 50, 100)} == {0.2}


def test_rate_is_reported(features: Path) -> None:
    config = tiny_config({"optim.schedule": "cosine", "optim.epochs": 2})
    got = [r.metrics["lr"] for r in reports(toy_batches(features, config), config)]
    assert got == [pytest.approx(5e-3 * 0.5 * (1 + math.cos(math.pi * step / 10))) for step in (4, 9)]
