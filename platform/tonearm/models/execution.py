"""How kernels are run over a batch, and the memory they work in."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor


@cache
def _workers(threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)  # one a process: threads do not survive a fork


def over_batch(kernel: Callable[..., None], batch: int, *arguments: Any) -> None:
    """Call a kernel for all examples, shared among torch's threads."""
    arrays = [a.numpy() if isinstance(a, Tensor) else a for a in arguments]
    threads = min(torch.get_num_threads(), batch)
    if threads == 1:
        kernel(0, batch, *arrays)
        return
    edges = [batch * i // threads for i in range(threads + 1)]
    pool = _workers(threads, os.getpid())
    for job in [pool.submit(kernel, a, b, *arrays) for a, b in pairwise(edges)]:
        job.result()


class Workspace:
    """Memory for activations, kept from step to step: fresh pages cost more time than the arithmetic done on them.

    What is taken and not given back (a forward pass without a backward one) is freed as any tensor is.
    """

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, *shape: int) -> Tensor:
        """An uninitialised tensor; the smallest free block that holds it, or a new one."""
        cells = math.prod(shape)
        fitting = [i for i, block in enumerate(self._free) if len(block) >= cells]
        block = self._free.pop(min(fitting, key=lambda i: len(self._free[i]))) if fitting else torch.empty(cells)
        return block[:cells].view(shape)

    def give(self, *tensors: Tensor) -> None:
        """Hand back tensors that are no longer read."""
        for t in tensors:
            whole = t.untyped_storage().nbytes() // t.element_size()
            self._free.append(t.as_strided((whole,), (1,)))

    def __deepcopy__(self, memo: dict[int, Any]) -> Workspace:
        return Workspace()

    def __reduce__(self) -> tuple[type[Workspace], tuple[()]]:
        return Workspace, ()
