"""Optimisers, schedules, and rounds at lower rates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from tonearm.core.config import Config
from tonearm.models.base import Network
from tonearm.training.row_adam import RowAdam


class Round(Config):
    """A further round of training, from the best weights of the one before.

    Attributes
    ----------
    lr
        Learning rate, > 0.
    batch_size, patience
        None: as in the first round.
    """

    lr: float
    batch_size: int | None = None
    patience: int | None = None

    def problems(self) -> list[str]:
        found = [] if 0 < self.lr < 10 else [f"a round's lr is {self.lr}: it must be positive and below 10"]
        return found + [
            f"a round's {name} is {value}: it must be at least 1, or None for the first round's"
            for name, value in (("batch_size", self.batch_size), ("patience", self.patience))
            if value is not None and value < 1
        ]


class OptimConfig(Config):
    """How weights are changed, how fast, and for how long.

    Attributes
    ----------
    lr
        Learning rate, > 0.
    batch_size
        Examples that are put through the network at once.
    epochs
        The most epochs of a round.
    patience
        Epochs without a better one (by the primary metric, of equals by the tie breaker) before a round stops itself;
        the best epoch's weights are kept.
    optimizer
        ``"adam"`` (with ``weight_decay`` as an L2 penalty), ``"adamw"`` (decoupled) or ``"sgd"`` (Nesterov momentum).
        Of a table of artists a step of the first two costs as much as the rows that its batch reads
        (:class:`tonearm.training.row_adam.RowAdam`); one of SGD changes the whole table.
    momentum
        Of SGD, 0 <= momentum < 1.
    schedule
        ``"constant"``; ``"cosine"`` from ``lr`` to zero over the epochs, a step at a time; ``"exponential"`` and
        ``"staircase"`` halve the rate every ``halve_every`` epochs, smoothly or at once; ``"plateau"`` halves it after
        ``plateau`` epochs without a better primary metric.
    weight_decay
        >= 0.
    clip_norm
        The gradient's norm is limited to it; None does not limit.
    accumulate
        Batches whose gradients are added up for one step: the effective batch is ``batch_size * accumulate``.
    precision
        ``"float32"`` is that, also on a GPU; ``"tf32"`` (on a GPU only) multiplies with 10 bits of mantissa.
        ``"bfloat16"`` and ``"float16"`` (on a GPU only, with loss scaling) compute in mixed precision. On a CPU with
        AVX-512 a step in bfloat16 took 0.4 to 0.67 of the time for Simple, 0.5 for Spec2d, 0.5 to 0.8 for temporal
        pooling and the recurrent networks, but 1.5 to 6 times as long for Time and Freq, whose fast execution is in
        float32 (``make bench NAME=training ARGS=--variants``).
    sampling
        ``"balanced"`` draws training examples so that each class comes equally often, with replacement; ``"all"``
        takes every track as often as any other.
    rounds
        Further rounds, each at a rate of its own.
    """

    lr: float = 1e-3
    batch_size: int = 8
    epochs: int = 18
    patience: int = 20
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    momentum: float = 0.9
    schedule: Literal["constant", "cosine", "exponential", "staircase", "plateau"] = "constant"
    halve_every: float = 5.0
    plateau: int = 3
    weight_decay: float = 0.0
    clip_norm: float | None = None
    accumulate: int = 1
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
    sampling: Literal["all", "balanced"] = "all"
    rounds: tuple[Round, ...] = ()

    def problems(self) -> list[str]:
        found = []
        if not 0 < self.lr < 10:
            found.append(f"optim.lr is {self.lr}: it must be positive and below 10")
        if self.batch_size < 1:
            found.append(f"optim.batch_size is {self.batch_size}: a batch has at least one example")
        if self.epochs < 1 or self.patience < 1:
            found.append(f"optim.epochs {self.epochs} and optim.patience {self.patience} must be at least 1")
        if not 0 <= self.weight_decay < 10:
            found.append(f"optim.weight_decay is {self.weight_decay}: it must be at least 0 and below 10")
        if not 0 <= self.momentum < 1:
            found.append(f"optim.momentum is {self.momentum}: it must be at least 0 and below 1")
        if not self.halve_every > 0 or self.plateau < 1:
            found.append(f"optim.halve_every {self.halve_every} and optim.plateau {self.plateau} must be positive")
        if self.clip_norm is not None and not self.clip_norm > 0:
            found.append(f"optim.clip_norm is {self.clip_norm}: it must be positive, or None for no limit")
        if self.accumulate < 1:
            found.append(f"optim.accumulate is {self.accumulate}: at least one batch makes a step")
        return found

    def all_rounds(self) -> list[Round]:
        """The first round and the further ones, with nothing left open."""
        return [
            Round(lr=r.lr, batch_size=r.batch_size or self.batch_size, patience=r.patience or self.patience)
            for r in (Round(lr=self.lr), *self.rounds)
        ]

    @property
    def smallest_batch(self) -> int:
        """Examples of a batch in the round whose batches are smallest."""
        return min(r.batch_size or self.batch_size for r in self.all_rounds())

    @property
    def max_epochs(self) -> int:
        """Epochs of all rounds, if none stops early."""
        return self.epochs * (1 + len(self.rounds))


def build_optimizer(model: torch.nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser of all trainable parameters; the fused forms update them in one pass over memory.

    Of a network with :meth:`~tonearm.models.base.Network.row_tables` it is a :class:`RowAdam`, before whose weights are
    read :func:`settle` is due.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    tables = [t for t in model.row_tables() if t.weight.requires_grad] if isinstance(model, Network) else []
    if config.optimizer == "sgd":
        for table in tables:
            table.sparse = False
        nesterov = config.momentum > 0
        return torch.optim.SGD(
            parameters, lr=config.lr, momentum=config.momentum, nesterov=nesterov, weight_decay=config.weight_decay
        )
    if tables:
        return RowAdam(parameters, tables, config.lr, config.weight_decay, decoupled=config.optimizer == "adamw")
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def settle(optimizer: torch.optim.Optimizer) -> None:
    """Carry out what an optimiser has put off, so that the weights are what all its steps made them."""
    if isinstance(optimizer, RowAdam):
        optimizer.catch_up()


def limit_norm(model: torch.nn.Module, most: float) -> None:
    """Scale the gradient down to a norm of ``most``, if it is longer."""
    for p in model.parameters():
        if p.grad is not None and p.grad.is_sparse:
            p.grad = p.grad.coalesce()  # the norm is of sums: a batch may read a row several times
    found = [p.grad for p in model.parameters() if p.grad is not None]
    gradients = [g.values() if g.is_sparse else g for g in found]
    share = torch.clamp(most / (torch.nn.utils.get_total_norm(gradients) + 1e-6), max=1.0)
    for gradient in gradients:
        gradient.mul_(share)


@dataclass
class Schedule:
    """The learning rate of every step.

    Attributes
    ----------
    factor
        By which plateaus have lowered the rate.
    waited
        Epochs since the last better one, or since the rate was lowered.
    """

    config: OptimConfig
    factor: float = 1.0
    waited: int = 0

    def rate(self, base: float, step: int, steps_per_epoch: int) -> float:
        """The rate of a round's step (from 0), of ``base``, the round's own."""
        epochs = step / max(1, steps_per_epoch)
        if self.config.schedule == "cosine":
            return base * 0.5 * (1 + math.cos(math.pi * min(1.0, epochs / self.config.epochs)))
        if self.config.schedule == "exponential":
            return float(base * 0.5 ** (epochs / self.config.halve_every))
        if self.config.schedule == "staircase":
            return float(base * 0.5 ** math.floor(epochs / self.config.halve_every + 1e-9))
        return base * self.factor

    def end_epoch(self, improved: bool) -> None:
        """Note how an epoch ended."""
        self.waited = 0 if improved else self.waited + 1
        if self.config.schedule == "plateau" and self.waited >= self.config.plateau:
            self.factor, self.waited = self.factor / 2, 0
