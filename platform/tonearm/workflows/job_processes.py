"""The jobs of this machine that run on the home."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tonearm.core import home, storage

WATCHERS = {"ls", "status", "top"}  # they look, and do nothing


@dataclass(frozen=True)
class JobProcess:
    """A job that runs on this machine; ``since`` is seconds since 1970."""

    pid: int
    job: str
    since: float


def job_name(arguments: Sequence[str]) -> str:
    """The job that a process runs, by its command line: of ``tonearm NAME``, ``python -m jobs.NAME`` or
    ``python jobs/NAME.py``; "" if none."""
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
        case [script, *_] if Path(script).suffix == ".py" and Path(script).absolute().parent.name == "jobs":
            return Path(script).stem
    return ""


def chosen_home(arguments: Sequence[str]) -> str:
    """The home that a job is given on its command line: ``--out`` of ``extract``; "" if none."""
    for argument, following in itertools.pairwise([*arguments, ""]):
        if argument == "--out":
            return following
        if argument.startswith("--out="):
            return argument.removeprefix("--out=")
    return ""


def find_jobs() -> list[JobProcess]:
    """The jobs of this user that run on this home, oldest first."""
    return sorted(_find_jobs(), key=lambda j: j.since)


def _find_jobs() -> Iterator[JobProcess]:
    import psutil

    for process in psutil.process_iter():
        try:
            arguments = process.cmdline()
            name = job_name(arguments)
            if not name or name in WATCHERS:
                continue
            given = chosen_home(arguments) if name == "extract" else ""
            where = given or process.environ().get(home.HOME, "").strip() or home.DEFAULT_HOME
            if _resolved(home.home()) == _resolved(home.absolute(where, process.cwd())):
                yield JobProcess(process.pid, name, process.create_time())
        except (psutil.Error, OSError):  # it has just ended, or is another user's
            continue


def _resolved(place: str) -> str:
    """A home by its true path, whatever links lead to it."""
    return os.path.realpath(storage.local_path(place)) if storage.is_local(place) else place.rstrip("/")
