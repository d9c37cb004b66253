"""Words in the texts of rows: the texts are folded once, and looked through by Arrow."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from tonearm.recommend.library import IntArray, Library

if TYPE_CHECKING:
    import pyarrow as pa

_TEXTS: WeakKeyDictionary[Library, dict[str, pa.Array | None]] = WeakKeyDictionary()  # a library does not change
_LOCK = threading.Lock()


def rows_with_words(library: Library, columns: Sequence[str], words: str) -> IntArray:
    """The places of the rows that hold all words, each in any of some columns, without regard to case.

    First come those of which the first column begins with the words; else they are in the order of their places.
    """
    import pyarrow.compute as pc

    wanted = _folded(words).split()
    texts = [column for name in columns if (column := _texts(library, name)) is not None]
    holds = np.ones(len(library), dtype=bool)
    for word in wanted:
        found = [pc.match_substring(column, word).to_numpy(zero_copy_only=False) for column in texts]
        holds &= np.logical_or.reduce(found) if found else False
    places: IntArray = np.flatnonzero(holds)
    first = _texts(library, columns[0])
    if first is None:
        return places
    begins = pc.starts_with(first.take(places), " ".join(wanted)).to_numpy(zero_copy_only=False)
    return np.concatenate([places[begins], places[~begins]])


def _texts(library: Library, name: str) -> pa.Array | None:
    """A column of a library as texts, folded once for as long as the library is there; None if no row says it."""
    import pyarrow as pa

    with _LOCK:
        known = _TEXTS.setdefault(library, {})
        if name not in known:
            column = library.column(name)
            known[name] = (
                None if column is None else pa.array(map(_folded, column), pa.large_string(), size=len(column))
            )
        return known[name]


def _folded(value: Any) -> str:
    """A cell as it is compared; what is not known holds nothing."""
    return "" if value is None or value != value else unicodedata.normalize("NFC", str(value)).casefold()
