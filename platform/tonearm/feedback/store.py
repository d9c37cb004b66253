"""The database of feedback: SQLite in the home, or PostgreSQL. What was added is on the disk when it is said to be."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tonearm.core import home
from tonearm.core.errors import FeedbackError
from tonearm.feedback.events import Event

COLUMNS = tuple(field.name for field in dataclasses.fields(Event))
SECONDS_TO_WAIT = 3.0  # for who else writes, and for a server
FULL = "its disk is full"
WHY = {
    "SQLITE_FULL": FULL, "SQLITE_IOERR": "its disk cannot be written to", "SQLITE_BUSY": "others write to it now",
    "SQLITE_LOCKED": "others write to it now", "SQLITE_READONLY": "it may not be written to",
    "SQLITE_CANTOPEN": "it cannot be opened", "SQLITE_CORRUPT": "it is damaged", "SQLITE_NOTADB": "it is damaged",
    "53100": FULL, "25006": "it may not be written to", "28": "it knows no such user or password",
    "57": "it is away", "08": "it is away",
}  # fmt: skip
"""By SQLite's names of errors, and PostgreSQL's codes or their beginnings."""


class FeedbackStore:
    """Events in a database. Threads may share one; so may processes, each with its own.

    Parameters
    ----------
    uri
        ``sqlite:///PATH`` or ``postgresql://USER@HOST/DATABASE``; by default :func:`tonearm.core.home.feedback_uri`.
        Nothing is opened before it is used; the table is made where there is none.
    """

    def __init__(self, uri: str = "") -> None:
        self.uri = uri or home.feedback_uri()
        self._ready, self._lock = False, threading.Lock()

    def add(self, events: Sequence[Event]) -> set[str]:
        """Keep events, all or none; on return they are on the disk.

        Returns
        -------
        set of str
            The ids under which something else is kept already: these events are not. One that says the same is kept
            once, as it came first.

        Raises
        ------
        FeedbackError
            If the database cannot keep them now.
        """
        from sqlalchemy import select

        unique = {event.event_id: event for event in reversed(events)}  # of one id in this call the first
        rows = [dict(vars(unique[key])) for key in sorted(unique)]  # in one order: none waits for another
        others = {event.event_id for event in events if event.said != unique[event.event_id].said}
        with self._transaction(writes=True) as connection:
            done = connection.execute(self._insert, rows)
            if done.rowcount != len(rows):
                columns = [self._table.c[name] for name in COLUMNS]
                known = connection.execute(select(*columns).where(self._table.c.event_id.in_(sorted(unique))))
                others |= {e.event_id for e in map(_event, known) if e.said != unique[e.event_id].said}
        return others

    def forget(self, listener: str) -> int:
        """Delete all events of a listener; how many there were.

        SQLite writes over what it deletes, and empties its log if nobody reads there now.

        Raises
        ------
        FeedbackError
            If the database cannot do it now.
        """
        with self._transaction(writes=True) as connection:
            count = int(connection.execute(self._table.delete().where(self._table.c.listener == listener)).rowcount)
        if self._sqlite:
            with self._told(), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    def read(
        self, columns: Sequence[str] = COLUMNS, experiment: str | None = None, in_order: bool = True
    ) -> dict[str, list[Any]]:
        """Columns of all events, or of those of an experiment, in the order in which they were received, or in any.

        Raises
        ------
        FeedbackError
            If the database cannot be read now.
        """
        from sqlalchemy import select

        chosen = select(*[self._table.c[name] for name in columns])
        if experiment is not None:
            chosen = chosen.where(self._table.c.experiment == experiment)
        if in_order:
            chosen = chosen.order_by(self._table.c.received)
        with self._transaction(writes=False) as connection:
            result = connection.execute(chosen)
            rows = result.cursor.fetchall()  # as the driver has them: rows of SQLAlchemy's take twice as long
            result.close()
        return {name: [row[i] for row in rows] for i, name in enumerate(columns)}

    def experiments(self) -> list[str]:
        """The experiments that have outcomes; the one that had one last comes last.

        Raises
        ------
        FeedbackError
            If the database cannot be read now.
        """
        from sqlalchemy import func, select

        name, last = self._table.c.experiment, func.max(self._table.c.received)
        with self._transaction(writes=False) as connection:
            return [row[0] for row in connection.execute(select(name).where(name != "").group_by(name).order_by(last))]

    @property
    def is_there(self) -> bool:
        """Whether there is anything to read: nobody may have said anything yet."""
        path = home.sqlite_path(self.uri)
        return not path or Path(path).exists()

    def close(self) -> None:
        """Close connections; the next call opens them again."""
        if "_engine" in self.__dict__:
            self._engine.dispose()

    @property
    def _sqlite(self) -> bool:
        return self.uri.startswith("sqlite:")

    @cached_property
    def _engine(self) -> Any:
        import sqlalchemy

        options = {"timeout": SECONDS_TO_WAIT} if self._sqlite else {
            "connect_timeout": int(SECONDS_TO_WAIT), "options": f"-c statement_timeout={int(1000 * SECONDS_TO_WAIT)}",
        }  # fmt: skip
        try:
            # hidden: an error in the log would name listeners, who can be forgotten here alone
            engine = sqlalchemy.create_engine(self.uri, connect_args=options, hide_parameters=True)
        except (ImportError, sqlalchemy.exc.SQLAlchemyError) as error:
            raise FeedbackError("its address cannot be used: give postgresql://USER@HOST/DATABASE, and "
                                "pip install 'tonearm[server]'", str(error)) from None  # fmt: skip
        if self._sqlite:
            path = home.sqlite_path(self.uri)
            if path:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            sqlalchemy.event.listen(engine, "connect", _set_up)
        return engine

    @cached_property
    def _table(self) -> Any:
        from sqlalchemy import Column, Double, Integer, MetaData, Table, Text

        kinds = {"seconds": Double, "share": Double, "received": Double, "position": Integer}
        empty = ("seconds", "position")
        columns: list[Any] = [
            Column(name, kinds.get(name, Text), primary_key=name == "event_id", nullable=name in empty,
                   index=name in ("listener", "experiment"))
            for name in COLUMNS
        ]  # fmt: skip
        return Table("feedback_events", MetaData(), *columns)

    @cached_property
    def _insert(self) -> Any:
        if self._sqlite:
            from sqlalchemy.dialects.sqlite import insert

            return insert(self._table).on_conflict_do_nothing()
        from sqlalchemy.dialects.postgresql import insert as insert_there

        return insert_there(self._table).on_conflict_do_nothing()

    @contextlib.contextmanager
    def _transaction(self, writes: bool) -> Iterator[Any]:
        with self._told():
            self._make_table()
            with self._engine.begin() as connection:
                if writes and self._sqlite:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection

    def _make_table(self) -> None:
        from sqlalchemy.exc import DBAPIError

        with self._lock:
            for last in (False, True):
                try:
                    if not self._ready:
                        self._table.metadata.create_all(self._engine)
                    break
                except DBAPIError:  # another process has made it between the look and this
                    if last:
                        raise
            self._ready = True

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the database as ours; after one the next call connects anew."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            self._ready = False  # whoever comes back may come back empty
            self.close()
            raise FeedbackError(_why(error), str(getattr(error, "orig", None) or error)) from error


def _event(row: Any) -> Event:
    return Event(**dict(zip(COLUMNS, row, strict=True)))


def _set_up(connection: Any, _: Any) -> None:
    """What each connection to SQLite is told: commits reach the disk, and what is deleted is written over."""
    connection.isolation_level = None  # transactions begin where we say
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _why(error: Exception) -> str:
    """What is wrong with a database, in words that name no place."""
    cause = getattr(error, "orig", None) or error
    code = str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or "")
    found = next((why for known, why in WHY.items() if code.startswith(known)), "")
    return found or ("it cannot be reached" if not code else f"it refuses ({code})")
