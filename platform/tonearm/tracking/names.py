"""The names that people meet in MLflow."""

from __future__ import annotations

PARENT_RUN = "mlflow.parentRunId"  # MLflow's own tag: the UI nests runs by it
SWEEP = "tonearm.sweep"
TRIAL = "tonearm.trial"
DATA = "tonearm.data_signature"
FEATURE = "tonearm.feature_signature"
CONFIG = "tonearm.config_signature"
SEED = "tonearm.seed"
COMMIT = "tonearm.commit"
CHAMPION = "champion"


def model_name(dataset: str) -> str:
    """The registered model of a data set, so that a second one does not replace the first one's champion."""
    return f"tonearm-{dataset}"


def trial_name(index: int, signature: str) -> str:
    """Name of a trial's run and folder: its index in the sweep and its config's signature; no time, no chance."""
    return f"{index:02d}-{signature}"
