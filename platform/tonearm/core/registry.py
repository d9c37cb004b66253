"""One registry type for everything that is chosen by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from tonearm.core.errors import ConfigError, UnknownNameError
from tonearm.core.plugins import ALLOWED_MODULES, load_plugins

T = TypeVar("T")


def unknown_name(what: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that is none of the known ones, with the closest of them."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UnknownNameError(f"unknown {what} {name!r}.{hint} Known: {', '.join(known) or 'none'}")


def not_registered(what: str, name: str, known: Iterable[str], failures: Sequence[str] = ()) -> UnknownNameError:
    """The error for a name that a registry lacks; ``failures`` are of the modules that might have added it."""
    error = unknown_name(what, name, sorted(known))
    hint = "" if "Did you mean" in str(error) else f". Of your own? Name its module in {ALLOWED_MODULES}"
    return UnknownNameError("; ".join([f"{error}{hint}", *failures]))


def _redefined(earlier: object, later: object) -> bool:
    """Whether both are what one statement of a module made, which was run twice."""
    place, again = ((getattr(o, "__module__", ""), getattr(o, "__qualname__", "<")) for o in (earlier, later))
    return place == again and "<" not in place[1]  # of what a function made, two may well differ


class Registry(Generic[T]):
    """Names mapped to things of one sort. Unknown names are errors that list the known ones.

    Before a name is unknown, or all are listed, the modules of :mod:`tonearm.core.plugins` are imported, which may
    register it.

    Parameters
    ----------
    what
        The sort, in the singular, for messages: ``"model"``, ``"representation"``.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T) -> T:
        """Register ``item`` as ``name``. A class or function that is defined anew (a notebook's cell that is run again,
        a module that is reloaded) takes the place of the earlier one.

        Raises
        ------
        ConfigError
            If another item already has that name.
        """
        if name in self._items and self._items[name] is not item and not _redefined(self._items[name], item):
            raise ConfigError(f"{self.what} {name!r} is registered twice: choose another name")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        if name in self:
            return self._items[name]
        raise not_registered(self.what, name, self._items, load_plugins())

    def __contains__(self, name: object) -> bool:
        try:
            if name not in self._items:
                load_plugins()
            return name in self._items
        except TypeError:  # what cannot be a key
            return False

    def __iter__(self) -> Iterator[str]:
        load_plugins()
        return iter(sorted(self._items))

    def __len__(self) -> int:
        load_plugins()
        return len(self._items)


class Namespace(Generic[T]):
    """A registry whose names are attributes, for notebooks: ``tonearm.recipes.time_mel()``."""

    def __init__(self, registry: Registry[T]) -> None:
        self._registry = registry

    def __getattr__(self, name: str) -> T:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._registry[name]
        except UnknownNameError as error:
            raise AttributeError(str(error)) from None

    def __dir__(self) -> list[str]:
        return list(self._registry)

    def __repr__(self) -> str:
        return f"{self._registry.what}: {', '.join(self._registry)}"
