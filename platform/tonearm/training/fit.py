"""The loop: one generator, an item an epoch. No Ray, no MLflow; whoever drives it reports and stops."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tonearm.core.errors import TrainingError
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.models.base import Network, in_chunks
from tonearm.tasks.base import Task
from tonearm.training.batches import Batch, Batches
from tonearm.training.config import OptimConfig
from tonearm.training.optim import build_optimizer, learning_rate

State = dict[str, Any]


@dataclass(frozen=True)
class EpochReport:
    """What one epoch came to.

    Attributes
    ----------
    epoch
        From 1.
    metrics
        ``train_loss``, ``validation_...``, ``lr``, ``epoch_seconds``.
    improved
        Whether this is the best epoch so far; the network then holds the weights to keep.
    predictions
        Track predictions on the validation split (tracks, outputs).
    state
        All that is needed to go on exactly from here.
    """

    epoch: int
    metrics: dict[str, float]
    improved: bool
    predictions: FloatArray
    state: State


def predict_split(model: Network, task: Task, windows: Iterator[torch.Tensor]) -> FloatArray:
    """Track predictions (tracks, outputs) from each track's windows."""
    model.eval()
    with torch.inference_mode():
        return np.stack([task.pool(in_chunks(model, w).numpy()) for w in windows])


def fit(
    model: Network,
    task: Task,
    batches: Batches,
    optim: OptimConfig,
    seed: int = 0,
    state: State | None = None,
) -> Iterator[EpochReport]:
    """Train, reporting after every epoch; stops by itself after ``optim.epochs``, or ``optim.patience`` without gain.

    Parameters
    ----------
    state
        Of an earlier report: training goes on behind it and gives the same losses as if it had never stopped.

    Raises
    ------
    TrainingError
        On a non-finite loss, naming step, learning rate and tracks.
    """
    optimizer = build_optimizer(model, optim)
    first, best, best_epoch = 1, None, 0
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first, best, best_epoch = state["epoch"] + 1, state["best"], state["best_epoch"]
    total = batches.steps_per_epoch * optim.epochs
    target = batches.targets("validation")
    for epoch in range(first, optim.epochs + 1):
        if epoch - best_epoch > optim.patience:
            return
        started = time.monotonic()
        torch.manual_seed(derive_seed("dropout", seed, epoch))  # chance depends on the epoch, not on what came before
        loss = _train_epoch(model, task, batches, optim, optimizer, epoch, total)
        predictions = predict_split(model, task, batches.windows("validation"))
        scores = task.metrics(predictions, target)
        improved = task.better(scores, best)
        if improved:
            best, best_epoch = scores, epoch
        yield EpochReport(
            epoch,
            {
                "train_loss": loss,
                **{f"validation_{k}": v for k, v in scores.items()},
                "lr": optimizer.param_groups[0]["lr"],
                "epoch_seconds": time.monotonic() - started,
            },
            improved,
            predictions,
            copy.deepcopy(
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "epoch": epoch,
                    "best": best,
                    "best_epoch": best_epoch,
                }
            ),
        )


def batch_loss(task: Task, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The task's mean loss; of a mixed batch the losses against both targets, weighted as the inputs were mixed.

    Weighted losses, not weighted targets: so it holds for any task's loss (Zhang et al. 2018; the same number for
    cross-entropy, which is linear in its targets).
    """
    loss = task.loss(logits, batch.targets)
    if batch.mixed_targets is None:
        return loss
    return batch.mix * loss + (1 - batch.mix) * task.loss(logits, batch.mixed_targets)


def _train_epoch(
    model: Network,
    task: Task,
    batches: Batches,
    optim: OptimConfig,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    total: int,
) -> float:
    model.train()
    losses, examples = 0.0, 0
    for i, batch in enumerate(batches.train(epoch)):
        step = (epoch - 1) * batches.steps_per_epoch + i
        rate = learning_rate(optim, step, total)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        loss = batch_loss(task, model(batch.inputs), batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {step} of epoch {epoch}, learning rate {rate:g}, tracks "
                f"{', '.join(batch.track_ids[:8])}: lower the rate, or look at these tracks"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses += value * len(batch.track_ids)
        examples += len(batch.track_ids)
    return losses / examples
