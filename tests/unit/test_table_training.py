"""Training a table of artists by rows: broken off anywhere, and batches that make a step together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.test_relations import NAMES, RELATED, config_of, manifest_of
from tests.unit.toy_problems import through_a_file
from tonearm.training.batches import Batch
from tonearm.training.bundle import build_network
from tonearm.training.examples import make_examples
from tonearm.training.fit import EpochReport, fit
from tonearm.training.optim import Round
from tonearm.training.relations import RelationExamples


def test_training_goes_on_to_the_bit_after_every_epoch(tmp_path: Path) -> None:
    rounds = (Round(lr=5e-3, batch_size=2), Round(lr=1e-3, batch_size=1))
    changes = {"optim.lr": 2e-2, "optim.epochs": 3, "optim.rounds": rounds, "optim.clip_norm": 0.5}

    def reports(state: Any = None) -> list[EpochReport]:
        config = config_of(changes)
        torch.manual_seed(3)
        examples = make_examples(config, manifest_of(NAMES, RELATED), "", "")
        return list(fit(build_network(config, 4), config.task, examples, config.optim, 0, state))

    whole = reports()
    assert {r.metrics["round"] for r in whole} == {0.0, 1.0, 2.0}
    for after, report in enumerate(whole, start=1):
        rest = reports(through_a_file(tmp_path, report.state))
        assert len(rest) == len(whole) - after
        for a, b in zip(rest, whole[after:], strict=True):
            assert a.metrics["train_loss"] == b.metrics["train_loss"]
            assert np.array_equal(a.predictions, b.predictions)
            for part in ("model", "best_weights"):
                assert all(torch.equal(v, b.state[part][k]) for k, v in a.state[part].items())
            for a_state, b_state in zip(*(r.state["optimizer"]["state"].values() for r in (a, b)), strict=True):
                assert all(torch.equal(v, b_state[k]) for k, v in a_state.items())


class FixedPairs(RelationExamples):
    """The pairs of the evaluation in their order; a batch counts pairs."""

    def steps(self, batch_size: int, least: int = 1) -> int:
        return -(-len(self.targets("train")) // batch_size)

    def train(self, epoch: int, batch_size: int = 0, least: int = 1) -> Iterator[Batch]:
        pairs, target = self._fixed
        for some in np.split(np.arange(len(pairs)), range(batch_size, len(pairs), batch_size)):
            yield Batch(torch.from_numpy(pairs[some]), torch.from_numpy(target[some]), self.ids("train")[: len(some)])


def test_batches_that_make_a_step_together_are_one_large_batch() -> None:
    found, manifest = [], manifest_of(NAMES, RELATED)
    for size, accumulate in ((3, 3), (9, 1)):
        changes = {"optim.batch_size": size, "optim.accumulate": accumulate, "optim.clip_norm": 0.5, "optim.lr": 0.01}
        config = config_of({**changes, "optim.epochs": 2})
        examples = FixedPairs(config, manifest.tracks, tuple("abcd"), manifest.metadata)
        torch.manual_seed(3)
        found.append(list(fit(build_network(config, 4), config.task, examples, config.optim))[-1])
    one, other = (r.state["model"]["table.weight"] for r in found)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert found[0].metrics["train_loss"] == pytest.approx(found[1].metrics["train_loss"], rel=1e-4)
