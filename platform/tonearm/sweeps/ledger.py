"""The trials of a sweep in the order in which they were proposed, on disk before any of them runs.

``trials.json`` in the sweep's folder is what makes a sweep one that goes on: a driver that starts again finds what was
proposed, and never proposes it anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tonearm.core import storage
from tonearm.sweeps.domains import Domain, from_parameter, to_parameter
from tonearm.sweeps.space import Values
from tonearm.sweeps.trial_names import trial_name
from tonearm.tracking import names
from tonearm.training.config import TrialConfig
from tonearm.training.trial import TrialFolder

FILE = "trials.json"


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
    """

    index: int
    configuration: int
    values: Values
    config: TrialConfig
    varied: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """Of the trial and its run, for people."""
        return trial_name(self.index, self.config, self.varied or tuple(self.values))

    @property
    def folder(self) -> str:
        """Name of its folder in the sweep's."""
        return names.trial_folder(self.index, self.config.signature())


class Ledger:
    """The proposals of one sweep.

    Parameters
    ----------
    folder
        The sweep's, at any URI.
    over
        The varied fields and their domains; without them the proposals' values stay empty.
    """

    def __init__(self, folder: str, over: Mapping[str, Domain] | None = None) -> None:
        self.folder, self._over = folder, over or {}
        self._uri = storage.join(folder, FILE)
        rows: list[dict[str, Any]] = storage.read_json(self._uri) if storage.exists(self._uri) else []
        self.proposals = [self._read(i, row) for i, row in enumerate(rows)]

    def add(self, proposals: Sequence[Proposal]) -> None:
        """Write more proposals down."""
        self.proposals = [*self.proposals, *proposals]
        storage.write_json(self._uri, [self._row(p) for p in self.proposals])

    def trial(self, proposal: Proposal) -> TrialFolder:
        """The folder of a trial."""
        return TrialFolder(storage.join(self.folder, proposal.folder))

    def _row(self, proposal: Proposal) -> dict[str, Any]:
        places = {path: to_parameter(self._over[path], value) for path, value in proposal.values.items()}
        return {"configuration": proposal.configuration, "places": places, "config": proposal.config.to_dict()}

    def _read(self, index: int, row: Mapping[str, Any]) -> Proposal:
        values = {path: from_parameter(self._over[path], place) for path, place in row["places"].items()
                  if path in self._over}  # fmt: skip
        config = dict(row["config"])
        config["members"] = [self._moved(member) for member in config.get("members") or ()]
        config["start"] = self._moved(config["start"]) if config.get("start") else None
        return Proposal(index, int(row["configuration"]), values, TrialConfig.from_dict(config), tuple(row["places"]))

    def _moved(self, member: Mapping[str, Any]) -> dict[str, Any]:
        """A member whose folder is here, beside the sweep's, if the home was moved or copied."""
        trials, _, name = str(member.get("bundle", "")).rpartition("/trials/")
        beside = storage.join(self.folder.rpartition("/trials/")[0], "trials", name)
        moved = trials and "/trials/" in self.folder and beside != member["bundle"] and storage.exists(beside)
        return {**member, "bundle": beside} if moved else dict(member)
