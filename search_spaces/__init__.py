"""Search spaces: each is a function without arguments that returns data. Found by name here, checked before use."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.demo import demo
from tonearm.core.registry import Registry
from tonearm.sweeps import SearchSpace

SPACES: Registry[Callable[[], SearchSpace]] = Registry("search space")
for _space in (demo,):
    SPACES.add(_space.__name__, _space)
