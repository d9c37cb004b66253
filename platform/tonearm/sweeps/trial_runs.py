"""The runs of trials in MLflow: one says by what its trial was trained, and a trial that began anew has another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import child_runs
from tonearm.tracking.retry import retry
from tonearm.training.anew import begin_anew
from tonearm.training.baselines import BaselineConfig
from tonearm.training.config import TrialConfig
from tonearm.training.trained_code import code_of, machine_of
from tonearm.training.trial import UNKNOWN, TrialFolder


def code_tag(folder: TrialFolder, config: TrialConfig | BaselineConfig) -> dict[str, str]:
    """The tag that says which code has trained a trial, or will."""
    code = " ".join(folder.code()) or (UNKNOWN if folder.history() else code_of(config))
    return {names.CODE: code}


def open_run(
    folder: TrialFolder, experiment: str, name: str, parent: str | None, params: Mapping[str, Any],
    tags: Mapping[str, str], started: int | None = None,
) -> RunWriter:  # fmt: skip
    """The run of a trial that is not trained now, as :meth:`tonearm.tracking.log.RunWriter.open` finds or makes it.

    One that is made says by what process its trial was trained, which may be another sweep's. One of what the trial was
    before it began anew, perhaps for another sweep, is deleted in MLflow, whose pages can restore it.
    """
    identity = (experiment, name, parent, params, {**machine_of(folder), **tags})
    run = RunWriter.open(*identity, started=started)
    if names.CODE not in tags or not folder.code():
        return run
    code = run.tags().get(names.CODE, UNKNOWN).split()
    if code[0] != folder.code()[0]:
        run.delete()
        return RunWriter.open(*identity, started=started)
    return run


@dataclass(frozen=True)
class Retraining:
    """What trains trials anew, below a run.

    Attributes
    ----------
    parent
        Its id.
    whatever_code
        Whether also what this code has trained: since what it builds upon was trained anew.
    say
        Takes a line for people.
    """

    parent: str
    whatever_code: bool
    say: Callable[[str], object]

    def __call__(self, name: str, folder: TrialFolder, config: TrialConfig | BaselineConfig) -> bool:
        """Let a trial begin anew if it is one of these; whether it does."""
        before = " then ".join(folder.code()) or UNKNOWN
        if not begin_anew(folder, config, self.whatever_code):
            return False
        for run in retry(child_runs, self.parent):
            if run.tags.get(names.FOLDER) == folder.uri:
                retry(RunWriter(run.run_id).delete)
        self.say(f"  {name} is trained anew: it was trained by code {before}, now {code_of(config)}")
        return True


def mark_running_as_killed(parent: str) -> None:
    """Mark the runs below a run that nobody writes any more as killed."""
    for run in child_runs(parent):
        if run.status == "RUNNING":
            RunWriter(run.run_id).end("KILLED")
