"""A trial that is killed between any two of its writes, and goes on where sums have other last bits: its model, its
predictions and its history are of one epoch."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import tiny_config, toy_batches
from tonearm.core import storage
from tonearm.models.base import Network
from tonearm.training import fit as fit_module
from tonearm.training.batches import Batches
from tonearm.training.bundle import load_bundle
from tonearm.training.config import TrialConfig
from tonearm.training.logits import predict_split
from tonearm.training.trial import LOCK, TrialFolder, run_trial

EPOCHS = 2


def other_last_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on another machine: every prediction is a little different."""

    def predicted(model: Network, *arguments: Any) -> np.ndarray:
        found = predict_split(model, *arguments)
        return np.asarray(found * (1 + 1e-3 * np.arange(1, found.shape[1] + 1)), np.float32)

    monkeypatch.setattr(fit_module, "predict_split", predicted)


def as_it_was(config: TrialConfig, batches: Batches, folder: TrialFolder) -> list[TrialFolder]:
    """Run a trial; copies of its folder as it was after each of its writes but the last, as kills would leave it."""
    copies, write_bytes, own = list[TrialFolder](), storage.write_bytes, Path(folder.uri)

    def copied(uri: str, data: bytes) -> None:
        write_bytes(uri, data)
        place = own.parent / f"{own.name}-{len(copies) + 1}"
        shutil.copytree(own, place)
        (place / LOCK).unlink(missing_ok=True)  # it names this process, which lives
        copies.append(TrialFolder(str(place)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "write_bytes", copied)
        list(run_trial(config, batches, folder))
    return copies[:-1]


def require_agreement(config: TrialConfig, batches: Batches, folder: TrialFolder) -> None:
    """Model, predictions and history are of one epoch, the best."""
    history, bundle, predictions = folder.history(), load_bundle(folder.bundle_uri), folder.validation()
    kept = next(h for h in reversed(history) if h["improved"])
    assert bundle.metrics == {**{k: v for k, v in kept.items() if k.startswith("validation_")}, "epoch": kept["epoch"]}
    assert history[-1]["best"] == bundle.metrics["validation_f1_micro"]
    found = config.task.metrics(predictions.probabilities, predictions.target, predictions.groups)
    assert {f"validation_{k}": pytest.approx(v) for k, v in found.items()} == {
        k: v for k, v in bundle.metrics.items() if k != "epoch"
    }
    answers = predict_split(bundle.network, config.task, batches, "validation")
    assert np.abs(answers - predictions.probabilities).max() < 0.01  # of these weights, in other last bits


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


def test_it_agrees_wherever_it_was_killed(features: Path, tmp_path: Path) -> None:
    config = tiny_config({"optim.epochs": EPOCHS, "optim.lr": 3e-3})
    batches = toy_batches(features, config)
    whole = TrialFolder(str(tmp_path / "whole"))
    killed = as_it_was(config, batches, whole)
    improved = sum(h["improved"] for h in whole.history())
    assert improved > 1 and len(killed) >= 2 + 2 * EPOCHS + 3 * improved  # state and history; the model of the best
    torn = 0
    for folder in killed:
        state = folder.state()
        torn += state is not None and folder.kept_epoch() != state["kept"]["metrics"]["epoch"]
        with pytest.MonkeyPatch.context() as patch:
            other_last_bits(patch)
            list(run_trial(config, batches, folder))
        require_agreement(config, batches, folder)
        assert folder.ended() == {"how": "completed"}
    assert torn >= 3 * improved  # before the predictions, the weights and the description of a better epoch


def test_it_is_the_same_without_other_last_bits(features: Path, tmp_path: Path) -> None:
    config = tiny_config({"optim.epochs": EPOCHS, "optim.lr": 3e-3})
    batches, whole = toy_batches(features, config), TrialFolder(str(tmp_path / "whole"))
    killed = as_it_was(config, batches, whole)[2]  # after the first epoch's state and predictions
    assert killed.kept_epoch() is None
    list(run_trial(config, batches, killed))
    assert np.array_equal(killed.validation().probabilities, whole.validation().probabilities)
    weights, wanted = (load_bundle(f.bundle_uri).network.state_dict() for f in (killed, whole))
    assert all(torch.equal(v, wanted[k]) for k, v in weights.items())
