"""Which settings fit recordings that are shorter than a recipe's clips."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.datasets.manifest import Reject
from tonearm.training.config import TrialConfig
from tonearm.training.recipe import Recipe

LEFT_OUT = 10  # per cent of the short ones, the shortest: one scrap must not shorten all
LENGTH = re.compile(r"([\d.]+) s of audio")


def fitting_settings(recipe: Recipe, rejects: Sequence[Reject]) -> str:
    """The settings with which most of the recordings that were too short can be used.

    Returns
    -------
    str
        As they are typed, ``--set clip.seconds=15 --set window.frames=323``; empty where no such settings work.
    """
    lengths = [float(m[1]) for r in rejects if r.reason == "too_short" and (m := LENGTH.match(r.detail))]
    if not lengths:
        return ""
    seconds = math.floor(float(np.percentile(lengths, LEFT_OUT, method="lower")))
    configs = [s.config for s in recipe.stages if isinstance(s.config, TrialConfig) and s.config.representations]
    frames = [
        min(r.cut(r.frames_in(seconds)), c.window.frames) for c in configs for r in c.representations.values()
    ]  # fmt: skip
    if seconds < 1 or not frames:
        return ""
    changes = {"clip.seconds": float(seconds), "window.frames": min(frames)}
    try:
        recipe.replace(changes)
    except ConfigError:
        return ""
    return f"--set clip.seconds={seconds} --set window.frames={min(frames)}"
