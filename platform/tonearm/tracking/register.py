"""Registering an ensemble as an MLflow model, logged as code: nothing is pickled."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tonearm.tracking import names
from tonearm.tracking.log import client

EXAMPLE_SECONDS = 30
EXAMPLE_RATE = 22050


def register_champion(bundle: str, run_id: str, dataset: str, classes: Sequence[str]) -> str:
    """Log a bundle to a run, register it as ``tonearm-<dataset>`` and give it the alias ``champion``.

    Parameters
    ----------
    bundle
        Local folder of an ensemble.

    Returns
    -------
    The registered version.
    """
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    from tonearm import __version__

    code = Path(__file__).with_name("pyfunc_model.py")
    outputs: list[ColSpec | TensorSpec] = [ColSpec("string", "label"), *(ColSpec("double", c) for c in classes)]
    api = client()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with mlflow.start_run(run_id=run_id):
        info = mlflow.pyfunc.log_model(
            name="champion",
            python_model=str(code),
            artifacts={"bundle": bundle},
            signature=ModelSignature(Schema([ColSpec("binary", "audio")]), Schema(outputs)),
            input_example=pd.DataFrame({"audio": [example_audio()]}),
            pip_requirements=[f"tonearm=={__version__}"],
        )
    name = names.model_name(dataset)
    if not api.search_registered_models(f"name = '{name}'"):
        api.create_registered_model(name, description=f"Tonearm's best ensemble on {dataset}")
    version = api.create_model_version(name, source=info.model_uri, run_id=run_id, model_id=info.model_id)
    api.set_registered_model_alias(name, names.CHAMPION, version.version)
    return str(version.version)


def example_audio() -> bytes:
    """A synthetic rising tone as OGG bytes: what a caller sends, without anybody's recording in it."""
    import soundfile

    time = np.arange(EXAMPLE_SECONDS * EXAMPLE_RATE) / EXAMPLE_RATE
    tone = 0.3 * np.sin(2 * np.pi * (220 * time + 10 * time**2))
    buffer = io.BytesIO()
    soundfile.write(buffer, tone.astype(np.float32), EXAMPLE_RATE, format="OGG", subtype="VORBIS")
    return buffer.getvalue()
