"""The jobs of this machine that run on the home."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tonearm.core import home

WATCHERS = {"ls", "status"}  # they look, and do nothing


@dataclass(frozen=True)
class JobProcess:
    """A job that runs on this machine; ``since`` is seconds since 1970."""

    pid: int
    job: str
    since: float


def job_name(arguments: Sequence[str]) -> str:
    """The job that a process runs, by its command line: of ``tonearm NAME`` or ``python -m jobs.NAME``; "" if none."""
    if not arguments or not Path(arguments[0]).name.startswith("python"):
        return ""
    rest = list(itertools.dropwhile(lambda a: a.startswith("-") and a != "-m", arguments[1:]))
    match rest:
        case ["-m", "jobs.cli", command, *_]:
            return command
        case ["-m", module, *_] if module.startswith("jobs."):
            return module.removeprefix("jobs.")
        case [script, command, *_] if Path(script).name == "tonearm":
            return command
    return ""


def find_jobs() -> list[JobProcess]:
    """The jobs of this user that run on this home, oldest first."""
    return sorted(_find_jobs(), key=lambda j: j.since)


def _find_jobs() -> Iterator[JobProcess]:
    import psutil

    for process in psutil.process_iter():
        try:
            name = job_name(process.cmdline())
            if not name or name in WATCHERS:
                continue
            where = process.environ().get(home.HOME, "").strip() or home.DEFAULT_HOME
            if home.home() == home.absolute(where, process.cwd()):
                yield JobProcess(process.pid, name, process.create_time())
        except (psutil.Error, OSError):  # it has just ended, or is another user's
            continue
