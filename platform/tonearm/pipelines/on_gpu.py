"""The GPUs of a cluster, as the workers of an extraction use them: clips go there and representations come back.

Each GPU has one process. Workers on CPUs decode, send it a few megabytes of clips at a time, and write what comes back:
a track is never in memory as a whole, nor are clips of several workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tonearm.audio.decode import Layout
from tonearm.core.errors import AudioError, JobError
from tonearm.core.threads import keep_memory, thread_environment
from tonearm.core.types import Waveform
from tonearm.features.base import Representation
from tonearm.features.computed import ComputedClip

Clips = Sequence[Mapping[Layout, Waveform]]
#: Of clips and representations the results, for a clip of which none can be computed why; and CPU seconds.
Results = tuple[list[list[ComputedClip] | AudioError], float]
BatchCompute = Callable[[Clips, Sequence[Representation]], Results]


class GpuWorker:
    """Computes representations of batches of clips on one torch device."""

    def __init__(self, device: str) -> None:
        keep_memory()
        self.device = device

    def node(self) -> str:
        """The node that it runs on."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def compute(self, clips: Clips, features: Sequence[Representation]) -> Results:
        """A :data:`BatchCompute`; a batch that is too large for the device, or of which a clip fails, is halved until
        what fails is alone."""
        import torch

        from tonearm.features.batched import extract_batch

        started = time.process_time()
        try:
            return list(extract_batch(clips, features, self.device)), time.process_time() - started
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            failed = AudioError("out_of_memory", "a clip does not fit into the memory of the GPU")
        except MemoryError as error:
            failed = AudioError("out_of_memory", str(error) or "a clip does not fit into memory")
        except AudioError as error:
            failed = error
        if len(clips) == 1:
            return [failed], time.process_time() - started
        half = len(clips) // 2
        (first, before), (second, after) = self.compute(clips[:half], features), self.compute(clips[half:], features)
        return first + second, before + after


class GpuPool:
    """A :data:`BatchCompute` that sends clips to a GPU: of the worker's own node, if there is one."""

    def __init__(self, workers: Sequence[tuple[str, Any]]) -> None:
        self._workers = tuple(workers)
        self._calls = 0

    def __call__(self, clips: Clips, features: Sequence[Representation]) -> Results:
        import ray

        here = ray.get_runtime_context().get_node_id()
        near = [worker for node, worker in self._workers if node == here] or [worker for _, worker in self._workers]
        self._calls += 1
        result: Results = ray.get(near[self._calls % len(near)].compute.remote(list(clips), list(features)))
        return result


@contextmanager
def gpu_pool(device: str, gpus_each: float = 1.0) -> Iterator[GpuPool]:
    """A process on each GPU of the cluster, for as long as the block lasts.

    Parameters
    ----------
    device
        Of torch, in each of these processes.
    gpus_each
        GPUs a process; 0: one process without a GPU, for a device that is none.

    Raises
    ------
    JobError
        If the cluster has no GPU.
    """
    import ray

    found = float(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
    if gpus_each and found < gpus_each:
        raise JobError(f"the cluster has {found:g} GPUs: use device cpu, or start Ray where one is")
    actor: Any = ray.remote(GpuWorker)
    options = {"num_cpus": 0, "num_gpus": gpus_each, "max_restarts": -1, "max_task_retries": 2,
               "runtime_env": {"env_vars": thread_environment()}}  # fmt: skip
    workers = [actor.options(**options).remote(device) for _ in range(int(found / gpus_each) if gpus_each else 1)]
    try:
        yield GpuPool([(ray.get(worker.node.remote()), worker) for worker in workers])
    finally:
        for worker in workers:
            ray.kill(worker)
