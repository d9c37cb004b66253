"""Classes of unequal size: drawn evenly, or weighed in the loss."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.builders import track
from tests.unit.toy_problems import table_batches, table_config
from tonearm.datasets.metadata import Metadata
from tonearm.models.base import Inputs, Network, one_input
from tonearm.tasks import MultiLabel, SingleLabel
from tonearm.training.batches import Batch, Batches
from tonearm.training.fit import batch_loss, fit
from tonearm.training.optim import OptimConfig

COUNTS = (24, 6, 2)
BALANCED = {"optim.sampling": "balanced", "window.train_per_track": 30}
LOGITS = (0.0, math.log(3.0))  # probabilities of 1/4 and 3/4


def drawn(epoch: int = 1, seed: int = 0, **changes: object) -> list[str]:
    """Track ids of an epoch's examples, in their order."""
    batches = table_batches(table_config({**BALANCED, "seed": seed, **changes}), COUNTS)
    return [i for b in batches.train(epoch, 8, 1) for i in b.track_ids]


class Constant(Network):
    """The same logits for every example: they are all that is learned."""

    embedding_dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(LOGITS))

    def embed(self, x: Inputs) -> Tensor:
        return one_input(x).flatten(1)[:, :1]

    def forward(self, x: Inputs) -> Tensor:
        return self.logits.expand(len(one_input(x)), 2)


# --- even drawing


def test_every_class_is_drawn_about_equally_often_in_unbalanced_data() -> None:
    ids = drawn()
    assert len(ids) == 32 * 30
    classes = Counter(i[0] for i in ids)
    # 960 draws of 1/3: 320 each, deviation 14.6; without balance they would be 720, 180 and 60.
    assert set(classes) == set("xyz") and all(abs(n - 320) < 50 for n in classes.values())


def test_tracks_of_a_class_are_drawn_about_equally_often_and_only_from_training() -> None:
    ids = Counter(drawn())
    assert set(ids) == {f"{c}{i:02d}" for c, count in zip("xyz", COUNTS, strict=True) for i in range(count)}
    for c, count in zip("xyz", COUNTS, strict=True):
        expected = 320 / count
        assert all(abs(ids[f"{c}{i:02d}"] - expected) < 5 * math.sqrt(expected) for i in range(count))


def test_without_balance_every_track_is_taken_as_often_as_any_other() -> None:
    ids = Counter(drawn(**{"optim.sampling": "all"}))
    assert set(ids.values()) == {30} and len(ids) == 32


def test_order_is_a_function_of_seed_and_epoch() -> None:
    assert drawn(2) == drawn(2)
    assert drawn(2) != drawn(3) and drawn(2) != drawn(2, seed=1)
    batches = table_batches(table_config(BALANCED), COUNTS)
    list(batches.train(7, 8, 1))
    assert [i for b in batches.train(2, 8, 1) for i in b.track_ids] == drawn(2)


def test_order_does_not_depend_on_the_batch_size() -> None:
    batches = table_batches(table_config(BALANCED), COUNTS)
    assert [i for b in batches.train(2, 11, 1) for i in b.track_ids] == drawn(2)


def test_epoch_is_as_long_as_without_balance() -> None:
    for sampling in ("all", "balanced"):
        batches = table_batches(table_config({**BALANCED, "optim.sampling": sampling}), COUNTS)
        assert batches.steps(7, 1) == len(list(batches.train(1, 7, 1))) == 138  # 960 / 7, rounded up


def test_track_of_several_labels_is_drawn_as_one_of_its_rarest() -> None:
    # a is on all 40 tracks, b on 8 of them, c on one of these: strata of 32, 7 and 1.
    labels = [("a",)] * 32 + [("a", "b")] * 7 + [("a", "b", "c")]
    tracks = [track(f"t{i:02d}", "a", labels=each, split="train") for i, each in enumerate(labels)]
    config = table_config({**BALANCED, "task": MultiLabel()})
    metadata = Metadata([t.track_id for t in tracks], {c: np.zeros(40) for c in "abc"})
    batches = Batches(config, tracks, ["a", "b", "c"], metadata=metadata)
    ids = Counter(i for b in batches.train(1, 8, 1) for i in b.track_ids)
    rarest = [sum(ids[f"t{i:02d}"] for i in part) for part in (range(32), range(32, 39), [39])]
    assert sum(rarest) == 1200 and all(abs(n - 400) < 70 for n in rarest)  # deviation 16


# --- weights in the loss

UNEQUAL = ["a", "a", "a", "b"]  # weights of 4 / (2 x 3) and 4 / (2 x 1)


def unequal_batches(weights: str) -> Batches:
    tracks = [track(f"t{i}", label, split="train") for i, label in enumerate(UNEQUAL)]
    tracks += [track(f"v{i}", label, split="validation") for i, label in enumerate(UNEQUAL)]
    config = table_config({"task.class_weights": weights, "window.train_per_track": 1})
    metadata = Metadata([t.track_id for t in tracks], {c: np.arange(8.0) for c in "abc"})
    return Batches(config, tracks, ["a", "b"], metadata=metadata)


@pytest.mark.parametrize(
    ("weights", "loss", "gradient"),
    [
        ("none", (3 * math.log(4) + math.log(4 / 3)) / 4, 0.75 * -0.75 + 0.25 * 0.25),
        ("balanced", (2 * math.log(4) + 2 * math.log(4 / 3)) / 4, 0.5 * -0.75 + 0.5 * 0.25),
    ],
)
def test_class_weights_change_loss_and_step_as_computed_by_hand(weights: str, loss: float, gradient: float) -> None:
    batches, network = unequal_batches(weights), Constant()
    optim = OptimConfig(lr=1.0, batch_size=4, epochs=1, optimizer="sgd", momentum=0.0)
    (report,) = fit(network, batches.config.task, batches, optim)
    assert report.metrics["train_loss"] == pytest.approx(loss, rel=1e-6)
    learned = report.state["model"]["logits"].tolist()
    assert learned == pytest.approx([LOGITS[0] - gradient, LOGITS[1] + gradient], rel=1e-6)


def test_weights_are_of_the_training_split_and_reach_the_loss_of_mixtures() -> None:
    task = SingleLabel(class_weights="balanced")
    weights = task.weights(unequal_batches("balanced").targets("train"), 2)
    assert weights is not None and weights.tolist() == pytest.approx([2 / 3, 2.0])
    logits = torch.tensor([LOGITS] * 3)
    a, b = math.log(4), math.log(4 / 3)
    batch = Batch(torch.zeros(3, 1), torch.tensor([0, 1, 0]), ["t0", "t3", "t1"], torch.tensor([1, 1, 0]), 0.75)
    wanted = 0.75 * (4 / 3 * a + 2 * b) / (4 / 3 + 2) + 0.25 * (2 / 3 * a + 4 * b) / (2 / 3 + 4)
    assert float(batch_loss(task, logits, batch, weights)) == pytest.approx(wanted, rel=1e-6)


def test_validation_is_neither_weighed_nor_drawn_evenly() -> None:
    found = []
    for weights in ("none", "balanced"):
        batches = unequal_batches(weights)
        optim = OptimConfig(lr=1e-9, batch_size=4, epochs=1, sampling="balanced" if weights != "none" else "all")
        (report,) = fit(Constant(), batches.config.task, batches, optim)
        found.append(report.metrics["validation_log_loss"])
    assert found == pytest.approx([(3 * math.log(4) + math.log(4 / 3)) / 4] * 2, rel=1e-5)
