"""The losses of an epoch's batches: what each is, their mean, and that all are finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tonearm.core.errors import TrainingError
from tonearm.core.precision import is_gpu
from tonearm.tasks.base import Task
from tonearm.training.batches import Batch


def losses_at_once(device: str) -> int:
    """Batches whose losses are looked at together: to look at a GPU's is to wait until it has computed them."""
    return 32 if is_gpu(device) else 1


def batch_loss(task: Task, logits: torch.Tensor, batch: Batch, weights: torch.Tensor | None = None) -> torch.Tensor:
    """The task's mean loss; of a mixed batch the losses against both targets, weighted as the inputs were mixed.

    Weighted losses, not weighted targets: so it holds for any task's loss (Zhang et al. 2018; the same number for
    cross-entropy, which is linear in its targets).
    """
    loss = task.loss(logits, batch.targets.to(logits.device, non_blocking=True), weights)
    if batch.mixed_targets is None:
        return loss
    mixed = batch.mixed_targets.to(logits.device, non_blocking=True)
    return batch.mix * loss + (1 - batch.mix) * task.loss(logits, mixed, weights)


@dataclass(frozen=True)
class _BatchLoss:
    """Of a batch, where it was computed: its loss, without and with the penalty, and what an error names."""

    loss: torch.Tensor
    total: torch.Tensor
    track_ids: Sequence[str]
    step: int
    rate: float


class LossSum:
    """Adds up the losses of an epoch.

    Parameters
    ----------
    at_once
        Losses that are looked at together.
    """

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._unseen: list[_BatchLoss] = []
        self._last_ids: Sequence[str] = ()
        self._epoch, self._sum, self._examples = 0, 0.0, 0

    def begin(self, epoch: int) -> None:
        """A new epoch."""
        self._epoch, self._sum, self._examples = epoch, 0.0, 0

    def add(self, loss: torch.Tensor, total: torch.Tensor, track_ids: Sequence[str], step: int, rate: float) -> None:
        """Note a batch's mean loss (a scalar), and the same with the network's penalty.

        Raises
        ------
        TrainingError
            If one that is looked at now is not finite.
        """
        self._unseen.append(_BatchLoss(loss, total, track_ids, step, rate))
        if len(self._unseen) == self.at_once:
            self._look()

    def mean(self) -> float:
        """The mean loss of the epoch's examples; raises as :meth:`add` does."""
        self._look()
        return self._sum / self._examples

    def _look(self) -> None:
        unseen, self._unseen = self._unseen, []
        if not unseen:
            return
        losses = torch.stack([u.loss for u in unseen]).tolist()
        totals = torch.stack([u.total for u in unseen]).tolist()
        for seen, loss, total in zip(unseen, losses, totals, strict=True):
            if not math.isfinite(total):
                raise self.diverged(f"the loss is {loss}", seen.track_ids, seen.step, seen.rate)
            self._last_ids = seen.track_ids
            self._sum += loss * len(seen.track_ids)
            self._examples += len(seen.track_ids)

    def diverged(self, what: str, track_ids: Sequence[str], step: int, rate: float) -> TrainingError:
        """The error that names step, rate and tracks; the step before may be the one that spoilt the weights."""
        before = ""
        if self._last_ids and self._last_ids is not track_ids:
            before = f"; of the step before {', '.join(self._last_ids)}"
        return TrainingError(
            f"{what} at step {step} of epoch {self._epoch} (counted in its round), learning rate {rate:g}, "
            f"tracks {', '.join(track_ids)}{before}: lower the rate, or look at these tracks"
        )
