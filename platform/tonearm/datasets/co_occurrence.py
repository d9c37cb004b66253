"""Relations that nobody wrote down: artists or tracks of the same playlists, or that the same people play."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.datasets.artist_names import normalised_name
from tonearm.datasets.cells import clean_text
from tonearm.datasets.file_names import FileNames
from tonearm.datasets.find_files import find_recordings
from tonearm.datasets.folder import PATH_COLUMNS, scan_folder
from tonearm.datasets.relations import ArtistRelations
from tonearm.datasets.tables import find_table, read_table

Source = Literal["playlists", "plays"]
Level = Literal["artist", "track"]
#: Of each source the column that holds what stands together: a playlist, or what somebody plays.
OWNERS: dict[Source, str] = {"playlists": "playlist", "plays": "user"}
TRACK_COLUMNS = ("track", "track_id", *PATH_COLUMNS)
ROWS_AT_ONCE = 1024


def co_occurring(owners: Sequence[str], items: Sequence[str], neighbours: int, least: int) -> Iterator[tuple[str, str]]:
    """Pairs of an item and one that occurs with it, the nearest first, in the order of the items' names.

    Near are two items of great cosine: the number of owners that have both, over the root of the product of the numbers
    that have each. Of equally near ones the first by name comes first.

    Parameters
    ----------
    owners, items
        Of each row what owns which item; repeats count once.
    neighbours
        Pairs an item, at most.
    least
        Owners that two items must have in common.
    """
    from scipy.sparse import csr_matrix

    names, item = np.unique(np.asarray(items, dtype=object).astype(str), return_inverse=True)
    _, owner = np.unique(np.asarray(owners, dtype=object).astype(str), return_inverse=True)
    table = csr_matrix((np.ones(len(item), np.float32), (item, owner)))
    table.data[:] = 1  # repeats were added up
    sizes = np.asarray(table.sum(axis=1)).ravel()
    for start in range(0, len(names), ROWS_AT_ONCE):
        shared = (table[start : start + ROWS_AT_ONCE] @ table.T).tocsr()
        for i in range(shared.shape[0]):
            row, among = start + i, slice(shared.indptr[i], shared.indptr[i + 1])
            others, counts = shared.indices[among], shared.data[among]
            kept = (others != row) & (counts >= least)
            others, cosines = others[kept], counts[kept] / np.sqrt(sizes[row] * sizes[others[kept]])
            for other in others[np.lexsort((others, -cosines))[:neighbours]]:
                yield str(names[row]), str(names[other])


def read_co_occurrences(root: str, source: Source, level: Level, neighbours: int, least: int) -> ArtistRelations:
    """Relations of the artists or tracks of a table ``playlists`` or ``plays`` in a folder, CSV or Parquet.

    Raises
    ------
    DatasetError
        If there is no such table, it lacks a column, or no two of its artists or tracks have enough in common.
    """
    path = find_table(root, source)
    if path is None:
        raise DatasetError(f"no {source}.csv in {root!r}: a table with the columns {OWNERS[source]} and {level}")
    wanted = ("artist",) if level == "artist" else TRACK_COLUMNS
    table = read_table(path, (OWNERS[source],), (*wanted, *TRACK_COLUMNS))
    column = next((name for name in (*wanted, *TRACK_COLUMNS) if name in table), None)
    if column is None:
        raise DatasetError(f"{path} needs a column {' or '.join(dict.fromkeys((*wanted, *TRACK_COLUMNS)))}")
    owners, texts = ([clean_text(v) for v in table[name]] for name in (OWNERS[source], column))
    meant = _artists_by_name(texts) if column == "artist" else _tracks(root, level)
    called = {text: meant(text) for text in dict.fromkeys(texts)}
    rows = [(owner, called[text]) for owner, text in zip(owners, texts, strict=True) if owner and called[text]]
    pairs = co_occurring([owner for owner, _ in rows], [item for _, item in rows], neighbours, least) if rows else ()
    found = ArtistRelations.from_pairs(pairs)
    if not found.count:
        raise DatasetError(
            f"no two {level}s of {path} share {least} {OWNERS[source]}s: set min_shared to less than {least}"
        )
    without = len(owners) - len(rows)
    notes = [f"{len(found)} {level}s are related by {path.name}, {found.count / len(found):.1f} each"]
    notes += [f"{without} row(s) of {path.name} name no {OWNERS[source]} or no {level}: left out"] if without else []
    return ArtistRelations(found.artists, [[int(i) for i in own if i >= 0] for own in found.padded()],
                           [*notes, *found.notes])  # fmt: skip


def _artists_by_name(texts: Sequence[str]) -> Callable[[str], str]:
    """By a spelling of an artist the first one of that artist."""
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(normalised_name(text), text)
    return lambda text: first[normalised_name(text)]


def _tracks(root: str, level: Level) -> Callable[[str], str]:
    """By what a table calls a track its recording's id, or its artist; a track without a recording keeps its name, and
    has no artist."""
    if level == "artist":
        artists = {t.track_id: t.artist or "" for t in scan_folder(root, "artist").tracks}
        of_files = FileNames(artists)
    else:
        artists, of_files = {}, FileNames(find_recordings(root).files)

    def meant(text: str) -> str:
        fitting, _ = of_files.find(text)
        file = fitting[0] if len(fitting) == 1 else ""
        return artists.get(file, "") if level == "artist" else file or text

    return meant
