"""The runs of trials in MLflow: one says by what its trial was trained, and a trial that began anew has another."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True)
class TrialRun:
    """What opens the run of a trial in MLflow: the one that was there only if it is of the same training.

    A trial may begin anew: after its folder was deleted, or since somebody asked for that, perhaps in another sweep. A
    run of the former training is deleted then, which MLflow's pages can restore, and another one made.

    Homes that share a tracking server may have the same trial of the same sweep. The run of another home is left as it
    is, and taken only where all its epochs are those of this trial, as those of a home that was moved.

    Attributes
    ----------
    history
        The metrics of its epochs, as far as they are known.
    is_all
        Whether it surely has no more of them: a run that has is of another training.
    """

    folder: TrialFolder
    config: TrialConfig | BaselineConfig
    history: Sequence[Mapping[str, Any]]
    is_all: bool = False

    def open(
        self, experiment: str, name: str, parent: str | None, params: Mapping[str, Any], tags: Mapping[str, str],
        started: int | None = None,
    ) -> RunWriter:  # fmt: skip
        """As :meth:`RunWriter.open`; a run that is made says by what process its trial was trained,
        which may be another sweep's."""
        begins = self.is_all and not self.history
        code = code_of(self.config) if begins else code_tag(self.folder, self.config)[names.CODE]
        all_tags = {**machine_of(self.folder), **tags, **({names.CODE: code} if names.CODE in tags else {})}
        run = RunWriter.open(experiment, name, parent, params, all_tags, started=started)
        if run.is_new:
            return run
        before, folder = run.tags().get(names.CODE, UNKNOWN), run.tags().get(names.FOLDER, "")
        is_former = self._is_former(run, before.split()[0] != code.split()[0] and names.CODE in tags)
        is_others = self._is_of_other_home(folder)
        if is_former or (is_others and not run.steps(self._curve)):
            if not is_others:
                run.delete()
            return RunWriter.open(experiment, name, parent, params, all_tags, started=started, only_of_folder=True)
        if names.CODE in tags and before != code:
            run.tag(names.CODE, code)
        return run

    @property
    def _curve(self) -> str:
        return f"{names.EPOCH}validation_{self.config.task.primary}"

    def _is_of_other_home(self, folder: str) -> bool:
        """Whether a trial's folder, "" if that is not known, is not below the folder of all trials that this one's is
        below: earlier versions put the trials of each sweep there."""
        trials = self.folder.uri.rstrip("/").rsplit("/", 2)[0]
        return bool(folder) and not folder.startswith(f"{trials}/")

    def _is_former(self, run: RunWriter, is_of_other_code: bool) -> bool:
        """Whether a run has epochs of what the trial was before it began anew."""
        metric = f"validation_{self.config.task.primary}"
        logged = run.curve(self._curve)
        known = {int(epoch["epoch"]): float(epoch[metric]) for epoch in self.history}
        beyond = self.is_all and not logged.keys() <= known.keys()
        differs = any(not _is_equal(logged[step], known[step]) for step in logged.keys() & known.keys())
        return bool(logged) and (is_of_other_code or beyond or differs)


def _is_equal(logged: float, value: float) -> bool:
    """Whether a value is what was logged of it: MLflow has infinity as the largest number."""
    most = sys.float_info.max
    return logged == min(max(value, -most), most) or (math.isnan(logged) and math.isnan(value))


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
        for run in self._runs.pop(folder.uri, []):
            retry(RunWriter(run).delete)
        self.say(f"  {name} is trained anew: it was trained by code {before}, now {code_of(config)}")
        return True

    @cached_property
    def _runs(self) -> dict[str, list[str]]:
        """The ids of the runs below the parent by their trials' folders, read once: a sweep may have many."""
        found: dict[str, list[str]] = {}
        for run in retry(child_runs, self.parent):
            found.setdefault(run.tags.get(names.FOLDER, ""), []).append(run.run_id)
        return found


def mark_running_as_killed(parent: str) -> None:
    """Mark the runs below a run that nobody writes any more as killed."""
    for run in child_runs(parent):
        if run.status == "RUNNING":
            RunWriter(run.run_id).end("KILLED")
