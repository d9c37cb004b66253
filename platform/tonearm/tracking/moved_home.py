"""A home that was moved, copied or mounted elsewhere: MLflow's absolute places follow it.

MLflow writes into its database where each experiment, run and model keeps its files. In a copy these would be the old
place, which a copy must never write to.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tonearm.core import home, storage
from tonearm.tracking import names

logger = logging.getLogger(__name__)

PLACES = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
    ("model_versions", "source"), ("model_versions", "storage_location"), ("tags", "value"), ("trace_tags", "value"),
)  # fmt: skip
"""Tables and columns of MLflow that hold them; of tags those that are one, such as the trial's folder."""
PLACE_TAGS = (names.FOLDER, "mlflow.artifactLocation")


def follow_home(database: str) -> None:
    """Let an SQLite database that lies in the home look there for what it kept in the home's former place.

    Nothing is done where both are one folder, by a link or a mount, or where the database lies elsewhere: it may be of
    several homes.

    Raises
    ------
    sqlite3.Error
        If the database cannot be read or written.
    """
    here = home.home()
    if not storage.is_local(here) or database != storage.join(here, "mlflow.db"):
        return
    with closing(sqlite3.connect(database, timeout=60.0)) as connection:
        former = sorted(set(_former_homes(connection, here)))
        if not former:
            return
        with connection:  # all or nothing
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for old in former:
                for table, column in PLACES:
                    if table in tables:
                        _replace(connection, table, column, f"{old}/", f"{here}/")
                        _replace(connection, table, column, f"{_uri(old)}/", f"{_uri(here)}/")
    logger.info(f"  note: this home was moved or copied from {', '.join(former)}: MLflow's files are in {here} now")


def _former_homes(connection: sqlite3.Connection, here: str) -> Iterator[str]:
    """Where experiments that were made by us keep their files, as far as that is not here."""
    for name, place in connection.execute("SELECT name, artifact_location FROM experiments"):
        end = f"/artifacts/{name.strip('/')}"
        if not place or not storage.is_local(place) or not str(storage.local_path(place)).endswith(end):
            continue
        old = str(storage.local_path(place)).removesuffix(end)
        with contextlib.suppress(OSError):  # the old one is gone
            if Path(old).samefile(here):
                continue
        if old != here:
            yield old


def _replace(connection: sqlite3.Connection, table: str, column: str, old: str, new: str) -> None:
    tags = f" AND key IN {PLACE_TAGS}" if column == "value" else ""
    connection.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?{tags}",
        (new, len(old) + 1, len(old), old),
    )


def _uri(folder: str) -> str:
    return Path(folder).as_uri()
