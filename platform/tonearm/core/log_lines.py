"""Log lines as JSON, for a collector: ``TONEARM_LOG=json``. Each has the ids of the job and of the trial that it is of.

What a job says while it works goes to stderr then, a line a message, and results alone stay on stdout. Workers write
the same lines to their own stderr, which Ray keeps in its session's ``logs``.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid

from tonearm.core.errors import ConfigError

VARIABLE, JOB = "TONEARM_LOG", "TONEARM_JOB"
FORMATS = ("text", "json")
OF_RAYS_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # where Ray tells a submitted job who it is
_ids: dict[str, str] = {}


class JsonFormatter(logging.Formatter):
    """A line of JSON: ``time`` (UTC), ``level``, ``logger``, ``message``, the ids, and the ``error`` with its traceback
    where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname.lower(), "logger": record.name,
                "message": record.getMessage().strip(), **log_ids()}  # fmt: skip
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def wants_json() -> bool:
    """Whether log lines are to be JSON.

    Raises
    ------
    ConfigError
        If ``TONEARM_LOG`` is neither ``text`` nor ``json``.
    """
    given = os.environ.get(VARIABLE, "").strip().lower() or "text"
    if given not in FORMATS:
        raise ConfigError(f"{VARIABLE} is {given!r}: give {' or '.join(FORMATS)}")
    return given == "json"


def log_as_json() -> None:
    """Write what the library says, INFO and above, to stderr as JSON; a second call is no harm."""
    logger = logging.getLogger("tonearm")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not writes_json():
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)


def writes_json() -> bool:
    """Whether :func:`log_as_json` was called."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger("tonearm").handlers)


def log_in_worker(**ids: str) -> None:
    """In a worker: write JSON if the driver does, from now on with these ids."""
    if wants_json():
        _ids.update(ids)
        log_as_json()


def log_ids() -> dict[str, str]:
    """``job``, of a submitted one its submission id, and what :func:`log_in_worker` was given: ``trial``."""
    return {"job": job_id(), **_ids}


def job_id() -> str:
    """The id of the job that this process is, or works for."""
    if JOB not in os.environ:
        told = json.loads(os.environ.get(OF_RAYS_JOB) or "{}").get("metadata") or {}
        os.environ[JOB] = told.get("job_submission_id") or uuid.uuid4().hex[:12]
    return os.environ[JOB]


def log_variables() -> dict[str, str]:
    """What workers need to write lines as the driver does."""
    return {VARIABLE: "json", JOB: job_id()} if wants_json() else {}
