"""The one writer of runs. It names runs by what was run, so that starting one again finds it instead of doubling it."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tonearm.core import home, storage
from tonearm.core.errors import TrackingError
from tonearm.tracking import names

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

Status = Literal["FINISHED", "FAILED", "KILLED"]
LONGEST_PARAMETER = 500  # characters; databases of older servers take no more


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

    for logger in ("mlflow", "alembic"):  # they tell of every table they make
        logging.getLogger(logger).setLevel(logging.WARNING)
    uri = home.tracking_uri()
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        mlflow.set_tracking_uri(uri)  # MLflow's own functions would else make a database in the current folder
        mlflow.set_registry_uri(uri)
        return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(f"MLflow at {uri} cannot be reached: {error}") from error


def experiment_id(name: str) -> str:
    """The id of an experiment, which is made if it is not there."""
    from mlflow.exceptions import MlflowException

    api = client()
    found = api.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = home.tracking_uri().startswith("sqlite:")
    place = storage.join(home.artifacts_home(), name) if local else None  # a server knows its own place
    try:
        return str(api.create_experiment(name, artifact_location=place))
    except MlflowException:
        found = api.get_experiment_by_name(name)  # another process was first
        if found is None:
            raise
        return str(found.experiment_id)


class RunWriter:
    """Writes one run.

    Parameters
    ----------
    run_id
        Of an existing run; :meth:`open` finds or makes one.
    """

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
    ) -> RunWriter:
        """Go on with the run of that name (and parent), or start it.

        Parameters
        ----------
        experiment
            By convention the data set's name.
        name
            Deterministic: see :mod:`tonearm.tracking.names`.
        parent
            Run id of the sweep.
        params, tags
            Logged when the run is started.
        """
        from mlflow.entities import Param, RunTag

        api, experiment_of_run = client(), experiment_id(experiment)
        condition = f"attributes.run_name = '{name}'"
        if parent:
            condition += f" and tags.`{names.PARENT_RUN}` = '{parent}'"
        found = api.search_runs([experiment_of_run], condition, max_results=1)
        if found:
            run_id = str(found[0].info.run_id)
            api.update_run(run_id, status="RUNNING")
            return cls(run_id)
        all_tags = {**(tags or {}), names.COMMIT: commit(), **({names.PARENT_RUN: parent} if parent else {})}
        run_id = str(api.create_run(experiment_of_run, run_name=name).info.run_id)
        api.log_batch(
            run_id,
            params=[Param(k, str(v)[:LONGEST_PARAMETER]) for k, v in (params or {}).items()],
            tags=[RunTag(k, v) for k, v in all_tags.items()],
        )
        return cls(run_id)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log figures of a step (an epoch); what is no number is left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        numbers = {k: v for k, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        self._client.log_batch(self.run_id, metrics=[Metric(k, float(v), now, step) for k, v in numbers.items()])

    def tag(self, key: str, value: str) -> None:
        """Set a tag."""
        self._client.set_tag(self.run_id, key, value)

    def tags(self) -> dict[str, str]:
        """All tags as they are now."""
        return dict(self._client.get_run(self.run_id).data.tags)

    def steps(self, metric: str) -> set[int]:
        """The steps at which a metric was logged."""
        return {m.step for m in self._client.get_metric_history(self.run_id, metric)}

    def figure(self, name: str, figure: Figure) -> None:
        """Log a plot, e.g. ``learning_curves.png``."""
        self._client.log_figure(self.run_id, figure, name)

    def file(self, uri: str, folder: str | None = None) -> None:
        """Log a file that lies at any URI."""
        with tempfile.TemporaryDirectory() as scratch:
            local = Path(scratch) / uri.rsplit("/", 1)[-1]
            local.write_bytes(storage.read_bytes(uri))
            self._client.log_artifact(self.run_id, str(local), folder)

    def text(self, name: str, content: str) -> None:
        """Log a text file."""
        self._client.log_text(self.run_id, content, name)

    def end(self, status: Status = "FINISHED") -> None:
        """End the run."""
        self._client.set_terminated(self.run_id, status)


def commit() -> str:
    """The commit of the code that runs, with ``+changes`` if the tree was not clean; ``unknown`` outside a checkout.

    A job on a cluster has no checkout: :mod:`jobs.submit` hands it ``TONEARM_COMMIT``.
    """
    given = os.environ.get("TONEARM_COMMIT")
    if given:
        return given
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        dirty = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip()[:12] + ("+changes" if dirty.stdout.strip() else "")
