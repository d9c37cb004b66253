"""What runs now on the home: jobs of this machine, sweeps, trainings, servers.

tonearm status
tonearm status --json
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.common import cli_errors
from jobs.ls import Rows, print_tables, score, when
from tonearm.core import home
from tonearm.workflows.preflight import preflight

if TYPE_CHECKING:
    from tonearm.workflows.activity import Activity

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


def find_jobs() -> Iterator[JobProcess]:
    """The jobs of this user that run on this home."""
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


def tables(found: Activity, jobs: Sequence[JobProcess]) -> Iterator[tuple[str, Rows]]:
    """A title and rows for every kind of thing that runs; the first row holds the columns' names."""
    if jobs:
        yield "jobs on this machine", [("process", "job", "since"), *((str(j.pid), j.job, when(j.since)) for j in jobs)]
    if found.sweeps:
        yield "sweeps", [("name", "data set", "trials ended", "best on validation", "since"),
            *((s.name, s.dataset, f"{s.ended}/{s.trials}", score(s.metric, s.best), when(s.started))
              for s in found.sweeps)]  # fmt: skip
    if found.trainings:
        yield "runs that MLflow calls running", [("name", "data set", "now", "best", "last epoch", "since"),
            *((t.name, t.dataset, ", ".join(t.now), score("", t.best).strip(), ago(t.reported), when(t.started))
              for t in found.trainings)]  # fmt: skip
    if found.servers:
        yield "servers", [("what", "at", "model"), *((s.what, s.url, s.model) for s in found.servers)]


def ago(seconds: float | None) -> str:
    """How long ago that was."""
    if seconds is None:
        return ""
    passed = max(0.0, time.time() - seconds)
    return f"{passed:.0f} s ago" if passed < 120 else f"{passed / 60:.0f} min ago" if passed < 7200 else when(seconds)


def main(
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
    port: Annotated[int, typer.Option(help="of tonearm serve", envvar="TONEARM_PORT")] = 8000,
    mlflow_port: Annotated[int, typer.Option(help="of tonearm mlflow")] = 5000,
) -> None:
    """Show what runs now on the home (TONEARM_HOME): jobs, sweeps and trainings with their last figures, servers."""
    with cli_errors():
        preflight(writes=False)
        from tonearm.workflows.activity import list_activity

        found, jobs = list_activity(port, mlflow_port), sorted(find_jobs(), key=lambda j: j.since)
        if as_json:
            print(json.dumps({**dataclasses.asdict(found), "jobs": [vars(j) for j in jobs]}, indent=1))
            return
        print(f"home {found.home}")
        if found.empty and not jobs:
            print("nothing runs here now; tonearm ls shows what there is")
            return
        print_tables(list(tables(found, jobs)))


if __name__ == "__main__":
    typer.run(main)
