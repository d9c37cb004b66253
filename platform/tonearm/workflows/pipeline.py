"""Steps from recordings to a served model, described in a file: read and checked before the first of them begins."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonearm.core.errors import ConfigError, TonearmError
from tonearm.core.registry import unknown_name
from tonearm.core.seeding import digest
from tonearm.core.text import command, read_yaml, slug
from tonearm.tracking import names
from tonearm.tracking.environment import state

STEPS = ("extract", "train", "sweep", "select", "index", "deploy")
MAKES = {"train": names.TRAINING, "sweep": names.SWEEP}  # what can be selected from, and the tag that it bears
KEYS = ("name", "steps")
FORM = "write steps as they are typed, without tonearm, as in '- sweep demo --dataset scores'"


@dataclass(frozen=True)
class Step:
    """A command of a pipeline.

    Attributes
    ----------
    number
        From 1.
    job, arguments
        As in ``tonearm sweep demo``.
    values
        What the arguments mean, by the names of the job's parameters; ``configuration``: what is in the file that
        ``config`` names.
    """

    number: int
    job: str
    arguments: tuple[str, ...]
    values: Mapping[str, Any]

    @property
    def selects_what_was_made(self) -> bool:
        """Whether it selects from what the steps before have made, which has no name yet."""
        return self.job == "select" and not self.values.get("runs") and not self.values.get("rollback")

    @property
    def takes_own_champion(self) -> bool:
        """Whether it indexes for the champion of what the steps before have made, which it does not name."""
        return self.job == "index" and not self.values.get("model")

    def command(self, made: Sequence[str] = (), champion: str = "") -> tuple[str, ...]:
        """The job and its arguments.

        Parameters
        ----------
        made
            Names of what steps before have made, where it selects from that.
        champion
            A model, where it takes that of the steps before.
        """
        given = made if self.selects_what_was_made else ()
        model = ("--model", champion) if champion and self.takes_own_champion else ()
        return (self.job, *given, *model, *self.arguments)

    def __str__(self) -> str:
        return command(*self.command())


@dataclass(frozen=True)
class Pipeline:
    """A named sequence of steps."""

    name: str
    steps: tuple[Step, ...]

    def keys(self) -> list[str]:
        """What each step is known by once it has ended: its command, what is in the file that this names, the code, and
        all steps before it."""
        keys: list[str] = []
        for step in self.steps:
            keys.append(digest(step.command(), step.values.get("configuration"), state(), keys[-1:]))
        return keys

    def files(self) -> list[str]:
        """The files that its steps name."""
        return [str(s.values["config"]) for s in self.steps if s.values.get("config")]

    def made_for(self, step: Step) -> list[Step]:
        """The steps that a selection which names no run selects from: those since the one before."""
        before = self.steps[: step.number - 1]
        last = max((s.number for s in before if s.job == "select"), default=0)
        return [s for s in before[last:] if s.job in MAKES]

    def learned_before(self, step: Step) -> tuple[list[str], list[Step]]:
        """What the last selection before a step chose from: the names of runs that it was given, or the steps that made
        them. Without a selection the sweeps and trainings before it."""
        chosen = [s for s in self.steps[: step.number - 1] if s.job == "select" and not s.values.get("rollback")]
        last = chosen[-1] if chosen else step
        return list(last.values.get("runs") or ()), self.made_for(last)

    def find(self, text: str) -> Step:
        """A step by its number or its job.

        Raises
        ------
        ConfigError
            If there is none, or several are of that job.
        """
        found = [s for s in self.steps if text in (s.job, str(s.number))]
        if not found:
            raise unknown_name("step", text, [s.job for s in self.steps])
        if len(found) > 1:
            numbers = ", ".join(str(s.number) for s in found)
            raise ConfigError(f"{len(found)} steps are {text}: give the number of one, {numbers}")
        return found[0]


def read_pipeline(
    text: str, name: str, read_arguments: Callable[[str, Sequence[str]], Mapping[str, Any]],
    check: Callable[[Step], None] = lambda _: None,
) -> Pipeline:  # fmt: skip
    """A pipeline from the text of its file.

    ::

        name: scores
        steps:
          - extract --dataset scores --space demo
          - sweep demo --dataset scores --trials 4
          - select
          - deploy scores

    Parameters
    ----------
    name
        Of one whose file gives none.
    read_arguments
        What a job's arguments mean; raises :class:`ConfigError` for those that it does not take.
    check
        Raises for a step that cannot work on this machine.

    Raises
    ------
    ConfigError
        With all that is wrong.
    """
    found = read_yaml(text, "a pipeline's file")
    if not isinstance(found, dict):
        raise ConfigError("a pipeline's file has keys: name and steps")
    problems = [str(unknown_name("key", str(key), KEYS)) for key in found if key not in KEYS]
    name = str(found.get("name") or name)
    if not slug(name) or "/" in name:
        problems.append(f"name is {name!r}: give letters, digits and hyphens")
    lines = found.get("steps")
    if not isinstance(lines, list) or not lines:
        raise ConfigError(problems or f"steps is {lines!r}: give a list; {FORM}")
    steps: list[Step] = []
    for number, line in enumerate(lines, 1):
        try:
            steps.append(_step(number, line, read_arguments))
            check(steps[-1])
        except TonearmError as error:
            problems += [f"step {number}: {text}" for text in getattr(error, "problems", [str(error)])]
    pipeline = Pipeline(slug(name), tuple(steps))
    if len(steps) == len(lines):
        lost = [s for s in steps if s.selects_what_was_made and not pipeline.made_for(s)]
        problems += [f"step {s.number}: select names no run, and no sweep or train comes before it" for s in lost]
    if problems:
        raise ConfigError(problems)
    return pipeline


def _step(number: int, line: object, read_arguments: Callable[[str, Sequence[str]], Mapping[str, Any]]) -> Step:
    if not isinstance(line, str) or not line.strip():
        raise ConfigError(f"{line!r} is no command: {FORM}")
    try:
        job, *arguments = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"{line!r}: {error}") from None
    if job not in STEPS:
        raise unknown_name("step", job, STEPS)
    return Step(number, job, tuple(arguments), read_arguments(job, arguments))
