"""Reading runs and registered models. "No run matches" is an error, never an empty answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tonearm.core.errors import TrackingError
from tonearm.tracking import names
from tonearm.tracking.log import client


@dataclass(frozen=True)
class RunSummary:
    """A run as people compare it."""

    run_id: str
    name: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


def trials_of(experiment: str, parent: str) -> list[RunSummary]:
    """The nested runs of a sweep, by name.

    Raises
    ------
    TrackingError
        If there is no such experiment, or no run matches.
    """
    api = client()
    found = api.get_experiment_by_name(experiment)
    if found is None:
        raise TrackingError(f"MLflow has no experiment {experiment!r}: run the sweep first")
    runs = api.search_runs([found.experiment_id], f"tags.`{names.PARENT_RUN}` = '{parent}'", max_results=5000)
    if not runs:
        raise TrackingError(f"no run of experiment {experiment!r} has the parent {parent!r}")
    summaries = [
        RunSummary(r.info.run_id, r.info.run_name, r.info.status, r.data.params, r.data.metrics, r.data.tags)
        for r in runs
    ]
    return sorted(summaries, key=lambda r: r.name)


def download_model(uri: str) -> str:
    """The local folder of a registered model's bundle.

    Parameters
    ----------
    uri
        ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.

    Raises
    ------
    TrackingError
        If the registry has no such model.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    from tonearm.core.home import tracking_uri

    client()
    try:
        folder = mlflow.artifacts.download_artifacts(artifact_uri=uri)
    except (MlflowException, OSError) as error:
        raise TrackingError(f"the registry at {tracking_uri()} has no usable {uri}: {error}") from error
    # MLflow keeps a folder under its own name; the model's description knows which one "bundle" is.
    kept = mlflow.models.Model.load(folder).flavors.get("python_function", {}).get("artifacts", {}).get("bundle")
    if not kept or not (Path(folder) / kept["path"]).is_dir():
        raise TrackingError(f"{uri} was not logged by Tonearm: it has no artifact named bundle")
    return str(Path(folder) / kept["path"])


def champion_uri(dataset: str) -> str:
    """The registry's URI of a data set's champion."""
    return f"models:/{names.model_name(dataset)}@{names.CHAMPION}"


def is_champion(dataset: str, run_id: str) -> bool:
    """Whether the data set's champion came from this run."""
    from mlflow.exceptions import MlflowException

    try:
        version = client().get_model_version_by_alias(names.model_name(dataset), names.CHAMPION)
    except MlflowException:
        return False  # no such model or alias yet
    return bool(version.run_id == run_id)


def last_promoted() -> str:
    """The registered model whose champion was promoted last.

    Raises
    ------
    TrackingError
        If no model has a champion.
    """
    api = client()
    best: tuple[int, str] | None = None
    for model in api.search_registered_models():
        if names.CHAMPION in model.aliases:
            version = api.get_model_version_by_alias(model.name, names.CHAMPION)
            promoted = (int(version.last_updated_timestamp or version.creation_timestamp), str(model.name))
            best = max(best, promoted) if best else promoted
    if best is None:
        raise TrackingError("no model has been promoted yet: run make demo, or jobs.demo on your own recordings")
    return best[1]
