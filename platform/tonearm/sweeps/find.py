"""Search spaces by name: each is a function without arguments."""

from __future__ import annotations

from collections.abc import Callable

from tonearm.core.plugins import OURS, call_by_place, modules_of
from tonearm.core.registry import Namespace, Registry
from tonearm.sweeps.space import SearchSpace

SPACES: Registry[Callable[[], SearchSpace]] = Registry("search space")
"""``search_spaces`` adds ours, a module of one's own may add others."""
spaces = Namespace(SPACES)


def is_own(name: str, space: SearchSpace) -> bool:
    """Whether code outside Tonearm makes a space: the function that ``name`` leads to, or a class in it."""
    made_in = name.partition(":")[0] if ":" in name else SPACES[name].__module__
    return any(module.split(".")[0] not in ("tonearm", OURS) for module in [made_in, *modules_of(space)])


def find_space(name: str) -> SearchSpace:
    """A search space by its registered name, or by its place, ``package.module:function``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    return call_by_place("search space", name, SearchSpace) if ":" in name else SPACES[name]()
