"""Paths of everything that Tonearm writes: all of it is below one home folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tonearm.core.storage import join


def home() -> str:
    """``TONEARM_HOME`` (a folder or any fsspec URI), by default ``./.tonearm``, made absolute if it is a folder."""
    value = os.environ.get("TONEARM_HOME", ".tonearm")
    return value if "://" in value else str(Path(value).absolute())


def data_root() -> str:
    """The prepared data sets, a folder each."""
    return join(home(), "data")


def data_home(dataset: str) -> str:
    """Manifests and rendered audio of one dataset."""
    return join(data_root(), dataset)


def features_home() -> str:
    """The feature stores, one folder a representation signature."""
    return join(home(), "features")


def trials_home() -> str:
    """Trials, one folder a sweep."""
    return join(home(), "trials")


def reports_home(dataset: str) -> str:
    """Plots and summaries for people."""
    return join(home(), "reports", dataset)


def node_cache() -> str:
    """Where a node keeps its copies of remote feature stores: a local folder, whatever the home is."""
    return os.environ.get("TONEARM_CACHE") or str(Path(tempfile.gettempdir()) / "tonearm-cache")


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI``, by default the SQLite file in the home."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{join(home(), 'mlflow.db')}"


def artifacts_home() -> str:
    """Where MLflow keeps artifacts when it is the local SQLite."""
    return join(home(), "artifacts")
