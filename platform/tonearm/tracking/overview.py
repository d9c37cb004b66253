"""All runs and registered models at a glance, for lists: few figures of each, and never a change in the database.

MLflow's own client needs seconds to start, and makes the tables that it does not find. SQLite is therefore read as it
is, in read-only mode; every other server is asked through the client.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonearm.core import home
from tonearm.tracking import names

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SCORES = ("best", "test_", names.HELD_OUT)  # beginnings of the metrics that lists show
BEFORE_TEST = names.HELD_OUT.removesuffix("test_")
PARAMS = ("recipe", "space")
SECONDS_TO_WAIT = 10.0  # for a database that another process writes to
LOSSES = (f"{names.EPOCH}train_loss", "train_loss")  # logged of every epoch of every training, by now and earlier


@dataclass(frozen=True)
class RunGlance:
    """What lists show of a run.

    Attributes
    ----------
    status
        MLflow's: ``RUNNING``, ``FINISHED``, ``FAILED`` or ``KILLED``. A process that was killed leaves ``RUNNING``.
    parent
        Run id of the run that it is nested in; None at the top.
    started, reported
        Milliseconds since 1970: of its start, and of the last metric that came; 0 without one.
    step
        Of that metric: the epoch.
    scores
        The last values of ``best``, the best epoch's so far, and of the metrics that begin with ``best_`` or ``test_``
        (or ``heldout/test_``, without ``heldout/``).
    """

    run_id: str
    name: str
    experiment: str
    status: str
    started: int
    parent: str | None = None
    reported: int = 0
    step: int = 0
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelGlance:
    """What lists show of a registered model's version; ``made`` is milliseconds since 1970."""

    name: str
    version: int
    run_id: str
    made: int
    aliases: tuple[str, ...]
    tags: dict[str, str]


@dataclass(frozen=True)
class Overview:
    """All runs, the last started first, and all versions of all models."""

    runs: list[RunGlance]
    models: list[ModelGlance]


def overview() -> Overview:
    """Read what MLflow holds; an SQLite file that is not there holds nothing, and is not made.

    Raises
    ------
    TrackingError
        If a server cannot be reached.
    """
    path = sqlite_file()
    if path is None:
        return _of_client()
    if not path.exists():
        return Overview([], [])
    database = open_read_only(path)
    try:
        return _of_sqlite(database)
    except sqlite3.OperationalError:  # tables of another MLflow, or a killed writer's journal: MLflow knows what to do
        return _of_client()
    finally:
        database.close()


def sqlite_file() -> Path | None:
    """The file that MLflow keeps its runs in, which need not exist; None if that is another server."""
    path = home.sqlite_path(home.tracking_uri())
    return Path(path) if path else None


def open_read_only(path: Path) -> sqlite3.Connection:
    """A connection that can change nothing."""
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=SECONDS_TO_WAIT)


def _of_sqlite(database: sqlite3.Connection) -> Overview:
    found: dict[str, dict[str, Any]] = {}
    for run_id, name, experiment, status, started in database.execute(
        "SELECT run_uuid, r.name, COALESCE(t.value, e.name), status, start_time FROM runs r "
        "JOIN experiments e USING (experiment_id) "
        f"LEFT JOIN experiment_tags t ON t.experiment_id = e.experiment_id AND t.key = '{names.DATASET}' "
        "WHERE r.lifecycle_stage = 'active' ORDER BY start_time DESC"
    ):
        found[run_id] = {"run_id": run_id, "name": name or "", "experiment": experiment, "status": status,
                         "started": started or 0, "params": {}, "tags": {}, "scores": {}}  # fmt: skip
    for table, kind, condition in (
        ("tags", "tags", "key LIKE 'tonearm.%' OR key = 'mlflow.parentRunId'"),
        ("params", "params", f"key IN {PARAMS}"),
        (
            "latest_metrics",
            "scores",
            f"NOT is_nan AND (key = 'best' OR key LIKE 'best_%' OR key LIKE 'test_%' OR key LIKE '{names.HELD_OUT}%')",
        ),
    ):
        for run_id, key, value in database.execute(f"SELECT run_uuid, key, value FROM {table} WHERE {condition}"):
            if run_id in found:
                found[run_id][kind][key.removeprefix(BEFORE_TEST)] = value
    # Of a bare column beside max(), SQLite gives the row's that holds the maximum.
    for run_id, reported, step in database.execute(
        "SELECT run_uuid, max(timestamp), step FROM latest_metrics WHERE key NOT LIKE 'system/%' GROUP BY run_uuid"
    ):
        if run_id in found:
            found[run_id] |= {"reported": reported, "step": step}
    runs = [RunGlance(**run, parent=run["tags"].get(names.PARENT_RUN)) for run in found.values()]
    return Overview(runs, _models_of_sqlite(database))


def _models_of_sqlite(database: sqlite3.Connection) -> list[ModelGlance]:
    aliases, tags = dict[tuple[str, int], list[str]](), dict[tuple[str, int], dict[str, str]]()
    for name, version, alias in database.execute("SELECT name, version, alias FROM registered_model_aliases"):
        aliases.setdefault((name, int(version)), []).append(alias)
    for name, version, key, value in database.execute("SELECT name, version, key, value FROM model_version_tags"):
        tags.setdefault((name, int(version)), {})[key] = value
    rows = database.execute(
        "SELECT name, version, run_id, creation_time FROM model_versions "
        "WHERE current_stage != 'Deleted_Internal' ORDER BY name, version DESC"
    )
    return [
        ModelGlance(name, version, run_id or "", made or 0, tuple(sorted(aliases.get((name, version), ()))),
                    tags.get((name, version), {}))
        for name, version, run_id, made in rows
    ]  # fmt: skip


def _of_client() -> Overview:
    from tonearm.tracking.log import client

    api = client()
    places = {str(e.experiment_id): str(e.tags.get(names.DATASET, e.name)) for e in _pages(api.search_experiments)}
    runs = [_glance(run, places, api) for run in _pages(api.search_runs, list(places))] if places else []
    models = []
    for model in _pages(api.search_registered_models):
        for version in _pages(api.search_model_versions, f"name = '{model.name}'"):
            named = tuple(sorted(a for a, v in model.aliases.items() if str(v) == str(version.version)))
            models.append(ModelGlance(str(model.name), int(version.version), str(version.run_id),
                                      int(version.creation_timestamp), named, dict(version.tags)))  # fmt: skip
    return Overview(sorted(runs, key=lambda r: -r.started), sorted(models, key=lambda m: (m.name, -m.version)))


def _pages(search: Callable[..., Any], *arguments: object) -> Iterator[Any]:
    token = None
    while True:
        page = search(*arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _glance(run: Run, experiments: dict[str, str], api: MlflowClient) -> RunGlance:
    info, data = run.info, run.data
    # A run carries the values of its metrics, not their times; of those that run now they are asked for.
    loss = next((name for name in LOSSES if name in data.metrics), "")
    losses = api.get_metric_history(info.run_id, loss) if info.status == "RUNNING" and loss else []
    last = max(losses, key=lambda m: m.timestamp, default=None)
    return RunGlance(
        str(info.run_id), str(info.run_name), experiments[str(info.experiment_id)], str(info.status),
        int(info.start_time), data.tags.get(names.PARENT_RUN), int(last.timestamp) if last else 0,
        int(last.step) if last else 0, {k: v for k, v in data.params.items() if k in PARAMS}, dict(data.tags),
        {k.removeprefix(BEFORE_TEST): v for k, v in data.metrics.items() if k.startswith(SCORES) and not math.isnan(v)},
    )  # fmt: skip
