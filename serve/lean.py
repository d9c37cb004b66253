"""A server's libraries without pandas: 32 MiB less in each of its processes but the listeners."""

from __future__ import annotations

from tonearm.core.without_pandas import without_pandas


def import_serve() -> None:
    """Load Ray Serve, which wants pandas to encode tables that an application may answer, and ours never does."""
    with without_pandas():
        import ray.serve
        import ray.serve._private.utils  # noqa: F401  (the module that wants it)


def ask_arrow() -> None:
    """Let pyarrow find, once and for all in this process, that no array comes from pandas: it would load it to see."""
    with without_pandas():
        import pyarrow

        pyarrow.array([0])
