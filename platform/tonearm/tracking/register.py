"""Registering an ensemble as an MLflow model, logged as code: nothing is pickled."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tonearm.core.errors import TrackingError
from tonearm.tracking import names
from tonearm.tracking.log import client
from tonearm.tracking.retry import is_unavailable

EXAMPLE_SECONDS = 30
EXAMPLE_RATE = 22050
MOST_CHAMPIONS = 100  # that are remembered
SAME_CHOICE = (names.SWEEP, names.TRAINING, names.DATA, names.VALIDATION, names.TEST)  # tags of versions that are alike


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
        api.create_registered_model(name, description=f"Tonearm's models of {dataset}: ensembles and single networks")
    version = api.create_model_version(
        name, source=info.model_uri, run_id=run_id, tags=dict(tags or {}), model_id=info.model_id
    )
    api.set_registered_model_alias(name, names.CANDIDATE, version.version)
    return str(version.version)


def promote(dataset: str, version: str, why: str = "", figures: Mapping[str, float] | None = None) -> None:
    """Make a version the data set's champion, and note when and why; the one before is kept for :func:`roll_back`.

    Parameters
    ----------
    why, figures
        The reason, and what it rests on by name.

    Raises
    ------
    TrackingError
        If there is no such version.
    """
    api, name = client(), names.model_name(dataset)
    with refusals_told(f"{name} version {version} cannot be promoted"):
        champions = [v for v in _champions(name) if v != version]
        # First: killed behind it, the version is the champion, and was it for roll_back(); never the other way round.
        api.set_registered_model_alias(name, names.CHAMPION, version)
        api.set_registered_model_tag(name, names.CHAMPIONS, ",".join([*champions, version][-MOST_CHAMPIONS:]))
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        api.set_model_version_tag(name, version, names.PROMOTED_AT, now)
        explain_version(dataset, version, f"Promoted: {why}" if why else "Promoted", figures)
        for left in _rolled_back(name, version):
            api.delete_model_version_tag(name, left, names.ROLLED_BACK)


def challenge(dataset: str, version: str, alias: str = names.CHALLENGER) -> None:
    """Let a version be compared with the champion by who listens: servers with ``--challenger`` follow the alias.

    Raises
    ------
    TrackingError
        If there is no such version.
    """
    name = names.model_name(dataset)
    with refusals_told(f"{name} version {version} cannot be the challenger"):
        client().set_registered_model_alias(name, alias, version)


def end_challenge(dataset: str, version: str) -> bool:
    """Take the alias ``challenger`` from a version; whether it had it. Aliases of one's own stay."""
    api, name = client(), names.model_name(dataset)
    with refusals_told(f"{name} version {version} stays a challenger"):
        held = str(api.get_registered_model(name).aliases.get(names.CHALLENGER, "")) == version
        if held:
            api.delete_registered_model_alias(name, names.CHALLENGER)
        return held


def explain_version(dataset: str, version: str, text: str, figures: Mapping[str, float] | None = None) -> None:
    """Write to the registry why a version is the champion or not, and the figures that this rests on."""
    api, name = client(), names.model_name(dataset)
    api.update_model_version(name, version, description=text)
    api.set_model_version_tag(name, version, names.PROMOTION, text)
    for figure, value in (figures or {}).items():
        api.set_model_version_tag(name, version, f"{names.PROMOTION}.{figure}", f"{value:.6g}")


def roll_back(dataset: str) -> tuple[str, str]:
    """Make the champion before the present one the champion again; may be repeated.

    Returns
    -------
    The version that was the champion, and the one that is it now.

    Raises
    ------
    TrackingError
        If there is no champion, or none before it.
    """
    api, name = client(), names.model_name(dataset)
    with refusals_told(f"{name} cannot be rolled back"):
        champions = _champions(name)
        there = {str(v.version) for v in api.search_model_versions(f"name = '{name}'")}
        before = [v for v in champions[:-1] if v in there]
        if not before:
            shown = f"version {champions[-1]} is the first that was" if champions else "no version is"
            raise TrackingError(f"{name} cannot be rolled back: {shown} its champion")
        left, now = champions[-1], before[-1]
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        if left in there:
            api.set_model_version_tag(name, left, names.ROLLED_BACK, stamp)
        api.set_registered_model_tag(name, names.CHAMPIONS, ",".join(before))
        api.set_registered_model_alias(name, names.CHAMPION, now)
        api.set_model_version_tag(name, now, names.PROMOTED_AT, stamp)
        explain_version(dataset, now, f"Champion again: version {left} was rolled back at {stamp}")
        if left in there:
            explain_version(dataset, left, f"Rolled back at {stamp}: version {now} is the champion again")
        return left, now


def rolled_back(dataset: str, version: str) -> str:
    """The version that was rolled back and is this one, or the same choice registered before; "" if none was."""
    found = _rolled_back(names.model_name(dataset), version)
    return version if version in found else next(iter(found), "")


def _rolled_back(name: str, version: str) -> list[str]:
    """Those that were rolled back, of a version and of all that have its trials, data and scores."""
    tags = {str(v.version): v.tags for v in client().search_model_versions(f"name = '{name}'")}

    def choice(of: str) -> tuple[str | None, ...]:
        return tuple(tags[of].get(tag) for tag in SAME_CHOICE)

    return [v for v in tags if names.ROLLED_BACK in tags[v]
            and (v == version or (any(choice(v)) and choice(v) == choice(version)))]  # fmt: skip


def _champions(name: str) -> list[str]:
    """The versions that were champion, the present one last, whoever moved the alias."""
    model = client().get_registered_model(name)
    kept = [v for v in model.tags.get(names.CHAMPIONS, "").split(",") if v]
    if names.CHAMPIONS not in model.tags:  # of an earlier version of Tonearm, which noted the times only
        noted = [v for v in client().search_model_versions(f"name = '{name}'") if names.PROMOTED_AT in v.tags]
        kept = [str(v.version) for v in sorted(noted, key=lambda v: v.tags[names.PROMOTED_AT])]
    present = model.aliases.get(names.CHAMPION)
    return [*(v for v in kept if v != str(present)), str(present)] if present is not None else kept


@contextmanager
def refusals_told(what: str) -> Iterator[None]:
    """MLflow's refusals as ours; a server that is away is retried by the caller."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if is_unavailable(error):
            raise
        raise TrackingError(f"{what}: {error}") from error


def example_audio() -> bytes:
    """A synthetic rising tone as OGG bytes: what a caller sends, without anybody's recording in it."""
    import soundfile

    time = np.arange(EXAMPLE_SECONDS * EXAMPLE_RATE) / EXAMPLE_RATE
    tone = 0.3 * np.sin(2 * np.pi * (220 * time + 10 * time**2))
    buffer = io.BytesIO()
    soundfile.write(buffer, tone.astype(np.float32), EXAMPLE_RATE, format="OGG", subtype="VORBIS")
    return buffer.getvalue()
