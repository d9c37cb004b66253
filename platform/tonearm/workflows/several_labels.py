"""Tracks with several labels need a task that learns them all: one that learns a single class is told, or replaced."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence

from tonearm.core.errors import ConfigError
from tonearm.core.text import printable
from tonearm.datasets.manifest import Track
from tonearm.sweeps import SearchSpace
from tonearm.tasks import MultiLabel, SingleLabel
from tonearm.tasks.base import Task

logger = logging.getLogger(__name__)


def require_one_label(tracks: Sequence[Track], tasks: Iterable[Task]) -> None:
    """Check that no task would learn the first of a track's labels alone.

    Raises
    ------
    ConfigError
        If one of them has one class a track, and tracks have several labels.
    """
    several = _with_several(tracks)
    if several and any(isinstance(task, SingleLabel) for task in tasks):
        first = several[0]
        raise ConfigError(
            f"{len(several)} of {len(tracks)} tracks have several labels, e.g. {printable(first.track_id)} "
            f"({', '.join(map(printable, first.all_labels))}), and task single_label would learn the first alone: to "
            "learn all, set task.kind to multi_label (--set task.kind=multi_label); or keep the first of each when the "
            "data set is prepared (--several-labels first)"
        )


def learn_all_labels(space: SearchSpace, tracks: Sequence[Track]) -> SearchSpace:
    """The space, or where tracks have several labels and it learns one, the same space with task ``multi_label``."""
    several = _with_several(tracks)
    if not several or not isinstance(space.trial.task, SingleLabel):
        return space
    logger.info(
        f"  {len(several)} of {len(tracks)} tracks have several labels: a fitness of each label is learned (task "
        "multi_label)"
    )
    return without_lost_fields(space.replace_base({"task": MultiLabel()}))


def without_lost_fields(space: SearchSpace) -> SearchSpace:
    """A space whose task is another now, without the varied fields that this one has not."""
    fields = {f"task.{name}" for name in vars(space.trial.task)}
    lost = [path for path in space.over if path.startswith("task.") and path not in fields]
    if not lost:
        return space
    logger.info(f"  task {space.trial.task.kind} has no {', '.join(lost)}: not varied")
    return dataclasses.replace(space, over={path: domain for path, domain in space.over.items() if path not in lost})


def _with_several(tracks: Sequence[Track]) -> list[Track]:
    return [t for t in tracks if len(t.all_labels) > 1]
