"""A home that was moved, copied or mounted elsewhere: MLflow's absolute places follow it.

MLflow writes into its database where each experiment, run and model keeps its files. In a copy these would be the old
place, which a copy must never write to.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from tonearm.core import home, storage
from tonearm.tracking import names

logger = logging.getLogger(__name__)

PLACES = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
    ("model_versions", "source"), ("model_versions", "storage_location"), ("tags", "value"), ("trace_tags", "value"),
    ("datasets", "dataset_source"),
)  # fmt: skip
"""Tables and columns of MLflow that hold them; of tags those that are one, such as the trial's folder."""
PLACE_TAGS = (names.FOLDER, "mlflow.artifactLocation")


_only_looking = False  # whether this process's job writes nothing


def set_only_looking(only: bool) -> None:
    """Say whether the job of this process only looks: it then changes no database whose files are where it says."""
    global _only_looking
    _only_looking = only


def follow_home(database: str) -> None:
    """Let an SQLite database that lies in the home look there for what it kept in the home's former place.

    Nothing is done where both are one folder, by a link or a mount, or where the database lies elsewhere. A database
    may be of several homes: experiments whose files are not in this one stay as they are.

    Raises
    ------
    sqlite3.Error
        If the database cannot be read or written.
    """
    here = home.home()
    if not storage.is_local(here) or database != storage.join(here, "mlflow.db"):
        return
    with closing(sqlite3.connect(database, timeout=60.0)) as connection:
        former = _former_homes(connection, here)
        if not former or (_only_looking and not os.access(database, os.W_OK)):
            return
        with connection:  # all or nothing
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for old in sorted(former, key=len, reverse=True):  # one may lie in another
                for table, column in PLACES:
                    if table in tables:
                        _follow(connection, table, column, old, here, former[old])
    places = ", ".join(sorted(former))
    logger.info(f"  note: this home was moved or copied from {places}: MLflow's files are in {here} now")


def _former_homes(connection: sqlite3.Connection, here: str) -> dict[str, list[str]]:
    """The homes that this one was, each with the ids of the experiments that were left there.

    Those are homes of which an experiment's files are here.
    """
    kept: dict[str, list[tuple[str, bool, bool]]] = {}
    for number, name, place in connection.execute("SELECT experiment_id, name, artifact_location FROM experiments"):
        end = f"/artifacts/{name.strip('/')}"
        if not place or not storage.is_local(place) or not str(storage.local_path(place)).endswith(end):
            continue
        old = str(storage.local_path(place)).removesuffix(end)
        with contextlib.suppress(OSError):  # the old one is gone
            if Path(old).samefile(here):
                continue
        if old != here:
            kept.setdefault(old, []).append((str(number), Path(here + end).exists(), Path(old + end).exists()))
    return {
        old: [number for number, is_here, is_there in found if is_there and not is_here]
        for old, found in kept.items()
        if any(is_here for _, is_here, _ in found) and not (Path(old).exists() and _is_in_use(connection, old, found))
    }


def _is_in_use(connection: sqlite3.Connection, old: str, found: Iterable[tuple[str, bool, bool]]) -> bool:
    """Whether a former home that is still there must not be left now: this job only looks, or a run that is not
    finished writes there. A home with a database of its own is another: this one is its copy."""
    if _only_looking:
        return True
    if Path(old, "mlflow.db").exists():
        return False
    running = connection.execute("SELECT DISTINCT experiment_id FROM runs WHERE status = 'RUNNING'")
    return not {str(number) for (number,) in running}.isdisjoint(number for number, _, _ in found)


def _follow(connection: sqlite3.Connection, table: str, column: str, old: str, here: str, left: Sequence[str]) -> None:
    """Rewrite a column's places, but those of the experiments that were left and those that are in the home already."""
    known = "SELECT name FROM pragma_table_info(?) WHERE name IN ('experiment_id', 'run_uuid', 'run_id')"
    of = [name for (name,) in connection.execute(known, (table,))]
    marks = ", ".join("?" * len(left))
    limits = ""
    values: list[str] = []
    for name in of if left else []:
        inside = f"({marks})" if name == "experiment_id" else (
            f"(SELECT run_uuid FROM runs WHERE experiment_id IN ({marks}))"
        )  # fmt: skip
        limits += f" AND ({name} IS NULL OR {name} NOT IN {inside})"
        values += left
    if column == "value":
        limits += f" AND key IN {PLACE_TAGS}"
    if column == "dataset_source":  # JSON: {"uri": "/home/data/..."}
        pairs = [(json.dumps({"uri": f"{old}/"})[:-2], json.dumps({"uri": f"{here}/"})[:-2])]
    else:
        pairs = [(f"{old}/", f"{here}/"), (f"{_uri(old)}/", f"{_uri(here)}/")]
    for a, b in pairs:
        connection.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
            f"WHERE substr({column}, 1, ?) = ? AND substr({column}, 1, ?) != ?{limits}",
            (b, len(a) + 1, len(a), a, len(b), b, *values),
        )


def _uri(folder: str) -> str:
    return Path(folder).as_uri()
