"""What a pipeline has done, in the home: one that broke off goes on, one that ended begins anew."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from tonearm.core import home, storage
from tonearm.core.errors import ConfigError, JobError
from tonearm.workflows.pipeline import Pipeline, Step


@dataclass
class Ended:
    """A step that ended well: its ``key`` and command, seconds, and the names of the sweep or trainings that it ran."""

    key: str
    command: str
    seconds: float
    made: list[str] = field(default_factory=list)


@dataclass
class PipelineLedger:
    """The last run of a pipeline.

    Attributes
    ----------
    run
        Its run in MLflow.
    ended
        Its steps that ended well, by number.
    failed
        The step that did not: ``number``, ``command``, ``code``, ``at`` (seconds since 1970); empty if none.
    over
        Whether all its steps ended.
    """

    name: str
    run: str = ""
    ended: dict[int, Ended] = field(default_factory=dict)
    failed: dict[str, Any] = field(default_factory=dict)
    over: bool = False

    @classmethod
    def load(cls, name: str) -> PipelineLedger:
        """The one of the home; an empty one if there is none.

        Raises
        ------
        JobError
            If it cannot be read.
        """
        uri = ledger_uri(name)
        if not storage.exists(uri):
            return cls(name)
        try:
            kept = storage.read_json(uri)
            ended = {int(number): Ended(**values) for number, values in kept["ended"].items()}
            return cls(name, kept["run"], ended, kept["failed"], kept["over"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise JobError(f"{uri} is damaged ({error}): delete it, and the pipeline begins anew") from None

    def save(self) -> None:
        """Write it down."""
        storage.write_json(ledger_uri(self.name), asdict(self))

    def first_step(self, pipeline: Pipeline, start: Step | None) -> int:
        """The number of the step to begin with; what the ledger has of later ones is forgotten.

        Parameters
        ----------
        start
            That a person wants to begin with; None: behind what has ended, if the last run broke off.

        Raises
        ------
        ConfigError
            If a step before the wanted one failed, or has not ended.
        """
        if start is not None:
            for step in pipeline.steps[: start.number - 1]:
                self._require_ended(step, start)
            first = start.number
        else:
            keys = pipeline.keys()
            done = (0 if self.over else next(
                (i for i, key in enumerate(keys) if i + 1 not in self.ended or self.ended[i + 1].key != key), len(keys)
            ))  # fmt: skip
            first = done + 1
        self.run = self.run if first > 1 and not self.over else ""
        self.ended = {number: ended for number, ended in self.ended.items() if number < first}
        self.failed, self.over = {}, False
        return first

    def _require_ended(self, step: Step, start: Step) -> None:
        ended = self.ended.get(step.number)
        if ended is not None and ended.command == str(step):
            return
        why = "has not ended"
        if self.failed.get("number") == step.number:
            why = f"failed {when(self.failed)} with exit code {self.failed['code']}"
        elif ended is not None:
            why = f"was another command when it ended, {ended.command}"
        raise ConfigError(
            f"step {step.number}, {step}, {why}, and step {start.number}, {start.job}, needs it: leave --from out, "
            "then what has ended is skipped"
        )


def when(failed: dict[str, Any]) -> str:
    """When a step failed, for people."""
    return time.strftime("on %Y-%m-%d at %H:%M", time.localtime(failed["at"]))


def folder(name: str) -> str:
    """Where the home keeps what a pipeline has done."""
    return storage.join(home.home(), "pipelines", name)


def ledger_uri(name: str) -> str:
    """The file of the last run."""
    return storage.join(folder(name), "last.json")
