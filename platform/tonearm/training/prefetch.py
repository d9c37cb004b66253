"""Batches that are made beside the loop, so that a GPU does not wait for them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import torch

from tonearm.core.metrics import DATA_SECONDS, count_seconds
from tonearm.core.precision import is_gpu
from tonearm.models.base import Inputs
from tonearm.training.batches import Batch

Item = TypeVar("Item")

AHEAD = 4  # batches that wait, at most


def prefetched(items: Iterable[Item], device: str, pin: Callable[[Item], Item]) -> Generator[Item]:
    """The items in their order; for a GPU they are made in a thread and put into pinned memory, from which copies are
    asynchronous. On a CPU, which has no time to spare, they are made when they are asked for.

    How long the loop waits for them is counted. Close it (``contextlib.closing``) where a loop may fail: the thread
    ends then.
    """
    yield from count_seconds(in_thread(map(pin, items)) if is_gpu(device) else items, DATA_SECONDS)


def pinned_batch(batch: Batch) -> Batch:
    """A batch whose inputs and targets are in pinned memory."""
    mixed = None if batch.mixed_targets is None else batch.mixed_targets.pin_memory()
    return replace(batch, inputs=pinned_inputs(batch.inputs), targets=batch.targets.pin_memory(), mixed_targets=mixed)


def pinned_inputs(inputs: Inputs) -> Inputs:
    """Examples in pinned memory."""
    if isinstance(inputs, torch.Tensor):
        return inputs.pin_memory()
    return {name: values.pin_memory() for name, values in inputs.items()}


def in_thread(items: Iterable[Item], ahead: int = AHEAD) -> Generator[Item]:
    """The items in their order, made in a thread, at most ``ahead`` of them before they are taken.

    What fails in the thread is raised here. The thread ends with the items, or when the iterator is closed.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(kind: str, value: Any) -> None:
        while not stopped.is_set():
            try:
                waiting.put((kind, value), timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put("item", item)
                if stopped.is_set():
                    return
            put("end", None)
        except BaseException as error:  # whatever it is, the loop must raise it
            put("error", error)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
        thread.join()
