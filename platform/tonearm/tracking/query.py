"""Reading runs and registered models. "No run matches" is an error, never an empty result."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tonearm.core.errors import TrackingError
from tonearm.core.text import command
from tonearm.tracking import names
from tonearm.tracking.known_runs import MIN_PREFIX_LENGTH, SHOWN, list_runs, no_such_run
from tonearm.tracking.log import client
from tonearm.tracking.retry import address, is_unavailable

if TYPE_CHECKING:
    from mlflow.entities import Run

PAGE = 1000  # runs of one request
NOT_IN_NAMES = "'\"%"  # what a search cannot hold; no id and no name of ours does


@dataclass(frozen=True)
class RunSummary:
    """A run as people compare it.

    Attributes
    ----------
    experiment
        Its data set, or its name if it is of none.
    parent
        Run id of the run that it is nested in; None at the top.
    started, ended
        Milliseconds since 1970; None while it runs.
    """

    run_id: str
    name: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    experiment_id: str
    experiment: str
    parent: str | None
    started: int
    ended: int | None


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model."""

    version: str
    run_id: str
    tags: dict[str, str]


def find_runs(text: str) -> list[RunSummary]:
    """The runs that a person means, of all experiments; the last started first.

    Parameters
    ----------
    text
        A run's id, its name, or the name that commands have for it whatever it is called in MLflow's pages
        (:func:`tonearm.tracking.names.lasting_name`); or a beginning, of at least four characters, of one of these
        only. Several runs may have one name: the same trial in two sweeps.

    Raises
    ------
    TrackingError
        If no run is meant, or a beginning fits several names or ids.
    """
    places, short = _experiments(), len(text) < MIN_PREFIX_LENGTH
    known: dict[str, RunSummary] = {}
    if not set(text) & set(NOT_IN_NAMES):
        known = {run.run_id: run for condition in _conditions(text, short) for run in _search(places, condition)}
    runs = sorted(known.values(), key=lambda r: -r.started)
    called = {r.run_id: (r.run_id, r.name, names.lasting_name(r.tags)) for r in runs}
    whole = [r for r in runs if text in called[r.run_id]]
    if whole:
        return whole
    if short:
        raise no_such_run(text, [])
    found: dict[str, list[RunSummary]] = {}
    for run in runs:
        name = next((name for name in called[run.run_id] if name.startswith(text)), "")  # to LIKE, "_" is any character
        if name:
            found.setdefault(name, []).append(run)
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        fitting = [r for r in runs if any(r in group for group in found.values())]
        raise TrackingError(f"{text!r} fits {len(found)} names and ids: give more of one of {list_runs(fitting)}")
    latest = client().search_runs(list(places), max_results=SHOWN, order_by=["attributes.start_time DESC"])
    raise no_such_run(text, [_summary(r, places) for r in latest])


def _conditions(text: str, whole: bool) -> list[str]:
    """What finds runs by any of their names: exactly, or by a beginning. A sweep's name is its space's, which may hold
    dashes, a dash, and its signature, which holds none."""

    def fits(beginning: str) -> str:
        return f"= '{beginning}'" if whole else f"LIKE '{beginning}%'"

    space, dash, signature = text.rpartition("-")
    of_space = f"tags.`{names.SPACE}` = '{space}' and " if space else ""
    return [
        f"attributes.run_id {fits(text)}",
        f"attributes.run_name {fits(text)}",
        f"tags.`{names.TRAINING}` {fits(text)}",
        f"tags.`{names.FOLDER}` LIKE '%/{text}{'' if whole else '%'}'",
        *([] if whole else [f"tags.`{names.SPACE}` {fits(text)}"]),
        *([f"{of_space}tags.`{names.SWEEP}` {fits(signature)}"] if dash else []),
    ]


def child_runs(run_id: str) -> list[RunSummary]:
    """The runs nested directly in a run, by name; none is no error.

    A stage of a recipe may lie in another experiment than its parent: that of its own data.
    """
    return _children(run_id, _experiments())


def made_in_step(step: str, kind: str) -> list[str]:
    """The names, for commands, of the sweeps or trainings that a pipeline's step last worked on; ``step`` is the
    pipeline's run id, a slash and a number, ``kind`` the tag that all of these bear."""
    runs = _search(_experiments(), f"tags.`{names.PIPELINE}` = '{step}'")
    return sorted({names.lasting_name(r.tags) for r in runs if kind in r.tags and r.parent is None})


def leaf_runs(run_id: str) -> list[RunSummary]:
    """The runs below a run, however deep, that hold no others; the run itself if it holds none.

    Raises
    ------
    TrackingError
        If there is no such run.
    """
    places = _experiments()
    leaves: list[RunSummary] = []
    ahead = [get_run(run_id)]
    while ahead:
        run = ahead.pop(0)
        below = _children(run.run_id, places)
        ahead = below + ahead
        leaves += [] if below else [run]
    return leaves


def get_run(run_id: str) -> RunSummary:
    """One run.

    Raises
    ------
    TrackingError
        If there is no such run.
    """
    found = next(_search(_experiments(), f"attributes.run_id = '{run_id}'"), None)
    if found is None:
        raise TrackingError(f"MLflow at {address()} has no run {run_id!r}: it was deleted, or another server holds it")
    return found


def metric_history(run_id: str, metric: str) -> list[tuple[int, float]]:
    """Step and value of all that was logged of a metric, by step; of several at one step the last.

    Of a metric of epochs (``validation_f1_micro``) the values of the single epochs.
    """
    of_epochs = client().get_metric_history(run_id, f"{names.EPOCH}{metric}")
    found = of_epochs or client().get_metric_history(run_id, metric)  # earlier versions had no other names for them
    logged = sorted(found, key=lambda m: (m.step, m.timestamp))
    return sorted({int(m.step): float(m.value) for m in logged}.items())


def artifact_bytes(run_id: str, path: str) -> bytes | None:
    """A file that was logged to a run, e.g. ``predictions/test.parquet``; None if it is not there."""
    import mlflow

    folder = path.rpartition("/")[0] or None
    if path not in {f.path for f in client().list_artifacts(run_id, folder) if not f.is_dir}:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        local = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=scratch)
        return Path(local).read_bytes()


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

    from tonearm.tracking.model_files import bundle_in  # with what registers models: who looks needs none of it

    client()
    try:
        folder = mlflow.artifacts.download_artifacts(artifact_uri=uri)
    except (MlflowException, OSError) as error:
        raise TrackingError(f"the registry at {address()} has no usable {uri}: {error}") from error
    if not (bundle := bundle_in(folder)):
        raise TrackingError(f"{uri} was not logged by Tonearm: it has no artifact named bundle")
    return bundle


def champion_uri(dataset: str) -> str:
    """The registry's URI of a data set's champion."""
    return f"models:/{names.model_name(dataset)}@{names.CHAMPION}"


def registered(dataset: str, alias: str) -> RegisteredVersion | None:
    """The version of a data set's model that has an alias; None if there is none yet."""
    from mlflow.exceptions import MlflowException

    try:
        found = client().get_model_version_by_alias(names.model_name(dataset), alias)
    except MlflowException as error:
        if is_unavailable(error):
            raise
        return None
    return RegisteredVersion(str(found.version), str(found.run_id), dict(found.tags))


def last_promoted() -> str:
    """The registered model whose champion was promoted last.

    Raises
    ------
    TrackingError
        If no model has a champion.
    """
    api = client()
    promoted = []
    for model in api.search_registered_models():
        if names.CHAMPION in model.aliases:
            version = api.get_model_version_by_alias(model.name, names.CHAMPION)
            # Moving an alias changes no time of MLflow's: promote() notes it. Older champions lack the note.
            made = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).isoformat(timespec="milliseconds")
            promoted.append((version.tags.get(names.PROMOTED_AT, made), str(model.name)))
    if not promoted:
        raise TrackingError(f"no model has been promoted yet: run {command('demo')}, or {command('select', 'SWEEP')}")
    return max(promoted)[1]


def _experiments() -> dict[str, str]:
    """The names of all experiments, by id: of the data sets, where experiments were called otherwise by hand."""
    api, token = client(), None
    found: dict[str, str] = {}
    while True:
        page = api.search_experiments(max_results=PAGE, page_token=token)
        found |= {str(e.experiment_id): str(e.tags.get(names.DATASET, e.name)) for e in page}
        token = page.token
        if not token:
            return found


def _children(run_id: str, experiments: dict[str, str]) -> list[RunSummary]:
    runs = _search(experiments, f"tags.`{names.PARENT_RUN}` = '{run_id}'")
    return sorted(runs, key=lambda r: (r.name, r.started))


def _search(experiments: dict[str, str], condition: str) -> Iterator[RunSummary]:
    """Every run of these experiments (name by id) that a condition fits, the last started first."""
    api, token = client(), None
    while True:
        page = api.search_runs(list(experiments), condition, max_results=PAGE, page_token=token)
        yield from (_summary(r, experiments) for r in page)
        token = page.token
        if not token:
            return


def _summary(run: Run, experiments: dict[str, str]) -> RunSummary:
    info, data = run.info, run.data
    return RunSummary(
        run_id=str(info.run_id), name=str(info.run_name), status=str(info.status), params=data.params,
        metrics=data.metrics, tags=data.tags, experiment_id=str(info.experiment_id),
        experiment=experiments[str(info.experiment_id)], parent=data.tags.get(names.PARENT_RUN),
        started=int(info.start_time), ended=info.end_time,
    )  # fmt: skip
