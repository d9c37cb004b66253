"""Run stateful workers on Ray Data actor pools: single-threaded actors, one result an item."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray.data

from tonearm.core.log_lines import log_variables
from tonearm.core.threads import thread_environment


@dataclass(frozen=True)
class WorkerStage:
    """One kind of worker.

    Attributes
    ----------
    worker
        A class whose ``__call__`` takes and returns a dict of columns, as Ray Data's ``map_batches`` has it.
    arguments
        Of its constructor.
    batch_size
        Items a call.
    """

    worker: type[Any]
    arguments: dict[str, Any]
    batch_size: int


def run_workers(items: Sequence[dict[str, Any]], stage: WorkerStage) -> Iterator[dict[str, Any]]:
    """Send items to as many workers as the cluster has CPUs, and yield their results as they come.

    Large arrays must not travel: a worker writes its own files and returns small values. A worker that dies is
    started again and its batch repeated.

    Parameters
    ----------
    items
        Flat dicts of small values, all with the same keys.
    """
    cluster: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus = max(1, int(cluster["CPU"]))
    blocks = -(-len(items) // stage.batch_size)
    with quiet_ray_data():
        dataset: Any = ray.data.from_items(list(items), override_num_blocks=blocks).map_batches(
            stage.worker,
            fn_constructor_kwargs=stage.arguments,
            batch_size=stage.batch_size,
            compute=ray.data.ActorPoolStrategy(size=max(1, min(cpus, blocks))),
            num_cpus=1,
            runtime_env={"env_vars": {**thread_environment(), **log_variables()}},
        )
        yield from dataset.iter_rows()


@contextmanager
def quiet_ray_data() -> Iterator[None]:
    """Let Ray Data say nothing, for as long as we work: its errors are raised, too. A notebook may use it for work of
    its own."""
    logger, context = logging.getLogger("ray.data"), ray.data.DataContext.get_current()
    before = logger.level, context.enable_progress_bars, context.print_on_execution_start
    wrapped = context.raise_original_map_exception
    logger.setLevel(logging.CRITICAL)
    context.enable_progress_bars = False  # we show our own, which knows the work
    context.print_on_execution_start = False
    context.raise_original_map_exception = True  # else a worker's own words are lost on their way here
    try:
        yield
    finally:
        logger.setLevel(before[0])
        context.enable_progress_bars, context.print_on_execution_start = before[1:]
        context.raise_original_map_exception = wrapped
