"""The one writer of runs. Tags say what was run, so that starting it again finds the run instead of doubling it."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tonearm.core import home, storage
from tonearm.core.best_effort import best_effort
from tonearm.core.errors import TrackingError
from tonearm.core.figures import png
from tonearm.core.lock import machine_lock
from tonearm.core.process_environment import spare_loopback
from tonearm.tracking import names
from tonearm.tracking.dataset_input import dataset_input
from tonearm.tracking.environment import environment, environment_digest, provenance
from tonearm.tracking.identity import SERVERS, find_run, identity, open_experiment
from tonearm.tracking.moved_home import follow_home
from tonearm.tracking.param_text import param_text
from tonearm.tracking.retry import address, is_unavailable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

Status = Literal["FINISHED", "FAILED", "KILLED"]
MAX_METRICS, MAX_PARAMS, MAX_TAGS = 1000, 100, 100  # of one request
ENVIRONMENT_FILE = "environment.txt"


def status_of(error: BaseException) -> Status:
    """How a run ends that an error ends: killed if somebody stopped it, by Ctrl-C or a signal; failed otherwise."""
    return "KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED"


def client() -> MlflowClient:
    """A client of :func:`tonearm.core.home.tracking_uri`.

    Raises
    ------
    TrackingError
        If the server or database cannot be reached.
    """
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for logger in ("mlflow", "alembic"):  # they log every table they make
        logging.getLogger(logger).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # the traceback of every error it raises
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for each small file
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # no usage data is sent
    uri = home.tracking_uri()
    os.environ.update(spare_loopback())
    try:
        given = os.environ.get(home.TRACKING)
        mlflow.set_tracking_uri(uri)  # MLflow's own functions would else make a database in the current folder
        if given is None:  # MLflow has set it: who chooses another home in this process would keep this database
            os.environ.pop(home.TRACKING, None)
        mlflow.set_registry_uri(uri)
        if not uri.startswith(SERVERS):
            _make_tables(uri)
        made = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        _remove_folder_of_escapes(uri)
        return made
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise TrackingError(f"MLflow at {address()} cannot be reached: {error}") from error


@functools.cache
def _make_tables(uri: str) -> None:
    """Make the tables of a fresh database; of processes of this machine that come at once, one does it."""
    import mlflow
    import sqlalchemy

    if home.sqlite_path(uri):
        Path(home.sqlite_path(uri)).parent.mkdir(parents=True, exist_ok=True)
    if uri.partition(":")[0].partition("+")[0] in ("sqlite", "postgresql", "mysql", "mssql"):
        try:
            engine = sqlalchemy.create_engine(uri)  # MLflow would try for minutes to reach one that is away
        except ImportError as error:
            raise TrackingError(f"MLflow at {address()} needs {error.name}: pip install 'tonearm[server]'") from error
        sqlalchemy.inspect(engine).get_table_names()
        engine.dispose()
    with machine_lock("tables", uri):
        mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        file = home.sqlite_path(uri.partition("?")[0])  # options, as in ?timeout=30, make no other file of it
        if file:
            follow_home(file)


def _remove_folder_of_escapes(uri: str) -> None:
    """Remove the empty folder that MLflow makes for an SQLite file whose path it does not unescape."""
    path = home.sqlite_path(uri)
    if path and not uri.endswith(path):
        with contextlib.suppress(OSError):
            os.removedirs(Path(uri.removeprefix(home.SQLITE)).parent)


def experiment_id(name: str) -> str:
    """The id of a data set's experiment, which is made if it is not there, and restored if somebody deleted it."""
    return open_experiment(client(), name)


@dataclass(frozen=True)
class LogEntry:
    """What was handed over at one time: metrics of a step, or tags.

    Attributes
    ----------
    time
        Milliseconds since 1970.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    step: int = 0
    time: int = field(default_factory=lambda: int(time.time() * 1000))


def numeric_values(values: Mapping[str, Any]) -> dict[str, float]:
    """The values that are finite numbers."""
    return {k: float(v) for k, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}


class RunWriter:
    """Writes one run. All that it does may be repeated without harm, should a server go away in between.

    Parameters
    ----------
    run_id
        Of an existing run; :meth:`open` finds or makes one.

    Attributes
    ----------
    is_new
        Whether :meth:`open` made the run just now.
    """

    is_new = False

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._client = client()

    @classmethod
    def open(
        cls,
        experiment: str,
        name: str,
        parent: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        former_name: str = "",
        started: int | None = None,
        only_of_folder: bool = False,
    ) -> RunWriter:
        """Find a run, or start it; one that is there is left as it is until :meth:`resume`.

        It is found by those of its tags that say which one it is (:func:`tonearm.tracking.identity.identity`) and its
        parent; by name only where it has no such tags. Processes of one machine that open a run at once get one run.

        Parameters
        ----------
        experiment
            By convention the data set's name.
        name
            For people, who may change it in MLflow's pages.
        parent
            Run id of the sweep.
        params, tags
            Logged when the run is started, with the commit, machine and environment: its digest as a tag, and in runs
            without a parent as the artifact ``environment.txt``.
        former_name
            What earlier versions, which had names only, called it.
        started
            When it began, in milliseconds since 1970, of a run that is made now; None: now.
        only_of_folder
            Whether a run of another folder than the tags say is another run.
        """
        api, experiment_of_run, own = client(), experiment_id(experiment), identity(tags or {})
        which = json.dumps(own) if own else name
        with machine_lock("run", home.tracking_uri(), experiment, which, parent or ""):
            run = find_run(api, experiment_of_run, name, parent, tags or {}, former_name, only_of_folder)
            is_new = run is None
            if run is None:
                nested = {names.PARENT_RUN: parent, names.ENVIRONMENT: environment_digest()} if parent else {}
                all_tags = {**provenance(), **nested, **(tags or {})}
                run = api.create_run(experiment_of_run, started, all_tags, name)
        writer = cls(str(run.info.run_id))
        writer.is_new = is_new
        # A run whose opening was cut off, or that an earlier version made, lacks some of what follows.
        also = own | names.step_tags(parent)
        writer.log([LogEntry(tags={k: v for k, v in also.items() if run.data.tags.get(k) != v})])
        writer._params({k: v for k, v in (params or {}).items() if k not in run.data.params})
        if parent is None and names.ENVIRONMENT not in run.data.tags:
            writer.text(ENVIRONMENT_FILE, environment())
            writer.tag(names.ENVIRONMENT, environment_digest())
        return writer

    def resume(self) -> None:
        """Say that it is worked on: a run that has ended runs again, from its first start to a new end."""
        if self.status() != "RUNNING":
            self._client.update_run(self.run_id, status="RUNNING")

    def status(self) -> str:
        """``RUNNING``, ``FINISHED``, ``FAILED`` or ``KILLED``."""
        return str(self._client.get_run(self.run_id).info.status)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log figures of a step (an epoch); what is not a number is left out."""
        self.log([LogEntry(metrics=numeric_values(values), step=step)])

    def log(self, entries: Sequence[LogEntry]) -> None:
        """Log what was handed over at several times, in as few requests as MLflow's limits allow."""
        from mlflow.entities import Metric, RunTag

        metrics = [Metric(k, v, e.time, e.step) for e in entries for k, v in e.metrics.items()]
        tags = [RunTag(k, v) for k, v in {k: v for e in entries for k, v in e.tags.items()}.items()]
        for start in range(0, len(metrics), MAX_METRICS):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + MAX_METRICS])
        for start in range(0, len(tags), MAX_TAGS):
            self._client.log_batch(self.run_id, tags=tags[start : start + MAX_TAGS])

    def tag(self, key: str, value: str) -> None:
        """Set a tag."""
        self._client.set_tag(self.run_id, key, value)

    def tags(self) -> dict[str, str]:
        """All tags as they are now."""
        return dict(self._client.get_run(self.run_id).data.tags)

    def curve(self, metric: str) -> dict[int, float]:
        """The values of a metric by step."""
        return {m.step: m.value for m in self._client.get_metric_history(self.run_id, metric)}

    def steps(self, metric: str) -> set[int]:
        """The steps at which a metric was logged."""
        return set(self.curve(metric))

    def values(self) -> dict[str, float]:
        """The last value of each metric."""
        return dict(self._client.get_run(self.run_id).data.metrics)

    def dataset(self, name: str, signature: str, folder: str, splits: Mapping[str, int]) -> None:
        """Say of which data set the run is, as :func:`tonearm.tracking.dataset_input.dataset_input` takes it."""
        self._client.log_inputs(self.run_id, [dataset_input(name, signature, folder, splits)])

    def figure(self, name: str, figure: Figure) -> None:
        """Log a plot, e.g. ``learning_curves.png``; one that cannot be drawn, or is refused, is told and left out."""
        data = best_effort(name, png, figure)
        if data is not None:
            self.picture(name, data)

    def picture(self, name: str, data: bytes) -> None:
        """Log a plot that is drawn already, as the bytes of its file; one that is refused is told and left out."""
        best_effort(f"{name} in MLflow", self._bytes, name, data, unless=is_unavailable)

    def file(self, uri: str, folder: str | None = None) -> None:
        """Log a file that lies at any URI."""
        with tempfile.TemporaryDirectory() as scratch:
            local = Path(scratch) / uri.rsplit("/", 1)[-1]
            local.write_bytes(storage.read_bytes(uri))
            self._client.log_artifact(self.run_id, str(local), folder)

    def _bytes(self, name: str, data: bytes) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / name).write_bytes(data)
            self._client.log_artifact(self.run_id, str(Path(scratch) / name))

    def text(self, name: str, content: str) -> None:
        """Log a text file."""
        self._client.log_text(self.run_id, content, name)

    def end(self, status: Status = "FINISHED", at: int | None = None) -> None:
        """End the run now, or at a time in milliseconds since 1970; one that is finished stays as it is, with the time
        of its end, until it is resumed."""
        if self.status() != "FINISHED":
            self._client.set_terminated(self.run_id, status, at)

    def delete(self) -> None:
        """Delete the run, which MLflow's pages can restore."""
        self._client.delete_run(self.run_id)

    def _params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        values = [Param(k, param_text(v)) for k, v in params.items()]
        for start in range(0, len(values), MAX_PARAMS):
            self._client.log_batch(self.run_id, params=values[start : start + MAX_PARAMS])
