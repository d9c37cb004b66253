"""The loop: one generator, an item an epoch. No Ray, no MLflow; whoever drives it reports and stops."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import torch

from tonearm.core.errors import ConfigError, TrainingError
from tonearm.core.metrics import EPOCH_SECONDS, EPOCHS
from tonearm.core.precision import float32_products, is_gpu
from tonearm.core.seeding import derive_seed
from tonearm.models.base import Network
from tonearm.tasks.base import Task
from tonearm.training.batches import Batch, Examples
from tonearm.training.closed_form import solve, solved
from tonearm.training.epochs import EpochReport, State
from tonearm.training.logits import on_device, predict_split, windows_at_once
from tonearm.training.losses import LossSum, batch_loss, losses_at_once
from tonearm.training.optim import OptimConfig, Round, Schedule, build_optimizer, limit_norm, settle
from tonearm.training.prefetch import pinned_batch, prefetched


@dataclass
class _TrainingProgress:
    """Where the training is: what a resumed one begins with."""

    epoch: int = 0
    round: int = 0
    epoch_of_round: int = 0
    waited: int = 0
    best: dict[str, float] | None = None


def fit(
    model: Network,
    task: Task,
    examples: Examples,
    optim: OptimConfig,
    seed: int = 0,
    state: State | None = None,
    device: str = "cpu",
) -> Iterator[EpochReport]:
    """Train, reporting after every epoch; when the last round has ended, the network holds the best epoch's weights.

    A round ends after ``optim.epochs`` epochs, or ``optim.patience`` of them without gain; the next one begins with the
    best weights so far and an optimiser of its own. A network that is solved (a mean kernel), or that has no weight to
    learn, has a single epoch.

    Parameters
    ----------
    state
        Of an earlier report: training goes on behind it and gives the same losses as if it had never stopped.
    device
        Where the network is put.

    Raises
    ------
    ConfigError
        If the precision or the batch size cannot work for this device or network.
    TrainingError
        On a non-finite loss, naming step, learning rate and tracks.
    """
    for report in _reports(model, task, examples, optim, seed, state, device):
        EPOCHS.add()
        EPOCH_SECONDS.add(report.metrics["epoch_seconds"])
        yield report


def _reports(
    model: Network, task: Task, examples: Examples, optim: OptimConfig, seed: int, state: State | None, device: str
) -> Iterator[EpochReport]:
    if solved(model):
        yield from solve(model, task, examples, seed, state, device)
        model.eval()
        return
    if not any(p.requires_grad for p in model.parameters()):
        yield from _judged(model.to(device), task, examples, optim, state, device)
        return
    loop = _TrainingLoop(model, task, examples, optim, seed, device)
    if state is not None:
        loop.restore(state)
    yield from loop.run()
    model.load_state_dict(loop.best_weights)
    model.eval()


class _TrainingLoop:
    """One call of :func:`fit`."""

    def __init__(
        self, model: Network, task: Task, examples: Examples, optim: OptimConfig, seed: int, device: str
    ) -> None:
        self.model, self.task, self.examples, self.optim = model.to(device), task, examples, optim
        self.seed, self.device = seed, device
        self.rounds = optim.all_rounds()
        self.least = _fewest_examples(model, optim, device)
        self.optimizer, self.schedule = build_optimizer(model, optim), Schedule(optim)
        self.scaler = torch.amp.grad_scaler.GradScaler(torch.device(device).type, enabled=optim.precision == "float16")
        self.progress = _TrainingProgress()
        self.losses = LossSum(losses_at_once(device))
        self.best_weights = copy.deepcopy(model.state_dict())
        weights = task.weights(examples.targets("train"), len(examples.classes))
        self.weights = weights if weights is None else weights.to(device)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to where an earlier training was."""
        self.model.load_state_dict(state["model"])
        own = [{k: g[k] for k in g if k != "params"} for g in self.optimizer.param_groups]
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))  # which keeps the tensors and steps in them
        for group, settings in zip(self.optimizer.param_groups, own, strict=True):
            group.update(settings)  # of this config: a trial that goes on from another may decay otherwise
        self.scaler.load_state_dict(state["scaler"])
        self.progress = _TrainingProgress(**state["progress"])
        self.schedule = Schedule(self.optim, **state["schedule"])
        self.best_weights = state["best_weights"]

    def state(self, weights: Mapping[str, torch.Tensor]) -> State:
        """All that is needed to come back here, with a copy of the weights; nothing in it changes later.

        The best epoch's weights are its own: kept, and written to a file, once.
        """
        return {
            "model": weights,
            "optimizer": _kept(self.optimizer.state_dict()),
            "scaler": self.scaler.state_dict(),
            "progress": {**asdict(self.progress), "best": dict(self.progress.best or {}) or None},
            "schedule": {"factor": self.schedule.factor, "waited": self.schedule.waited},
            "best_weights": self.best_weights,
        }

    def run(self) -> Iterator[EpochReport]:
        at = self.progress
        while at.round < len(self.rounds):
            this = self.rounds[at.round]
            while at.epoch_of_round < self.optim.epochs and at.waited < (this.patience or self.optim.patience):
                yield self._epoch(this)
            at.round, at.epoch_of_round, at.waited = at.round + 1, 0, 0
            if at.round < len(self.rounds):
                self.model.load_state_dict(self.best_weights)
                self.optimizer, self.schedule = build_optimizer(self.model, self.optim), Schedule(self.optim)

    def _epoch(self, this: Round) -> EpochReport:
        at, started = self.progress, time.monotonic()
        at.epoch += 1
        # Chance depends on the epoch, not on what came before it.
        torch.manual_seed(derive_seed("dropout", self.seed, at.epoch))
        with float32_products(tf32=self.optim.precision == "tf32"):
            loss = self._train(this)
        at_once = windows_at_once(self.optim, self.device)
        predictions = predict_split(self.model, self.task, self.examples, "validation", self.device, at_once)
        scores = self.task.metrics(predictions, self.examples.targets("validation"), self.examples.groups("validation"))
        improved = self.task.better(scores, at.best)
        weights = _kept(self.model.state_dict())
        if improved:
            at.best, self.best_weights = scores, weights
        at.epoch_of_round += 1
        at.waited = 0 if improved else at.waited + 1
        self.schedule.end_epoch(improved)
        metrics = {
            "train_loss": loss,
            **{f"validation_{k}": v for k, v in scores.items()},
            "lr": self.optimizer.param_groups[0]["lr"],
            "round": float(at.round),
            "epoch_seconds": time.monotonic() - started,
        }
        return EpochReport(at.epoch, metrics, improved, predictions, self.state(weights))

    def _train(self, this: Round) -> float:
        self.model.train()
        size = this.batch_size or self.optim.batch_size
        batches = self.examples.steps(size, self.least)
        if not batches:
            raise TrainingError(
                f"no training batch: batches of {size} with at least {self.least} example(s) cannot be made of the "
                "training split: give it more tracks"
            )
        steps = math.ceil(batches / self.optim.accumulate)
        self.losses.begin(self.progress.epoch)
        examples = 0  # of the step that is being collected
        first = self.progress.epoch_of_round * steps
        made = self.examples.train(self.progress.epoch, size, self.least)
        with closing(prefetched(made, self.device, pinned_batch)) as prepared:
            for i, batch in enumerate(prepared):
                step = first + i // self.optim.accumulate
                if i % self.optim.accumulate == 0:
                    rate = self.schedule.rate(this.lr, step, steps)
                    for group in self.optimizer.param_groups:
                        group["lr"] = rate
                    self.optimizer.zero_grad(set_to_none=True)
                self._backward(batch, step, rate)
                examples += len(batch.track_ids)
                if (i + 1) % self.optim.accumulate == 0 or i + 1 == batches:
                    self._step(examples)
                    examples = 0
        mean = self.losses.mean()
        settle(self.optimizer)
        if not all(bool(p.isfinite().all()) for p in self.model.parameters() if p.requires_grad):
            raise self.losses.diverged("the weights are not finite after the step", batch.track_ids, step, rate)
        return mean

    def _backward(self, batch: Batch, step: int, rate: float) -> None:
        """Add a batch's gradient to those of the others that make a step."""
        mixed = MIXED_PRECISIONS.get(self.optim.precision)
        with torch.autocast(torch.device(self.device).type, mixed, mixed is not None):
            logits = self.model(on_device(batch.inputs, self.device))
        loss = batch_loss(self.task, logits.float(), batch, self.weights)
        penalty = self.model.penalty()
        total = loss if penalty is None else loss + penalty
        self.losses.add(loss.detach(), total.detach(), batch.track_ids, step, rate)
        # Of several batches a step each example counts alike, also those of a smaller last batch.
        share = len(batch.track_ids) if self.optim.accumulate > 1 else 1
        self.scaler.scale(total * share).backward()  # type: ignore[no-untyped-call]

    def _step(self, examples: int) -> None:
        """Change the weights by the gradients that were added up, of so many examples."""
        if self.optim.accumulate > 1:
            for p in self.model.parameters():
                if p.grad is not None:
                    p.grad /= examples
        if self.optim.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            limit_norm(self.model, self.optim.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()


def _judged(
    model: Network, task: Task, examples: Examples, optim: OptimConfig, state: State | None, device: str
) -> Iterator[EpochReport]:
    """The one epoch of a network whose members all are trained before: nothing changes but that it is judged; no report
    where ``state`` is of one."""
    if state is not None:
        model.load_state_dict(state["best_weights"])
        return
    started, at_once = time.monotonic(), windows_at_once(optim, device)
    trained, predictions = (predict_split(model, task, examples, s, device, at_once) for s in ("train", "validation"))
    loss = task.loss(torch.from_numpy(trained), torch.from_numpy(examples.targets("train")))
    scores = task.metrics(predictions, examples.targets("validation"), examples.groups("validation"))
    metrics = {"train_loss": float(loss), **{f"validation_{k}": v for k, v in scores.items()}, "round": 0.0,
               "epoch_seconds": time.monotonic() - started}  # fmt: skip
    weights = _kept(model.state_dict())
    yield EpochReport(1, metrics, True, predictions, {"model": weights, "best_weights": weights})


MIXED_PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def _kept(values: Any) -> Any:
    """A copy on the CPU of all tensors in nested dicts, lists and tuples: there is room for an epoch's state."""
    if isinstance(values, torch.Tensor):
        return values.detach().to("cpu", copy=True)
    if isinstance(values, Mapping):
        return {k: _kept(v) for k, v in values.items()}
    return type(values)(_kept(v) for v in values) if isinstance(values, list | tuple) else copy.deepcopy(values)


def _fewest_examples(model: Network, optim: OptimConfig, device: str) -> int:
    """Smallest batch the network can learn from; ConfigError if the settings cannot work."""
    learning = [m for m in model.modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
    normalised = any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in learning)
    least = 2 if normalised else 1
    found = []
    if optim.smallest_batch < least:
        found.append(
            f"optim.batch_size is {optim.smallest_batch}: batch normalisation cannot learn from a single example"
        )
    if optim.precision in ("float16", "tf32") and not is_gpu(device):
        instead = "bfloat16" if optim.precision == "float16" else "float32"
        found.append(f"optim.precision is {optim.precision!r} on {device}: it needs a GPU; on a CPU choose {instead!r}")
    if found:
        raise ConfigError(found)
    return least
