"""Files of a registered version's bundle that are added later, and removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tonearm.core.errors import TrackingError
from tonearm.tracking.log import client
from tonearm.tracking.register import refusals_told
from tonearm.tracking.retry import is_unavailable


def pinned_uri(uri: str) -> str:
    """``models:/NAME/VERSION`` of ``models:/NAME@ALIAS``, which may move while one works; other URIs as they are."""
    if not uri.startswith("models:/") or "@" not in uri:
        return uri
    name, _, alias = uri.removeprefix("models:/").partition("@")
    with refusals_told(f"{uri} is not known"):
        return f"models:/{name}/{client().get_model_version_by_alias(name, alias).version}"


def has_alias(uri: str) -> bool:
    """Whether any version has the alias of ``models:/NAME@ALIAS``.

    Raises
    ------
    TrackingError
        If the registry cannot be asked.
    """
    from mlflow.exceptions import MlflowException

    name, _, alias = uri.removeprefix("models:/").partition("@")
    try:
        client().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if is_unavailable(error):
            raise TrackingError(f"whether {uri} is there is not known: {error}") from error
        return False
    return True


def run_of(uri: str) -> str:
    """Id of the run that a registered version is of, by ``models:/NAME/VERSION``; "" if it is of none."""
    name, _, version = uri.removeprefix("models:/").partition("/")
    with refusals_told(f"{uri} is not known"):
        return str(client().get_model_version(name, version).run_id or "")


def add_to_model(uri: str, folder: str, place: str, last: str) -> None:
    """Add the files of a local folder to the bundle of a registered version.

    Parameters
    ----------
    uri
        ``models:/NAME/VERSION``.
    place
        Folder in the bundle, which is not there yet.
    last
        The file that is written behind all others.

    Raises
    ------
    TrackingError
        If the version was not registered by Tonearm, or the server refuses.
    """
    with refusals_told(f"nothing can be added to {uri}"):
        files, target = _files(uri), f"{_bundle_path(uri)}/{place}"
        for file in sorted(Path(folder).iterdir(), key=lambda file: (file.name == last, file.name)):
            files.log_artifact(str(file), target)


def remove_from_model(uri: str, place: str) -> None:
    """Remove a folder from the bundle of a registered version."""
    _files(uri).delete_artifacts(f"{_bundle_path(uri)}/{place}")


def _files(uri: str) -> Any:
    """MLflow's repository of the files of a version."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    name, _, version = uri.removeprefix("models:/").partition("/")
    api = client()
    source = api.get_model_version_download_uri(name, version)
    if source.startswith("models:/"):
        source = api.get_logged_model(source.removeprefix("models:/")).artifact_location
    return get_artifact_repository(source)


def _bundle_path(uri: str) -> str:
    """Of the bundle among them."""
    import mlflow

    described = mlflow.models.get_model_info(uri).flavors
    kept = described.get("python_function", {}).get("artifacts", {}).get("bundle")
    if not kept:
        raise TrackingError(f"{uri} was not logged by Tonearm: it has no artifact named bundle")
    return str(kept["path"])


def bundle_in(folder: str) -> str:
    """The folder of the bundle in a logged model's local one; "" if there is none.

    MLflow keeps it under its own name, which the model's description tells. That is read here: MLflow's reader loads
    pandas and SciPy, 40 MiB of a server.
    """
    try:
        described = yaml.safe_load((Path(folder) / "MLmodel").read_text("utf-8"))
        place = described["flavors"]["python_function"]["artifacts"]["bundle"]["path"]
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return ""
    bundle = Path(folder) / str(place)
    return str(bundle) if bundle.is_dir() else ""
