"""Settings of a worker process: one thread each, and freed memory that is kept."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Several workers that each start a thread a core make everything 2-3 times slower.
#: Read by OpenMP, OpenBLAS, MKL and numba once, when they are first imported.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def thread_environment(threads: int = 1) -> dict[str, str]:
    """Environment variables for worker processes, e.g. ``runtime_env={"env_vars": thread_environment()}``."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def limit_threads(threads: int = 1) -> None:
    """Limit this process, as far as it is not too late, to ``threads`` threads for numerical work."""
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Let torch compute with so many threads meanwhile; 0: as many as there are cores, None: as it is set."""
    import torch

    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads or os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_memory() -> None:
    """Let the C library keep freed memory for the next array instead of giving it back; does nothing elsewhere.

    A pass over a clip allocates some tens of megabytes in arrays of a few. Given back and asked for again, each page
    is mapped and zeroed anew, which took 40 % of the time of a pass on a virtual machine.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no glibc
        return
    mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # the most that glibc takes
    mallopt(M_TRIM_THRESHOLD, 256 * 2**20)


def keep_large_memory() -> None:
    """The same for blocks of any size: what training needs, whose activations are tens to hundreds of megabytes.

    A step of Simple on a CPU spent a third of its time on page faults (ratios in tests/benchmarks/training.py). The
    process then holds on to its largest demand, which a training has again at the next step anyway.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no glibc
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)  # the most that glibc takes


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of glibc's malloc.h
