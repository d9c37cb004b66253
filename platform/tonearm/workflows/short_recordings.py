"""Which settings fit recordings that are shorter than a recipe's clips."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.datasets.folder import FolderConfig
from tonearm.datasets.manifest import Reject
from tonearm.sweeps import SearchSpace
from tonearm.training.config import TrialConfig
from tonearm.training.recipe import Recipe, Stage

LEFT_OUT = 10  # per cent of the short ones, the shortest: one scrap must not shorten all
LENGTH = re.compile(r"([\d.]+) s of audio")

Attempt = Callable[[Mapping[str, object]], object]


@dataclass(frozen=True)
class FittingSettings:
    """What fits most of the recordings that were too short.

    Attributes
    ----------
    length
        Of these recordings, seconds: but for the shortest of them, all are at least as long.
    changes
        Fields of a trial: ``clip.seconds``, and ``window.frames`` or ``window.seconds``.
    problem
        Why these cannot work; "" if they can.
    """

    length: float
    changes: Mapping[str, float | int]
    problem: str = ""

    def __str__(self) -> str:
        """A paragraph for the end of an error, with the settings as they are typed."""
        if self.problem:
            return f"\nRecordings of {self.length:.1f} s are too short for this network: {self.problem}"
        return "\nFor recordings as short as these: " + " ".join(f"--set {k}={v:g}" for k, v in self.changes.items())


def fitting_settings(
    recipe: Recipe, rejects: Sequence[Reject], attempt: Attempt | None = None
) -> FittingSettings | None:
    """The settings with which most of the recordings that were too short can be used.

    Parameters
    ----------
    attempt
        Raises a ConfigError if settings cannot work; None: they are put into the recipe.

    Returns
    -------
    They; None where recordings were not too short, or no audio is learned from.
    """
    lengths = [float(m[1]) for r in rejects if r.reason == "too_short" and (m := LENGTH.match(r.detail))]
    configs = [s.config for s in recipe.stages if isinstance(s.config, TrialConfig) and s.config.representations]
    typical = float(np.percentile(lengths, LEFT_OUT, method="lower")) if lengths else 0.0
    seconds = math.floor(typical) or math.floor(10 * typical) / 10
    if not configs or not seconds:
        return None
    changes: dict[str, float | int] = {"clip.seconds": float(seconds)}
    lasting = [c.window.seconds for c in configs if c.window.seconds is not None]
    counted = [
        min(r.cut(r.frames_in(seconds)), c.window.frames)
        for c in configs
        for r in c.representations.values()
        if c.window.seconds is None and not r.is_whole
    ]
    if lasting:
        changes["window.seconds"] = min(float(seconds), *lasting)
    if counted:
        changes["window.frames"] = min(counted)
    try:
        (attempt or recipe.replace)(changes)
    except ConfigError as error:
        return FittingSettings(typical, changes, error.problems[0])
    return FittingSettings(typical, changes)


def advice(recipe: Recipe, rejects: Sequence[Reject], attempt: Attempt | None = None) -> str:
    """:func:`fitting_settings` as the end of an error; "" where there are none."""
    found = fitting_settings(recipe, rejects, attempt)
    return str(found) if found else ""


def space_recipe(space: SearchSpace) -> Recipe:
    """The recipe that a space varies."""
    return space.base if isinstance(space.base, Recipe) else Recipe(FolderConfig(), (Stage("trial", space.base),), "")


def change_space(space: SearchSpace, changes: Mapping[str, object]) -> SearchSpace:
    """A space with other fields.

    Raises
    ------
    ConfigError
        If it does not work with them, or varies one of them.
    """
    if varied := changes.keys() & space.over.keys():
        raise ConfigError(f"the space varies {', '.join(sorted(varied))}")
    changed = space.replace_base(changes)
    changed.check()
    return changed
