"""Columns of texts as numbers of their distinct cells, so that a condition looks at each text once, not at each row."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from tonearm.recommend.attributes import texts
from tonearm.recommend.library import BoolArray, Library


@dataclass(frozen=True, eq=False)
class TextCodes:
    """The cells of a column.

    Attributes
    ----------
    codes
        (rows,), of each row the number of its cell.
    count
        How many different cells there are.
    having
        By text, as it is compared, the numbers of the cells that hold it.
    """

    codes: npt.NDArray[np.int32]
    count: int
    having: dict[str, list[int]]

    @classmethod
    def of(cls, column: Iterable[Any]) -> TextCodes:
        """Of cells as a library has them."""
        known: dict[Hashable, int] = {}
        numbers: list[int] = []
        having: dict[str, list[int]] = defaultdict(list)
        for cell in column:
            key: Hashable = cell if isinstance(cell, str | tuple | None) else texts(cell)
            number = known.get(key)
            if number is None:
                number = known[key] = len(known)
                for text in dict.fromkeys(texts(cell)):
                    having[text].append(number)
            numbers.append(number)
        return cls(np.array(numbers, np.int32), len(known), dict(having))

    def mask(self, wanted: Iterable[str]) -> BoolArray:
        """The rows of which a cell holds one of the texts, bool (rows,)."""
        held = np.zeros(max(self.count, 1), dtype=bool)
        for text in wanted:
            held[self.having.get(text, [])] = True
        found: BoolArray = held[self.codes]
        return found


_CODES: WeakKeyDictionary[Library, dict[str, TextCodes]] = WeakKeyDictionary()  # a library does not change
_LOCK = threading.Lock()


def text_codes(library: Library, name: str) -> TextCodes | None:
    """A column of a library, read once for as long as the library is there; None if no row says it."""
    with _LOCK:
        known = _CODES.setdefault(library, {})
        if name not in known:
            column = library.column(name)
            if column is None:
                return None
            known[name] = TextCodes.of(column)
        return known[name]


def having(library: Library, name: str, wanted: Iterable[str]) -> BoolArray:
    """The rows of which a cell holds one of the texts, bool (rows,)."""
    codes = text_codes(library, name)
    return np.zeros(len(library), dtype=bool) if codes is None else codes.mask(wanted)
