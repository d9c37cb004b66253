"""Whether a run that a person names can be there, told before MLflow's client is imported, which takes seconds."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from tonearm.core.errors import TrackingError
from tonearm.tracking import names
from tonearm.tracking.overview import RunGlance, open_read_only, sqlite_file
from tonearm.tracking.retry import address

MIN_PREFIX_LENGTH = 4
SHOWN = 5  # runs in a message
NAMING_TAGS = (names.SWEEP, names.SPACE, names.TRAINING, names.FOLDER)


class NamedRun(Protocol):
    """What messages say of a run."""

    @property
    def run_id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def experiment(self) -> str: ...


def require_run(text: str) -> None:
    """Check that some run's id or name is, or begins with, what was typed.

    Only SQLite is read. Other servers, and a database that cannot be read like this, are left to
    :func:`tonearm.tracking.query.find_runs`, whose errors these are.

    Raises
    ------
    TrackingError
        If there is none.
    """
    path = sqlite_file()
    if path is None:
        return
    try:
        runs = _runs(path) if path.exists() else []
    except sqlite3.Error:
        return
    called = [name for run in runs for name in (run.run_id, run.name, names.lasting_name(run.tags))]
    if text in called:
        return
    if len(text) < MIN_PREFIX_LENGTH or not any(name.startswith(text) for name in called):
        raise no_such_run(text, runs)


def no_such_run(text: str, runs: Sequence[NamedRun]) -> TrackingError:
    """The error for what no run is called; ``runs`` are all or the last ones, the last started first."""
    if len(text) < MIN_PREFIX_LENGTH:
        return TrackingError(f"no run is called {text!r}; a beginning needs {MIN_PREFIX_LENGTH} characters")
    known = f"the last runs are {list_runs(runs)}" if runs else "there are no runs yet"
    return TrackingError(f"MLflow at {address()} has no run whose id or name is or begins with {text!r}; {known}")


def list_runs(runs: Sequence[NamedRun]) -> str:
    """The first of some runs, for a message."""
    return ", ".join(f"{r.name} ({r.run_id[:8]}, {r.experiment})" for r in runs[:SHOWN])


def _runs(path: Path) -> list[RunGlance]:
    """All runs of all experiments, the last started first, without their figures."""
    with closing(open_read_only(path)) as database:
        rows = database.execute(
            "SELECT run_uuid, r.name, COALESCE(t.value, e.name), status, start_time FROM runs r "
            "JOIN experiments e USING (experiment_id) "
            f"LEFT JOIN experiment_tags t ON t.experiment_id = e.experiment_id AND t.key = '{names.DATASET}' "
            "WHERE r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active' ORDER BY start_time DESC"
        )
        runs = [RunGlance(run_id, name or "", experiment, status, started or 0)
                for run_id, name, experiment, status, started in rows]  # fmt: skip
        by_id = {run.run_id: run for run in runs}
        marks = ", ".join("?" * len(NAMING_TAGS))
        tags = database.execute(f"SELECT run_uuid, key, value FROM tags WHERE key IN ({marks})", NAMING_TAGS)
        for run_id, key, value in tags:
            if run_id in by_id:
                by_id[run_id].tags[key] = value
    return runs
