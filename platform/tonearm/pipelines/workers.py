"""Run stages of stateful workers on Ray Data actor pools: single-threaded actors, one result an item."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray.data

from tonearm.core.errors import JobError
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
    num_gpus
        GPUs a worker; such a stage has as many workers as the cluster has GPUs, others as many as it has CPUs.
    """

    worker: type[Any]
    arguments: dict[str, Any]
    batch_size: int
    num_gpus: float = 0.0


def run_worker_stages(items: Sequence[dict[str, Any]], stages: Sequence[WorkerStage]) -> Iterator[dict[str, Any]]:
    """Send items through the stages and yield the last one's results as they come.

    Large arrays must not travel: a worker writes its own files and returns small values. A worker that dies is
    started again and its batch repeated.

    Parameters
    ----------
    items
        Flat dicts of small values, all with the same keys.

    Raises
    ------
    JobError
        If a stage needs a GPU and the cluster has none.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # we show our own, which knows the work
    context.print_on_execution_start = False
    cluster: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    on_gpus = [s for s in stages if s.num_gpus]
    if on_gpus and cluster.get("GPU", 0) < on_gpus[0].num_gpus:
        raise JobError(f"the cluster has {cluster.get('GPU', 0):g} GPUs: use device cpu, or start Ray where one is")
    cpus = max(1, int(cluster["CPU"]))
    blocks = -(-len(items) // stages[0].batch_size)
    dataset: Any = ray.data.from_items(list(items), override_num_blocks=blocks)
    for stage in stages:
        most = int(cluster["GPU"] / stage.num_gpus) if stage.num_gpus else cpus
        if len(stages) > 1 and not stage.num_gpus:
            most = max(1, cpus // len([s for s in stages if not s.num_gpus]))  # each stage needs workers of its own
        dataset = dataset.map_batches(
            stage.worker,
            fn_constructor_kwargs=stage.arguments,
            batch_size=stage.batch_size,
            compute=ray.data.ActorPoolStrategy(size=max(1, min(most, blocks))),
            num_cpus=0 if stage.num_gpus else 1,
            num_gpus=stage.num_gpus or None,
            runtime_env={"env_vars": thread_environment()},
        )
    yield from dataset.iter_rows()
