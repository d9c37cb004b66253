"""How work is spread over Ray Data's workers: one pool of single-threaded actors, one answer an item."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import ray.data

from tonearm.core.threads import thread_environment


def map_on_workers(
    items: Sequence[dict[str, Any]],
    worker: type[Any],
    arguments: dict[str, Any],
    batch_size: int,
    num_gpus: float = 0.0,
) -> Iterator[dict[str, Any]]:
    """Send items in batches to actors and give back their answers as they come.

    Large arrays must not travel: a worker writes its own files and answers with small values.

    Parameters
    ----------
    items
        Flat dicts of small values, all with the same keys.
    worker
        A class whose ``__call__`` takes and returns a dict of columns, as Ray Data's ``map_batches`` has it.
    arguments
        Of its constructor.
    batch_size
        Items a call.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # we show our own, which knows the work
    context.print_on_execution_start = False
    cluster: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    workers = max(1, min(int(cluster["CPU"]), -(-len(items) // batch_size)))
    dataset = ray.data.from_items(list(items), override_num_blocks=-(-len(items) // batch_size)).map_batches(
        worker,
        fn_constructor_kwargs=arguments,
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=num_gpus or None,
        runtime_env={"env_vars": thread_environment()},
    )
    yield from dataset.iter_rows()
