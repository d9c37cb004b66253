"""What runs now on a home: sweeps and trainings with their last figures, and servers on this machine."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from tonearm.core import home
from tonearm.tracking.overview import Overview, RunGlance, overview
from tonearm.workflows.job_processes import JobProcess, find_jobs
from tonearm.workflows.listing import ListedSweep, list_sweeps

RUNNING = "RUNNING"
SECONDS_TO_ANSWER = 2.0  # of a server on this machine


@dataclass(frozen=True)
class RunningTraining:
    """A training or sweep that MLflow calls running.

    Attributes
    ----------
    now
        The runs in it that are being trained, each with its epoch.
    best
        The best validation score of the one that reported last; None before its first epoch.
    reported
        Seconds since 1970 when the last epoch came; None before the first. A process that was killed says nothing
        any more.
    """

    name: str
    dataset: str
    started: float
    now: tuple[str, ...]
    best: float | None
    reported: float | None


@dataclass(frozen=True)
class Server:
    """Something that answers on a port of this machine: Tonearm's own server, with its model, or MLflow's pages."""

    what: str
    url: str
    model: str = ""


@dataclass(frozen=True)
class Activity:
    """All of it."""

    home: str
    sweeps: list[ListedSweep]
    trainings: list[RunningTraining]
    servers: list[Server]
    jobs: list[JobProcess]

    @property
    def empty(self) -> bool:
        return not (self.sweeps or self.trainings or self.servers or self.jobs)


def list_activity(port: int, mlflow_port: int) -> Activity:
    """What runs now.

    Parameters
    ----------
    port, mlflow_port
        Where the server and MLflow's pages would be, on this machine.

    Raises
    ------
    TrackingError
        If MLflow is a server that cannot be reached.
    """
    known = overview()
    sweeps = [s for s in list_sweeps(known, []) if s.state == "running"]
    return Activity(home.home(), sweeps, list(_trainings(known)), list(_servers(port, mlflow_port)), find_jobs())


def _trainings(known: Overview) -> Iterator[RunningTraining]:
    below: dict[str | None, list[RunGlance]] = {}
    for run in known.runs:
        if run.status == RUNNING:
            below.setdefault(run.parent, []).append(run)
    for top in below.get(None, []):
        ahead, leaves = [top], list[RunGlance]()
        while ahead:
            run = ahead.pop()
            ahead += below.get(run.run_id, [])
            leaves += [run] if run.run_id not in below and run is not top else []
        last = max(leaves, key=lambda r: r.reported, default=None)
        reported = last.reported / 1000 if last and last.reported else None
        now = tuple(f"{r.name} epoch {r.step}" if r.reported else r.name for r in sorted(leaves, key=lambda r: r.name))
        scores = last.scores if last else {}
        best = next((v for k, v in scores.items() if k == "best" or k.startswith("best_")), None)
        yield RunningTraining(top.name, top.experiment, top.started / 1000, now, best, reported)


def _servers(port: int, mlflow_port: int) -> Iterator[Server]:
    url = f"http://127.0.0.1:{port}"
    answer = _ask(f"{url}/healthz")
    if answer:
        try:
            yield Server("serve", url, str(json.loads(answer)["model"]))
        except (ValueError, KeyError, TypeError):  # some other program's page
            yield Server("another program", url)
    url = f"http://127.0.0.1:{mlflow_port}"
    if _ask(f"{url}/health") == b"OK":
        yield Server("mlflow", url)


def _ask(url: str) -> bytes | None:
    """The answer of this machine's server, None if there is none; a proxy is never asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=SECONDS_TO_ANSWER) as answer:
            return bytes(answer.read())
    except (OSError, http.client.HTTPException, ValueError):  # nobody there, or no answer in time
        return None
