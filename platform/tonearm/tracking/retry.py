"""A tracking server that may be away: which errors mean that, and calls that are repeated until it is back."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tonearm.core import home
from tonearm.core.errors import TrackingError
from tonearm.core.passwords import without_password

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

MIN_RETRY_DELAY, MAX_RETRY_DELAY = 0.5, 15.0  # seconds
#: MLflow's own seven retries take minutes, and would repeat what must not be done twice: making a run, say.
NO_CLIENT_RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
#: What PostgreSQL and MySQL report as they report a broken connection, though waiting does not help.
PERMANENT_ERRORS = ("authentication failed", "access denied", "does not exist", "unknown database", "pg_hba.conf")


def address() -> str:
    """The tracking URI for messages: without its password."""
    return without_password(home.tracking_uri())


def disable_client_retries() -> None:
    """Let MLflow's client report at once that a server is away; variables that are already set are kept."""
    for name, value in NO_CLIENT_RETRIES.items():
        os.environ.setdefault(name, value)


def backoff_delays() -> Iterator[float]:
    """Seconds to wait before each new attempt, growing; without end."""
    pause = MIN_RETRY_DELAY
    while True:
        yield pause
        pause = min(2 * pause, MAX_RETRY_DELAY)


def is_unavailable(error: BaseException) -> bool:
    """Whether an error means that the server or database is unavailable now, not that it refuses.

    Away are: a broken or refused connection, no answer in time, HTTP 429 and 5xx, a database that is locked or
    restarts. A wrong password, an unknown database and every other 4xx are refusals.
    """
    return _classify_error(error)[0]


def error_summary(error: BaseException) -> str:
    """The message of an error, in one line."""
    decisive = _classify_error(error)[1]
    inner = getattr(decisive.args[0], "reason", None) if decisive.args else None  # urllib3's, within requests' own
    text = " ".join(str(inner or decisive).split())
    return (text.partition("): ")[2] if inner else text)[:300] or text or type(decisive).__name__


def retry(
    function: Callable[..., Result], *args: Any, seconds: float = 600.0, say: Callable[[str], None] = logger.warning
) -> Result:
    """Call a function that asks the tracking server, again and again while the server is away.

    Parameters
    ----------
    function
        Must be safe to repeat, as all of :class:`tonearm.tracking.log.RunWriter` is.
    seconds
        How long to go on.
    say
        Called once when the server is away, and once when it is back.

    Raises
    ------
    TrackingError
        If it is still away at the end. What is refused is raised as it is, at once.
    """
    disable_client_retries()
    end, pause, reported = time.monotonic() + seconds, backoff_delays(), False
    while True:
        try:
            result = function(*args)
        except Exception as error:
            if not is_unavailable(error):
                raise
            left = end - time.monotonic()
            if left <= 0:
                raise TrackingError(
                    f"MLflow at {address()} has not answered for {_duration(seconds)} ({error_summary(error)}): "
                    "start it and run the same command again: what is finished is kept"
                ) from error
            if not reported:
                say(
                    f"MLflow at {address()} does not answer ({error_summary(error)}); "
                    f"trying again for {_duration(seconds)}"
                )
            reported = True
            time.sleep(min(next(pause), left))
        else:
            if reported:
                say(f"MLflow at {address()} answers again")
            return result


def retry_best_effort(
    function: Callable[..., object], *args: Any, seconds: float = 20.0, say: Callable[[str], None] = logger.warning
) -> None:
    """Call a function that asks the tracking server while another error is handled: a failure here is only logged."""
    try:
        retry(function, *args, seconds=seconds, say=say)
    except Exception as error:
        say(f"could not record the final status in MLflow: {error_summary(error)}")


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:g} seconds"


def _classify_error(error: BaseException) -> tuple[bool, BaseException]:
    """Whether an error means away, and the error behind it that decided."""
    from mlflow.exceptions import MlflowException, RestException
    from requests.exceptions import HTTPError, RequestException, SSLError
    from sqlalchemy.exc import SQLAlchemyError

    at: BaseException | None = error
    while at is not None:
        if isinstance(at, SQLAlchemyError):
            return _database_is_unavailable(at), at
        if isinstance(at, RestException):
            return _is_transient_status(at.get_http_status_code()), at  # type: ignore[no-untyped-call]
        if isinstance(at, HTTPError) and at.response is not None:
            return _is_transient_status(at.response.status_code), at
        if isinstance(at, RequestException):  # a URL that is none is a ValueError too
            return not isinstance(at, ValueError | SSLError), at
        if isinstance(at, ConnectionError | TimeoutError):
            return True, at
        # MLflow's client raises anew what it caught. Elsewhere a context may be anything that was being handled.
        raised_anew = isinstance(at, MlflowException) and str(at).startswith("API request to")
        at = at.__cause__ or (at.__context__ if raised_anew else None)
    return False, error


def _is_transient_status(status: int) -> bool:
    return status == 429 or status >= 500


def _database_is_unavailable(error: Exception) -> bool:
    from sqlalchemy import exc

    if isinstance(error, exc.TimeoutError):  # no connection of the pool became free
        return True
    if not isinstance(error, exc.OperationalError | exc.InterfaceError):
        return bool(getattr(error, "connection_invalidated", False))
    text = str(error.orig).lower()
    if isinstance(error.orig, sqlite3.Error):  # a file: all else than another's lock is for good
        return "locked" in text or "busy" in text
    return not any(words in text for words in PERMANENT_ERRORS)
