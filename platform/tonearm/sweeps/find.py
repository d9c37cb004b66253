"""Search spaces by name: each is a function without arguments."""

from __future__ import annotations

from collections.abc import Callable

from tonearm.core.plugins import call_by_place
from tonearm.core.registry import Namespace, Registry
from tonearm.sweeps.space import SearchSpace

SPACES: Registry[Callable[[], SearchSpace]] = Registry("search space")
"""``search_spaces`` adds ours, a module of one's own may add others."""
spaces = Namespace(SPACES)


def find_space(name: str) -> SearchSpace:
    """A search space by its registered name, or by its place, ``package.module:function``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    return call_by_place("search space", name, SearchSpace) if ":" in name else SPACES[name]()
