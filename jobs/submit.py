"""Send any job to a running Ray cluster, and follow it to its end.

tonearm submit --address http://127.0.0.1:8265 --home /shared/tonearm -- sweep demo --dataset scores
tonearm submit attach sweep-0b5c     # again, from where its output was last seen; logs: all of it
tonearm submit list
tonearm submit stop sweep-0b5c

The job's exit code is the command's. Sent twice it is followed, not run twice; Ctrl-C leaves it running.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.errors import ConfigError
from tonearm.core.text import command

ROOT = Path(__file__).parent.parent
ACTIONS = ("run", "attach", "list", "logs", "stop")
STOPPED = f"; the job goes on: {command('submit', 'list')} names it, attach follows it, stop ends it"


def main(
    words: Annotated[list[str], typer.Argument(metavar="[run] JOB [ARGUMENTS] | attach|logs|stop ID | list")],
    address: Annotated[str, typer.Option(help="of the cluster's dashboard")] = "",
    home: Annotated[str, typer.Option(help="TONEARM_HOME there; by default as it is here")] = "",
    again: Annotated[bool, typer.Option("--again", help="send it again although it ended well")] = False,
    retries: Annotated[int, typer.Option(min=0, help="send it again so often if its driver is lost")] = 0,
    off_head: Annotated[bool, typer.Option("--off-head", help="its driver runs on another node")] = False,
    patience: Annotated[
        float | None, typer.Option(min=0, help="seconds that the head may be away; 120 once it has answered")
    ] = None,
) -> None:
    """Send a job to a running cluster and follow it: tonearm submit -- sweep demo."""
    with cli_errors(stopped=STOPPED):
        action, rest = (words[0], words[1:]) if words[0] in ACTIONS else ("run", words)
        if action != "run" and len(rest) != (action != "list"):
            raise ConfigError(
                f"{action} takes {'no job' if action == 'list' else 'the id of one job'}: {' '.join(rest)}"
            )
        code = _run(rest, address, home, again, retries, off_head, patience) if action == "run" else _ask(
            action, "".join(rest), address, patience)  # fmt: skip
    sys.exit(code)


def _run(
    words: list[str], address: str, home: str, again: bool, retries: int, off_head: bool, patience: float | None
) -> int:
    from jobs import pipeline
    from jobs.arguments import read_arguments
    from jobs.cli import COMMANDS
    from tonearm.workflows.ray_jobs import RayJobs
    from tonearm.workflows.sent_files import variables
    from tonearm.workflows.submit import Submission, run_submission

    if not words:
        raise ConfigError(f"name a job: {command('submit', '--', 'sweep', 'demo')}")
    place, tracking = home or os.environ.get("TONEARM_HOME", ""), os.environ.get("MLFLOW_TRACKING_URI", "")
    module = COMMANDS.get(words[0], words)[0]
    submission = Submission(ROOT, module, tuple(words[1:]), place, tracking)
    submission.check()
    name = next((name for name, (known, _) in COMMANDS.items() if known == module.removeprefix("jobs.")), "")
    given = read_arguments(name, words[1:]) if name else {}
    files = [given["config"]] if given.get("config") else []  # they are on this machine alone
    if name == "pipeline":
        files = [given["file"], *pipeline.read(given["file"]).files()]
    submission = dataclasses.replace(submission, variables=variables(files))
    jobs = RayJobs(address, patience, _note)
    return run_submission(jobs, submission, _show, _note, again=again, retries=retries, off_head=off_head)


def _ask(action: str, text: str, address: str, patience: float | None) -> int:
    from tonearm.workflows import follow_job
    from tonearm.workflows.ray_jobs import RayJobs

    jobs = RayJobs(address, patience, _note)
    if action == "list":
        print(follow_job.table(jobs))
        return 0
    job = str(jobs.find(text).submission_id)
    if action == "stop":
        print(follow_job.stop(jobs, job))
    elif action == "logs":
        _show(jobs.output(job) or "")
    else:
        return follow_job.exit_code(job, follow_job.follow(jobs, job, _show))
    return 0


def _show(text: str) -> None:
    print(text, end="", flush=True)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    typer.run(main)
