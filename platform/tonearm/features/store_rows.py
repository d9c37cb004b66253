"""Where each clip of a store lies, in arrays: a store of a million tracks is opened in seconds, in little memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tonearm.features.base import Representation

Numbered = tuple[list[str], np.ndarray]  # distinct names, and of each row the place of its name in them
COLUMNS = ("start", "frames", "offset", "frame_offset", "mean", "deviation")


class StoreRows:
    """The rows of a store's index, those of a track beside each other.

    A track may be in two parts, if two jobs extracted it: the part that comes last in the index counts, whole.

    Parameters
    ----------
    keys, parts
        The distinct keys, and of each row of the index the place of its key in them; the same of its part. The rows of
        a part are beside each other.
    column
        ``clip`` (its number) and :data:`COLUMNS`, row by row, by name.

    Attributes
    ----------
    first
        Of each track its place in :attr:`starts`, by key, in the order of the index.
    starts
        Of each track its first row, and last the number of all rows.
    number, start, frames, offset, frame_offset, mean, deviation
        The columns of the index, row by row.
    part
        Of each row the place of its part in :attr:`parts`.
    lengths
        Of each part, how many values and how many frames' statistics its files must hold.
    """

    def __init__(
        self, keys: Numbered, parts: Numbered, column: Mapping[str, np.ndarray], representation: Representation
    ) -> None:
        planes, bins = representation.planes, representation.freq_bins
        (names, key), (self.parts, part) = keys, parts
        number, frames = column["clip"], column["frames"]
        self.lengths = np.zeros((2, len(self.parts)), np.int64)
        np.maximum.at(self.lengths[0], part, column["offset"] + planes * bins * frames)
        np.maximum.at(self.lengths[1], part, column["frame_offset"] + (planes * frames if bins > 1 else 0))
        counts = np.full(len(names), -1)
        counts[key] = part  # of an index that occurs several times the last value stays
        kept = np.flatnonzero(counts[key] == part)
        kept = kept[np.argsort(key[kept], kind="stable")]
        self.starts = np.searchsorted(key[kept], np.arange(len(names) + 1))
        self.first = {name: i for i, name in enumerate(names)}
        self.part, self.number = part[kept].astype(np.int32), number[kept].astype(np.int32)
        self.start, self.frames, self.offset, self.frame_offset, self.mean, self.deviation = (
            column[name][kept] for name in COLUMNS
        )

    @classmethod
    def of_index(cls, index: Any, representation: Representation) -> StoreRows:
        """From an index as ``store_index.read_index`` gives it."""
        column = {name: index.column(name).to_numpy() for name in ("clip", *COLUMNS)}
        return cls(_numbered(index.column("key")), _numbered(index.column("part")), column, representation)

    def __iter__(self) -> Iterator[str]:
        return iter(self.first)

    def part_of(self, key: str) -> str:
        """The part that a track's clips are read from; of one that is not there a ``KeyError``."""
        return self.parts[int(self.part[self.of(key)[0]])]

    def of(self, key: str) -> range:
        """The rows of a track; of one that is not there a ``KeyError``."""
        place = self.first[key]
        return range(int(self.starts[place]), int(self.starts[place + 1]))


def _numbered(texts: Any) -> Numbered:
    """The distinct values of a column, in the order in which they first occur, and of each row which one it is."""
    coded = texts.combine_chunks().dictionary_encode()
    coded = coded.combine_chunks() if hasattr(coded, "combine_chunks") else coded
    return coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
