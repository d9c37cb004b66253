"""One thread a worker: several workers that each start a thread a core make everything 2-3 times slower."""

from __future__ import annotations

import os
import sys

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
