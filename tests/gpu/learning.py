"""The real loop on the card: every precision learns, a stopped training goes on, and who waits for whom."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from tests.gpu.data import data_set
from tests.gpu.device import Sizes, seconds_of, synchronize
from tests.gpu.report import Report
from tonearm.core.precision import float32_products, is_gpu
from tonearm.models import ModelConfig
from tonearm.training import fit as fit_module
from tonearm.training.batches import Batches
from tonearm.training.bundle import build_network
from tonearm.training.fit import EpochReport, State, fit
from tonearm.training.logits import on_device
from tonearm.training.losses import batch_loss
from tonearm.training.optim import build_optimizer
from tonearm.training.prefetch import pinned_batch, prefetched

RESUMED = 1e-3  # of the loss, relatively, where a card does not add up in one order even if it is told to


def train(batches: Batches, device: str, state: State | None = None) -> Iterator[EpochReport]:
    """The trial, from the same first weights each time."""
    torch.manual_seed(3)
    config = batches.config
    return fit(build_network(config, len(batches.classes)), config.task, batches, config.optim, 0, state, device)


def precisions(report: Report, device: str, sizes: Sizes) -> None:
    """Three epochs in each precision: the loss falls and stays finite (the loop refuses any other)."""
    for precision in report.in_time(("float32", "bfloat16", *(("tf32", "float16") if is_gpu(device) else ()))):
        with report.row(precision):
            changes = {"optim.precision": precision, "optim.epochs": 3, "optim.lr": 3e-3}
            batches = data_set(sizes.loops[0], sizes, **changes)
            losses = [r.metrics["train_loss"] for r in train(batches, device)]
            text = "train loss " + ", ".join(f"{x:.3f}" for x in losses)
            report.add(precision, "ok" if losses[-1] < losses[0] else "FAILED", text, losses=losses)
    if not is_gpu(device):
        for precision in ("tf32", "float16"):
            report.add(precision, "not run", "a CPU has none")


@contextmanager
def in_one_order() -> Iterator[None]:
    """Sums are made in the same order each time, which a card does not do by itself."""
    cudnn, before = torch.backends.cudnn.deterministic, torch.are_deterministic_algorithms_enabled()
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = cudnn
        torch.use_deterministic_algorithms(before)


def resume(report: Report, device: str, sizes: Sizes) -> None:
    """Three epochs in one go, and one, then two more from its state as a file holds it: the same numbers, where two
    trainings in one go have the same. How far two of them are apart as a card sums by itself is told, too."""
    with report.row("resume"):
        changes = {"optim.epochs": 3, "model.dropout": 0.3, "augment.time_masks": 1}
        batches = data_set(sizes.loops[0], sizes, **changes)
        free = _apart(_losses(train(batches, device)), _losses(train(batches, device)))
        with in_one_order():
            whole, same = _losses(train(batches, device)), _losses(train(batches, device))
            buffer = io.BytesIO()
            torch.save(next(train(batches, device)).state, buffer)
            buffer.seek(0)
            state = torch.load(buffer, "cpu", weights_only=True)
            again = _losses(train(batches, device, state))
        allowed = 0.0 if same == whole else RESUMED
        report.check("resume", _apart(again, whole[1:]), allowed, two_in_one_go=free)


def _losses(reports: Iterable[EpochReport]) -> list[float]:
    return [r.metrics["train_loss"] for r in reports]


def _apart(ours: list[float], wanted: list[float]) -> float:
    """The largest difference, relatively."""
    return max(abs(a - b) / b for a, b in zip(ours, wanted, strict=True))


@dataclass
class Waited:
    """Of the training steps of an epoch: their seconds, and in how many of these the loop waited for batches."""

    whole: float
    waiting: float
    steps: int


@contextmanager
def watched(device: str, in_thread: bool) -> Iterator[list[Waited]]:
    """Look at how the loop takes its batches, made in a thread or when asked for: of each epoch what it took."""
    found: list[Waited] = []
    real = fit_module.prefetched

    def watch(items: Iterable[Any], place: str, pin: Callable[[Any], Any]) -> Iterator[Any]:
        source = real(items, place, pin) if in_thread else iter(items)
        started, waiting, steps = time.perf_counter(), 0.0, 0
        while True:
            asked = time.perf_counter()
            try:
                item = next(source)
            except StopIteration:
                synchronize(device)
                found.append(Waited(time.perf_counter() - started, waiting, steps))
                return
            waiting += time.perf_counter() - asked
            steps += 1
            yield item

    fit_module.prefetched = watch  # type: ignore[assignment]
    try:
        yield found
    finally:
        fit_module.prefetched = real


def waiting(report: Report, device: str, sizes: Sizes) -> None:
    """The real loop's steps against the same steps on a batch that is there already.

    The share of time that the card waits is 1 - (seconds of steps on one batch) / (seconds of the loop's steps).
    """
    augmented = {"augment.time_masks": 2, "augment.freq_masks": 2, "augment.mixup_alpha": 0.3}
    ways: list[tuple[ModelConfig, int, dict[str, object]]] = [
        (model, batch, more) for more in ({}, augmented) for batch in (8, 32) for model in sizes.loops
    ]

    def title(way: tuple[ModelConfig, int, dict[str, object]]) -> str:
        return f"{way[0].kind}, batch {way[1]}{', augmented' if way[2] else ''}"

    for model, batch, more in report.in_time(ways, title):
        name = title((model, batch, more))
        with report.row(name):
            changes = {"optim.epochs": 2, "optim.batch_size": batch, **more}
            batches = data_set(model, sizes, **changes)
            with float32_products():  # as the loop computes
                computing = seconds_of(step_on(batches, device), device, sizes.steps, sizes.repetitions)
            values: dict[str, float] = {"step_ms": computing * 1e3}
            for way, in_thread in (("thread", True), ("loop", False)):
                with watched(device, in_thread) as epochs:
                    deque(train(batches, device), maxlen=0)
                seen = epochs[-1]  # the first one loads kernels
                values[f"{way}_step_ms"] = seen.whole / seen.steps * 1e3
                values[f"{way}_waits"] = max(0.0, 1 - computing * seen.steps / seen.whole)
                values[f"{way}_host_waits"] = seen.waiting / seen.whole
            text = (
                f"waits {values['thread_waits']:.0%} of the time ({values['loop_waits']:.0%} if batches were made in "
                f"the loop); step {values['step_ms']:.2f} ms, with data {values['thread_step_ms']:.2f} ms"
            )
            report.add(name, "measured", text, **{k: round(v, 4) for k, v in values.items()})


def step_on(batches: Batches, device: str) -> Callable[[], None]:
    """A training step on one batch that is on the device."""
    config = batches.config
    network = build_network(config, len(batches.classes)).to(device).train()
    optimizer = build_optimizer(network, config.optim)
    batch = next(iter(prefetched(batches.train(1), device, pinned_batch)))
    inputs = on_device(batch.inputs, device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        batch_loss(config.task, network(inputs), batch).backward()
        optimizer.step()

    return step
