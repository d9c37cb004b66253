"""Running the steps of a pipeline, each a process of its own, below one run in MLflow."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from tonearm.core.errors import JobError, TrackingError
from tonearm.core.lock import DriverLock
from tonearm.core.text import command, format_table
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, status_of
from tonearm.tracking.query import champion_uri, find_runs, get_run, made_in_step
from tonearm.tracking.retry import retry, retry_best_effort
from tonearm.workflows.mlflow_pages import run_line
from tonearm.workflows.pipeline import MAKES, Pipeline, Step
from tonearm.workflows.pipeline_ledger import Ended, PipelineLedger, folder, when

EXPERIMENT = "pipelines"

logger = logging.getLogger(__name__)

Runner = Callable[[Sequence[str], Mapping[str, str]], int]
"""Runs a command of Tonearm, as in ``("sweep", "demo")``, with more variables; its exit code."""


def run_pipeline(pipeline: Pipeline, run: Runner, start: str = "", again: str = "") -> str:
    """Run what is left of a pipeline that broke off, or all of it anew; the first step that fails ends it.

    Parameters
    ----------
    start
        Number or job of the step to begin with; "": behind what has ended.
    again
        The command by which a person goes on.

    Returns
    -------
    The steps with their times, for people.

    Raises
    ------
    ConfigError
        If a step before the first one has not ended.
    JobError
        If a step fails, or the pipeline is being run by another process.
    """
    first = pipeline.find(start) if start else None
    with DriverLock(folder(pipeline.name), f"pipeline {pipeline.name}"):
        ledger = PipelineLedger.load(pipeline.name)
        failed = ledger.failed
        begin = ledger.first_step(pipeline, first)
        if failed:
            logger.warning(f"  note: step {failed['number']}, {failed['command']}, failed {when(failed)}")
        for step in pipeline.steps[: begin - 1]:
            logger.info(f"[{step.number}/{len(pipeline.steps)}] {step}: ended before, skipped")
        parent = _open(pipeline, ledger)
        ledger.run = parent.run_id
        try:
            ledger.save()
            for step, key in zip(pipeline.steps[begin - 1 :], pipeline.keys()[begin - 1 :], strict=True):
                ledger.ended[step.number] = _run_step(pipeline, step, key, ledger, run, again)
                ledger.save()
        except BaseException as error:
            retry_best_effort(parent.end, status_of(error))
            raise
        ledger.over = True
        ledger.save()
        retry(parent.end)
    rows = [(str(s.number), str(s), f"{ledger.ended[s.number].seconds:.0f} s", ", ".join(ledger.ended[s.number].made))
            for s in pipeline.steps]  # fmt: skip
    return f"pipeline {pipeline.name} has ended\n{format_table(rows)}\n{run_line(EXPERIMENT, parent.run_id)}".rstrip()


def plan_lines(pipeline: Pipeline, start: str = "") -> str:
    """What a run would do now, for people; nothing is changed.

    Raises
    ------
    ConfigError
        As :func:`run_pipeline` does.
    """
    begin = PipelineLedger.load(pipeline.name).first_step(pipeline, pipeline.find(start) if start else None)
    rows = []
    for step in pipeline.steps:
        made = [f"<what step {s.number} makes>" for s in pipeline.made_for(step)] if step.selects_what_was_made else []
        given, makers = pipeline.learned_before(step) if step.takes_own_champion else ([], [])
        learned = given or [f"what step {s.number} makes" for s in makers]
        made += [f"--model <champion of the data set of {learned[0]}>"] if learned else []
        line = " ".join([command(step.job), *made, *map(shlex.quote, step.arguments)])
        rows.append((str(step.number), line, "ended before, skipped" if step.number < begin else ""))
    return f"pipeline {pipeline.name}\n{format_table(rows)}"


def _run_step(
    pipeline: Pipeline, step: Step, key: str, ledger: PipelineLedger, run: Runner, again: str
) -> Ended:  # fmt: skip
    made = [name for s in pipeline.made_for(step) for name in ledger.ended[s.number].made]
    words = step.command(made, _own_champion(pipeline, step, ledger) if step.takes_own_champion else "")
    which = f"{ledger.run}/{step.number}"
    logger.info(f"\n[{step.number}/{len(pipeline.steps)}] {command(*words)}")
    child = retry(RunWriter.open, EXPERIMENT, f"{step.number} {step.job}", ledger.run, {"command": command(*words)})
    try:
        retry(child.resume)
        started = time.monotonic()
        code = run(words, {names.STEP_VARIABLE: which})
        seconds = time.monotonic() - started
        if code:
            ledger.failed = {"number": step.number, "command": str(step), "code": code, "at": time.time()}
            ledger.save()
            raise JobError(
                f"step {step.number} of pipeline {pipeline.name}, {command(*words)}, failed with exit code {code}: "
                f"mend what it says above, then go on with: {again}"
            )
        kind = MAKES.get(step.job)
        found = retry(made_in_step, which, kind) if kind else []
        if kind and not found:
            raise JobError(f"{command(*words)} ended well, but left no run in MLflow that could be selected from")
        retry(child.metrics, {"seconds": seconds})
        if found:
            retry(child.tag, f"{names.PIPELINE}.made", ", ".join(found))
        retry(child.end)
    except BaseException as error:
        retry_best_effort(child.end, status_of(error))
        raise
    return Ended(key, str(step), seconds, found)


def _own_champion(pipeline: Pipeline, step: Step, ledger: PipelineLedger) -> str:
    """The champion of the data set that the steps before learned; "" if they learned none."""
    given, makers = pipeline.learned_before(step)
    runs = given or [name for s in makers for name in ledger.ended[s.number].made]
    return champion_uri(retry(find_runs, runs[0])[0].experiment) if runs else ""


def _open(pipeline: Pipeline, ledger: PipelineLedger) -> RunWriter:
    """The run of a pipeline that broke off, or a new one."""
    if ledger.run:
        try:
            retry(get_run, ledger.run)
        except TrackingError:  # it was deleted
            ledger.run = ""
    now = datetime.now().astimezone().isoformat(" ", "milliseconds")[:23]  # a run is found by its name: no two have one
    name = f"{pipeline.name} {now}"
    steps = {f"step {step.number}": str(step) for step in pipeline.steps}
    note = {names.NOTE: f"Pipeline {pipeline.name}; its steps are below.", names.SOURCE: "tonearm pipeline"}
    opened = RunWriter(ledger.run) if ledger.run else retry(RunWriter.open, EXPERIMENT, name, None, steps, note)
    retry(opened.resume)
    return opened
