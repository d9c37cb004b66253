"""MLflow for processes that only ask its registry."""

from __future__ import annotations

from tonearm.core.without_pandas import without_pandas


def import_mlflow() -> None:
    """Load MLflow without pandas, which it wants for data sets that it may log."""
    with without_pandas():
        import mlflow  # noqa: F401
