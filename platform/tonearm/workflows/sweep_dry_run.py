"""What a sweep would be: its trials, its features and about how long it takes. Nothing starts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass

from tonearm.core.text import format_table
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.estimate import (
    StoreEstimate,
    dataset_counts,
    expected_epoch_fraction,
    training_seconds,
)
from tonearm.sweeps.propose import FIRST_FROM_EARLIER
from tonearm.sweeps.rungs import Rungs
from tonearm.sweeps.space import settings
from tonearm.sweeps.strategies import Grid, Random, strategy_text
from tonearm.training.config import TrialConfig
from tonearm.workflows.sweep_data import GIGABYTE, SweepRequest, listed_tracks, needs_of, prepared
from tonearm.workflows.sweep_result import why_not_selected

SHOWN, MOST_COLUMNS = 40, 6  # trials and columns of the table


@dataclass(frozen=True)
class DryRun:
    """What a sweep would be.

    Attributes
    ----------
    configs
        Of the trials that are known beforehand; without seeds.
    needs
        What the feature stores lack.
    core_seconds
        To the end of every trial, on one core, beside extraction; None where the data set is not known, or on a GPU.
    data_known
        Whether the data set is there, or its files are.
    """

    name: str
    space: SearchSpace
    configs: list[TrialConfig]
    needs: list[StoreEstimate]
    core_seconds: float | None
    data_known: bool
    cpus: float

    @property
    def configurations(self) -> int:
        """How many will be tried."""
        return len(self.configs) if isinstance(self.space.search, Grid | Random) else self.space.trials

    def __str__(self) -> str:
        space, count, epochs = self.space, self.configurations, self.space.trial.optim.max_epochs
        known = len(self.configs)
        adaptive = "" if count == known else f", of which the first {known} are known beforehand"
        how = f"search {strategy_text(space.search)}, scheduler {strategy_text(space.scheduler)}"
        lines = [
            f"{self.name}: {count} configurations x {space.seeds} seed(s){adaptive}; at most {epochs} epochs a trial",
            f"  {how}{_rungs_text(space)}",
        ]
        once = space.data_stages()
        for stage in space.upstream_stages:
            often = "" if space.seeds == 1 else ", once" if stage.name in once else f", with {space.seeds} seeds"
            lines.append(f"  trained before: {stage.name}{often}")
        lines.append(_trials_table(space, self.configs))
        size = sum(n.bytes_per_track for n in self.needs) / 1e6
        lines.append(f"{len(self.needs)} distinct representation(s), {size:.2f} MB a track")
        if self.needs:
            lines.append(_needs_table(self.needs))
        unselectable = why_not_selected(space)
        return "\n".join([*lines, *([f"note: {unselectable}"] if unselectable else []), self._time()])

    def __repr__(self) -> str:
        return str(self)

    def _time(self) -> str:
        if self.core_seconds is None:
            return (
                "time: not known for a GPU: only this machine's cores are timed" if self.data_known else
                "time: not known without the data set: name a prepared one, or its kind and its folder"
            )  # fmt: skip
        space, workers = self.space, max(1, int((os.cpu_count() or 1) / self.cpus))
        expected = self.core_seconds * expected_epoch_fraction(space.scheduler, self.configurations)
        before = " and the stages before" if space.upstream_stages else ""
        return (
            f"time: about {duration(expected / workers)} with {workers} trial(s) at once "
            f"({duration(expected)} of one core; to the end of every trial {duration(self.core_seconds)}), beside "
            f"extraction{before}; a few steps of these networks were timed here"
        )


def dry_run(request: SweepRequest) -> DryRun:
    """Check a request, and find out what its sweep would be; a few steps of its networks are timed.

    Raises
    ------
    ConfigError
        If the space or the data set cannot be.
    """
    space = request.space
    space.check()
    earlier = request.warm_start()
    manifest = prepared(request.dataset, request.root)
    tracks = manifest.tracks if manifest else listed_tracks(request) if request.root else None
    needs = needs_of(space.extractions([e.values for e in earlier.found[:FIRST_FROM_EARLIER]]), tracks)
    counts = dataset_counts(space.trial, manifest, tracks)
    configs = space.configs(space.points())
    found = DryRun(request.name, space, configs, needs, None, counts is not None, request.cpus)
    if counts is None or request.gpus:
        return found
    seconds = training_seconds(configs, counts) / len(configs) * found.configurations * space.seeds
    return dataclasses.replace(found, core_seconds=seconds)


def _needs_table(needs: Sequence[StoreEstimate]) -> str:
    rows: list[tuple[str, ...]] = [("representation", "clip, s", "MB a track", "tracks to extract", "GB")]
    rows += [(n.representation.brief(), f"{n.seconds:g}", f"{n.bytes_per_track / 1e6:.2f}",
              "" if n.missing is None else str(n.missing), f"{n.bytes / GIGABYTE:.2f}") for n in needs]  # fmt: skip
    return format_table(rows)


def _trials_table(space: SearchSpace, configs: Sequence[TrialConfig]) -> str:
    """The trials, a row each; of many fields a row each, with the first few trials."""
    if len(space.over) <= MOST_COLUMNS:
        rows: list[tuple[str, ...]] = [("trial", *space.over)]
        rows += [(f"{i:02d}", *settings(c, space.over)) for i, c in enumerate(configs[:SHOWN])]
        more = len(configs) - SHOWN
    else:
        values = [settings(c, space.over) for c in configs[:MOST_COLUMNS]]
        rows = [("field", *(f"trial {i:02d}" for i in range(len(values))))]
        rows += [(path, *(v[i] for v in values)) for i, path in enumerate(space.over)]
        more = len(configs) - MOST_COLUMNS
    return format_table(rows) + (f"\n  and {more} more" if more > 0 else "")


def _rungs_text(space: SearchSpace) -> str:
    rungs = Rungs(space.scheduler, space.trial)
    places = ", ".join(map(str, rungs.epochs(space.trial)[: rungs.last]))
    return f": the base is judged after epoch {places}" if places else ""


def duration(seconds: float) -> str:
    """For people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
