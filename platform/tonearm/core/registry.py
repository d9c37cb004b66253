"""One registry type for everything that is chosen by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from tonearm.core.errors import ConfigError, UnknownNameError

T = TypeVar("T")


def unknown_name(what: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that is none of the known ones, with the closest of them."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UnknownNameError(f"unknown {what} {name!r}.{hint} Known: {', '.join(known) or 'none'}")


class Registry(Generic[T]):
    """Names mapped to things of one sort. Unknown names are errors that list the known ones.

    Parameters
    ----------
    what
        The sort, in the singular, for messages: ``"model"``, ``"representation"``.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T) -> T:
        """Register ``item`` as ``name``.

        Raises
        ------
        ConfigError
            If another item already has that name.
        """
        if name in self._items and self._items[name] is not item:
            raise ConfigError(f"{self.what} {name!r} is registered twice: choose another name")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        try:
            return self._items[name]
        except (KeyError, TypeError):  # of what cannot be a key
            raise unknown_name(self.what, name, sorted(self._items)) from None

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items))

    def __len__(self) -> int:
        return len(self._items)
