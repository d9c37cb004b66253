"""Ray Serve and MLflow without pandas, which both can do without: the one loads it to encode tables that an application
may answer, and ours never does; the other for data sets that it may log, and no server logs one.

pandas and pyarrow take some 32 MiB of each process: of the controller, the proxy, the ingresses, the follower and the
driver.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _NoPandas:
    """A finder that says, as Python does, that pandas is not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)


@contextmanager
def without_pandas() -> Iterator[None]:
    """What is loaded meanwhile sees no pandas, unless it was loaded before. Whoever wants it loads it later."""
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def import_serve() -> None:
    """Load Ray Serve without pandas."""
    with without_pandas():
        import ray.serve
        import ray.serve._private.utils  # noqa: F401  (the module that wants it)


def import_mlflow() -> None:
    """Load MLflow without pandas: for processes that only ask its registry."""
    with without_pandas():
        import mlflow  # noqa: F401


def ask_arrow() -> None:
    """Let pyarrow find, once and for all in this process, that no array comes from pandas: it would load it to see."""
    with without_pandas():
        import pyarrow

        pyarrow.array([0])
