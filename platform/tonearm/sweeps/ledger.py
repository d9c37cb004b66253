"""The trials of a sweep in the order in which they were proposed, on disk before any of them runs.

``trials.json`` in the sweep's folder is what makes a sweep one that goes on: a driver that starts again finds what was
proposed, and never proposes it anew. It says where each trial lies, since other sweeps may want the same ones;
``stopped.json`` says after how many epochs this sweep's scheduler stopped which, and others may go on with these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tonearm.core import storage
from tonearm.sweeps.domains import Domain, from_parameter, to_parameter
from tonearm.sweeps.space import Values
from tonearm.sweeps.trial_names import trial_name
from tonearm.tracking import names
from tonearm.training.config import TrialConfig
from tonearm.training.trial import TrialFolder
from tonearm.training.trial_places import TrialPlaces

Ending = Literal["completed", "stopped"]
FILE, STOPPED = "trials.json", "stopped.json"


@dataclass(frozen=True)
class Proposal:
    """One trial that is to be run.

    Attributes
    ----------
    index
        In the sweep, from 0.
    configuration
        Trials of one configuration differ in their seed only.
    values
        Of the varied fields.
    config
        All of it, on the data as they are there.
    varied
        The paths of the varied fields, where their values are not known.
    place
        Where the trial lies, below the folder of all trials; "" until the ledger has chosen.
    """

    index: int
    configuration: int
    values: Values
    config: TrialConfig
    varied: tuple[str, ...] = field(default=(), compare=False)
    place: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """Of the trial and its run, for people."""
        return trial_name(self.index, self.config, self.varied or tuple(self.values))


class Ledger:
    """The proposals of one sweep.

    Parameters
    ----------
    folder
        The sweep's, at any URI; it lies in the folder of all trials.
    over
        The varied fields and their domains; without them the proposals' values stay empty.
    """

    def __init__(self, folder: str, over: Mapping[str, Domain] | None = None) -> None:
        self.folder, self._over = folder, over or {}
        self._trials, _, self._name = folder.rstrip("/").rpartition("/")
        self._places = TrialPlaces(self._trials)
        self._uri = storage.join(folder, FILE)
        rows: list[dict[str, Any]] = storage.read_json(self._uri) if storage.exists(self._uri) else []
        self.proposals = [self._read(i, row) for i, row in enumerate(rows)]
        stopped = storage.join(folder, STOPPED)
        kept: dict[str, int] = storage.read_json(stopped) if storage.exists(stopped) else {}
        self.stopped = {int(index): epochs for index, epochs in kept.items()}

    def add(self, proposals: Sequence[Proposal]) -> None:
        """Write more proposals down, each with the place of its trial."""
        placed = [replace(p, place=self._places.place(p.config)) for p in proposals]
        self.proposals = [*self.proposals, *placed]
        storage.write_json(self._uri, [self._row(p) for p in self.proposals])

    def stop(self, proposal: Proposal) -> None:
        """Write down that the scheduler stopped a trial after the epochs that it has now."""
        self.stopped[proposal.index] = len(self.trial(proposal).history())
        storage.write_json(storage.join(self.folder, STOPPED), {str(i): n for i, n in sorted(self.stopped.items())})

    def trial(self, proposal: Proposal) -> TrialFolder:
        """The folder of a trial."""
        return TrialFolder(storage.join(self._trials, proposal.place or self._places.place(proposal.config)))

    def ending(self, proposal: Proposal) -> Ending | None:
        """How a trial ended: completed, whoever trained it; stopped, if this sweep did so; None if it has not."""
        how = (self.trial(proposal).ended() or {}).get("how")
        if how == "completed":
            return "completed"
        # Earlier versions marked the trial itself, which was its sweep's alone.
        own = how == "stopped" and proposal.place.startswith(f"{self._name}/")
        return "stopped" if own or proposal.index in self.stopped else None

    def _row(self, proposal: Proposal) -> dict[str, Any]:
        places = {path: to_parameter(self._over[path], value) for path, value in proposal.values.items()}
        return {"configuration": proposal.configuration, "places": places, "config": proposal.config.to_dict(),
                "trial": proposal.place}  # fmt: skip

    def _read(self, index: int, row: Mapping[str, Any]) -> Proposal:
        values = {path: from_parameter(self._over[path], place) for path, place in row["places"].items()
                  if path in self._over}  # fmt: skip
        made = dict(row["config"])
        made["members"] = [self._moved(member) for member in made.get("members") or ()]
        made["start"] = self._moved(made["start"]) if made.get("start") else None
        config, varied = TrialConfig.from_dict(made), tuple(row["places"])
        # Earlier versions kept a sweep's trials in its folder.
        place = row.get("trial") or f"{self._name}/{names.trial_folder(index, config.signature())}"
        return Proposal(index, int(row["configuration"]), values, config, varied, place)

    def _moved(self, member: Mapping[str, Any]) -> dict[str, Any]:
        """A member whose folder is here, beside the sweep's, if the home was moved or copied."""
        trials, _, name = str(member.get("bundle", "")).rpartition("/trials/")
        beside = storage.join(self.folder.rpartition("/trials/")[0], "trials", name)
        moved = trials and "/trials/" in self.folder and beside != member["bundle"] and storage.exists(beside)
        return {**member, "bundle": beside} if moved else dict(member)
