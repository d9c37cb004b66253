"""Following a job of a cluster: its output from where it broke off, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.core.seeding import digest
from tonearm.core.text import format_table
from tonearm.workflows.ray_jobs import SECONDS_BETWEEN_LOOKS, LostJobError, RayJobs

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

LOST = ("JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_START_FAILURE", "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE")
"""Ray's error types of a driver that went away with its node; it says so some two minutes later."""
KILLED = (-9, 137)  # exit codes of a driver that the system ended, for want of memory, say
WAITS = 5  # times as long as it took to fetch the output: all of it comes each time
SECONDS_TO_STOP = 60.0


def follow(jobs: RayJobs, job: str, show: Callable[[str], None]) -> JobDetails | None:
    """Show what a job prints until it ends, from where this machine saw it last.

    Returns
    -------
    How it ended; None if the cluster knows it no more.
    """
    try:
        place = _place(jobs, job)
        shown = _seen(place)
        while True:
            info = jobs.info(job)
            started = time.monotonic()
            printed = jobs.output(job) or ""  # none where its node is gone
            if len(printed) > shown:
                show(printed[shown:])
                shown = len(printed)
                with suppress(OSError):  # a full disk: the next one to attach sees it again
                    storage.write_json(place, {"shown": shown})
            if info.status.is_terminal():
                return info
            time.sleep(max(SECONDS_BETWEEN_LOOKS, WAITS * (time.monotonic() - started)))
    except LostJobError:
        return None


def _place(jobs: RayJobs, job: str) -> str:
    """The file that remembers how much of a job's output was seen; of a later job of the same id another one."""
    key = digest(jobs.address, job, jobs.info(job).start_time)
    return storage.join(home.node_cache(), "followed", f"{key}.json")


def _seen(place: str) -> int:
    """How many characters of the output were shown."""
    try:
        return int(storage.read_json(place)["shown"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def is_lost(end: JobDetails | None) -> bool:
    """Whether a job's driver went away without an end of its own."""
    if end is None:
        return True
    if end.status != "FAILED":
        return False
    return end.error_type in LOST if end.driver_exit_code is None else end.driver_exit_code in KILLED


def exit_code(job: str, end: JobDetails | None) -> int:
    """The exit code of a job that ended, 0 to 255.

    Raises
    ------
    JobError
        If it has none: it was lost, stopped, or could not begin.
    """
    if end is None:
        raise JobError(f"{job} was lost: the cluster knows it no more; send it again, it goes on with what is finished")
    if end.status == "SUCCEEDED":
        return 0
    if end.status == "STOPPED":
        raise JobError(f"{job} was stopped; sent again it goes on with what is finished")
    if end.driver_exit_code is None:
        why = " ".join(str(end.message or "no reason is known").split())[:500]
        again = "; --retries 1 sends it again" if is_lost(end) else ""
        raise JobError(f"{job} failed without an exit code: {why}{again}")
    code = end.driver_exit_code
    return code if code > 0 else 128 - code


def stop(jobs: RayJobs, job: str) -> str:
    """Stop a job and wait for its end; what to tell.

    Raises
    ------
    JobError
        If it has not ended a minute later.
    """
    info = jobs.info(job)
    if info.status.is_terminal():
        return f"{job} had ended already: {info.status}, {spoken_time(info.end_time)}"
    jobs.stop(job)
    deadline = time.monotonic() + SECONDS_TO_STOP
    while not (info := jobs.info(job)).status.is_terminal():
        if time.monotonic() > deadline:
            raise JobError(f"{job} was asked to stop {SECONDS_TO_STOP:.0f} s ago, and is {info.status} still")
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return f"{job} is stopped; sent again it goes on with what is finished"


def table(jobs: RayJobs) -> str:
    """What was submitted to a cluster, the last first, for people."""
    rows: list[tuple[str, ...]] = [("job", "state", "since", "minutes", "command")]
    for job in reversed(jobs.list()):
        end = job.end_time / 1000 if job.end_time else time.time()
        minutes = f"{(end - job.start_time / 1000) / 60:.1f}" if job.start_time else ""
        what = job.entrypoint.removeprefix("python -m ")
        rows.append((str(job.submission_id), str(job.status.value).lower(), spoken_time(job.start_time), minutes, what))
    return format_table(rows, indent="") if len(rows) > 1 else f"no job was submitted to {jobs.address}"


def spoken_time(milliseconds: int | None) -> str:
    """A time since 1970 as people read it."""
    return (
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000)) if milliseconds else "an unknown time"
    )
