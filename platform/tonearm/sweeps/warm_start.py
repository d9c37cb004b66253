"""Settings of earlier runs, for a sweep to begin with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tonearm.core import storage
from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.sweeps.domains import Choice, Domain, contains, from_parameter, to_parameter
from tonearm.sweeps.results import ENDING
from tonearm.sweeps.sampling import Observation
from tonearm.sweeps.space import SearchSpace, Values
from tonearm.tracking import names
from tonearm.tracking.query import artifact_bytes, find_runs, leaf_runs
from tonearm.training.config import TrialConfig

FILE = "earlier.json"


@dataclass(frozen=True)
class WarmStartTrial:
    """Settings that were tried before.

    Attributes
    ----------
    score
        The best validation value.
    data
        Signature of the data that they were tried on.
    """

    values: Values
    score: float
    data: str


@dataclass(frozen=True)
class WarmStart:
    """What a sweep begins with.

    Attributes
    ----------
    run_ids
        The runs or sweeps that were named.
    found
        Their settings that lie in the space, the best first.
    """

    run_ids: tuple[str, ...] = ()
    found: tuple[WarmStartTrial, ...] = ()

    def on(self, data: str) -> tuple[Observation, ...]:
        """As a search uses them: scores on the same data count, of others only the settings do."""
        return tuple(Observation(e.values, e.score if e.data == data else None, e.data != data) for e in self.found)

    def persisted_in(self, folder: str, over: Mapping[str, Domain]) -> WarmStart:
        """Those that a sweep began with, written down in its folder the first time: runs may come and go in MLflow."""
        uri = storage.join(folder, FILE)
        if not self.run_ids:
            return self
        if not storage.exists(uri):
            rows = [{"places": {p: to_parameter(over[p], v) for p, v in e.values.items()}, "score": e.score,
                     "data": e.data} for e in self.found]  # fmt: skip
            storage.write_json(uri, rows)
        kept = tuple(
            WarmStartTrial({p: from_parameter(over[p], v) for p, v in row["places"].items()}, row["score"], row["data"])
            for row in storage.read_json(uri)
        )
        return WarmStart(self.run_ids, kept)


NONE = WarmStart()


def load_warm_start(space: SearchSpace, texts: Sequence[str]) -> WarmStart:
    """The settings of completed runs that lie in the space.

    Parameters
    ----------
    texts
        Runs or sweeps, as :func:`tonearm.tracking.query.find_runs` takes them.

    Raises
    ------
    ConfigError
        If none of the runs has settings that lie in the space.
    """
    task, seen = space.trial.task, 0
    best, found = f"best_{task.primary}", list[WarmStartTrial]()
    named = [found_run for text in texts for found_run in find_runs(text)]
    for run in [leaf for one in named for leaf in leaf_runs(one.run_id)]:
        data = artifact_bytes(run.run_id, "config.json") if run.status == "FINISHED" else None
        description = json.loads(data) if data else {}
        if "model" not in description or best not in run.metrics or run.tags.get(ENDING) == "stopped":
            continue  # a baseline, or ranked by another metric, or its score is not that of a whole training
        seen += 1
        values = values_in(space, TrialConfig.from_dict(description))
        if values is not None:
            found.append(WarmStartTrial(values, run.metrics[best], run.tags.get(names.DATA, "")))
    if texts and not found:
        raise ConfigError(
            f"none of the {seen} completed trainings of {', '.join(texts)} has settings within this space "
            f"({', '.join(space.over)}) and a {best}: leave warm-start out, or name others"
        )
    sign = -1 if task.maximise else 1
    ordered = sorted(found, key=lambda e: (sign * e.score, str(e.values)))
    return WarmStart(tuple(run.run_id for run in named), tuple(ordered))


def values_in(space: SearchSpace, config: TrialConfig) -> Values | None:
    """The values of the varied fields that make this config, as far as these go; None if one is not in its domain."""
    values: Values = {}
    for path, domain in space.over.items():
        try:
            value = config.at(path)
            within = {p[len(path) + 1 :]: config.at(p) for p in space.over if p.startswith(f"{path}.")}
        except ConfigError:
            return None  # its model has no such field
        if isinstance(domain, Choice):
            same = [option for option in domain.options if _same(option, value, within)]
            if not same:
                return None
            value = same[0]
        elif not contains(domain, value):
            return None
        values[path] = value
    return values


def _same(option: object, value: object, within: Mapping[str, object]) -> bool:
    """Whether an option is the value, but for the fields within it that are varied, too."""
    if not isinstance(option, Config):
        return option == value
    try:
        return option.replace(within) == value
    except ConfigError:
        return False
