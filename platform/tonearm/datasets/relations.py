"""Relations between artists."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.datasets.tables import read_table


class ArtistRelations:
    """The related artists of each artist.

    Parameters
    ----------
    artists
        Sorted, each once; an artist's id is its place here.
    related
        Of each, the ids of its related artists, the nearest first where the source ranks them. Directed: that B is
        among A's does not put A among B's.
    notes
        What was dropped, with counts.
    """

    def __init__(self, artists: Sequence[str], related: Sequence[Sequence[int]], notes: Sequence[str] = ()) -> None:
        if list(artists) != sorted(set(artists)) or len(related) != len(artists):
            raise DatasetError(f"relations: {len(artists)} artists, {len(related)} lists: give one a sorted artist")
        self.artists, self.notes = tuple(artists), tuple(notes)
        self._related = [np.asarray(ids, dtype=np.int64) for ids in related]
        for artist, ids in zip(self.artists, self._related, strict=True):
            if len(ids) and not 0 <= ids.min() <= ids.max() < len(self.artists):
                raise DatasetError(f"relations: {artist!r} is related to ids beyond the {len(self.artists)} artists")

    @classmethod
    def from_pairs(
        cls, pairs: Iterable[tuple[str, str]], symmetric: bool = False, artists: Collection[str] | None = None
    ) -> ArtistRelations:
        """Collect pairs of an artist and one that is related to it, in the order given.

        Parameters
        ----------
        pairs
            Repeats, pairs of an artist with itself and of artists that are not known are dropped and noted.
        symmetric
            Whether each pair counts both ways.
        artists
            Those that are known. None: every artist that is first in a pair (of symmetric pairs: that is in one), so
            that every artist kept has relations of its own in the source.
        """
        given = [(first.strip(), second.strip()) for first, second in pairs]
        if symmetric:
            given += [(second, first) for first, second in given]
        own = [pair for pair in given if pair[0] != pair[1]]
        names = sorted({first for first, _ in own if first} if artists is None else set(artists))
        id_of = {artist: i for i, artist in enumerate(names)}
        related: list[dict[int, None]] = [{} for _ in names]
        unknown = 0
        for first, second in own:
            if first in id_of and second in id_of:
                related[id_of[first]][id_of[second]] = None
            else:
                unknown += 1
        alone = sum(not ids for ids in related)
        notes = [
            f"{count} {what}"
            for count, what in (
                (len(given) - len(own), "relation(s) of an artist with itself dropped"),
                (unknown, "relation(s) with an artist that is not known, having no relations of its own, dropped"),
                (len(own) - unknown - sum(map(len, related)), "repeated relation(s) dropped"),
                (alone, "artist(s) have no related artist left"),
            )
            if count
        ]
        return cls(names, [list(ids) for ids in related], notes)

    def __len__(self) -> int:
        return len(self.artists)

    @property
    def count(self) -> int:
        """Pairs in all."""
        return sum(map(len, self._related))

    def padded(self) -> np.ndarray:
        """The ids of all: int64 (artists, most related), -1 where there are fewer."""
        table = np.full((len(self), max(map(len, self._related), default=0)), -1, dtype=np.int64)
        for row, ids in zip(table, self._related, strict=True):
            row[: len(ids)] = ids
        return table


def read_relations(
    path: Path, artist_column: str = "artist", related_column: str = "related", symmetric: bool = False
) -> ArtistRelations:
    """Read a table with a pair a row.

    Raises
    ------
    DatasetError
        If there is no such file, it lacks a column, or no pair is left.
    """
    if not path.is_file():
        raise DatasetError(f"no relations at {path}: a table with the columns {artist_column} and {related_column}")
    table = read_table(path, (artist_column, related_column))
    pairs = zip(map(str, table[artist_column]), map(str, table[related_column]), strict=True)
    found = ArtistRelations.from_pairs(pairs, symmetric)
    if not found.count:
        raise DatasetError(f"{path} relates no two artists: {'; '.join(found.notes) or 'it has no rows'}")
    return found
