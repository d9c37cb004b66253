"""Registering an ensemble as an MLflow model, logged as code: nothing is pickled."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tonearm.core.errors import TrackingError
from tonearm.tracking import names
from tonearm.tracking.log import client
from tonearm.tracking.retry import is_unavailable

EXAMPLE_SECONDS = 30
EXAMPLE_RATE = 22050


def register_candidate(
    bundle: str,
    run_id: str,
    dataset: str,
    classes: Sequence[str],
    code: Path,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Log a bundle to a run, register it as ``tonearm-<dataset>`` and give it the alias ``candidate``.

    Parameters
    ----------
    bundle
        Local folder of an ensemble.
    code
        The file that MLflow runs to load the model; it is kept with it.
    tags
        Of the version: its validation score, the signature of its data.

    Returns
    -------
    The registered version.
    """
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    from tonearm import __version__

    outputs: list[ColSpec | TensorSpec] = [ColSpec("string", "label"), *(ColSpec("double", c) for c in classes)]
    api = client()
    before = api.get_run(run_id).info
    try:
        with mlflow.start_run(run_id=run_id):
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(code),
                artifacts={"bundle": bundle},
                signature=ModelSignature(Schema([ColSpec("binary", "audio")]), Schema(outputs)),
                input_example=pd.DataFrame({"audio": [example_audio()]}),
                pip_requirements=[f"tonearm=={__version__}"],
            )
    finally:  # MLflow has opened the run anew, and ended it now
        api.set_terminated(run_id, before.status, before.end_time)
    name = names.model_name(dataset)
    if not api.search_registered_models(f"name = '{name}'"):
        api.create_registered_model(name, description=f"Tonearm's best ensemble on {dataset}")
    version = api.create_model_version(
        name, source=info.model_uri, run_id=run_id, tags=dict(tags or {}), model_id=info.model_id
    )
    api.set_registered_model_alias(name, names.CANDIDATE, version.version)
    return str(version.version)


def promote(dataset: str, version: str) -> None:
    """Make a version the data set's champion, and note when.

    Raises
    ------
    TrackingError
        If there is no such version.
    """
    from mlflow.exceptions import MlflowException

    api, name = client(), names.model_name(dataset)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        api.set_model_version_tag(name, version, names.PROMOTED_AT, now)
        api.set_registered_model_alias(name, names.CHAMPION, version)
    except MlflowException as error:
        if is_unavailable(error):
            raise
        raise TrackingError(f"{name} version {version} cannot be promoted: {error}") from error


def example_audio() -> bytes:
    """A synthetic rising tone as OGG bytes: what a caller sends, without anybody's recording in it."""
    import soundfile

    time = np.arange(EXAMPLE_SECONDS * EXAMPLE_RATE) / EXAMPLE_RATE
    tone = 0.3 * np.sin(2 * np.pi * (220 * time + 10 * time**2))
    buffer = io.BytesIO()
    soundfile.write(buffer, tone.astype(np.float32), EXAMPLE_RATE, format="OGG", subtype="VORBIS")
    return buffer.getvalue()
