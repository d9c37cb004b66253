"""Play counts: who listened to whom how often."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tonearm.core.errors import ConfigError, DatasetError
from tonearm.core.seeding import derive_seed

PLAYS, ARTISTS = "user_artists.dat", "artists.dat"


@dataclass(frozen=True)
class Plays:
    """Who played whom how often.

    Attributes
    ----------
    counts
        float32 ``scipy.sparse.csr_matrix`` of shape (users, artists).
    users
        Their ids in the source, in the order of the rows.
    artists
        Their names, in the order of the columns, which is that of their ids; the id as a text where there is no name.
    """

    counts: Any
    users: tuple[int, ...]
    artists: tuple[str, ...]


def load_plays(root: str) -> Plays:
    """Read play counts in the layout of hetrec2011-lastfm-2k: tables separated by tabs, with a header.

    Parameters
    ----------
    root
        Folder with ``user_artists.dat`` (userID, artistID, weight) and, for the names, ``artists.dat``
        (id, name, ...).

    Raises
    ------
    DatasetError
        If the table of plays is not there, or a line of it holds no three whole numbers, the count above 0.
    """
    from scipy.sparse import csr_matrix

    rows = []
    for number, line in _lines(Path(root) / PLAYS):
        fields = line.split("\t")
        try:
            user, artist, count = (int(field) for field in fields)
        except ValueError:
            user, artist, count = 0, 0, 0
        if count < 1:
            raise DatasetError(f"{Path(root) / PLAYS}, line {number}: {line!r}, expected userID, artistID and a count")
        rows.append((user, artist, count))
    if not rows:
        raise DatasetError(f"{Path(root) / PLAYS} holds no plays")
    table = np.array(rows, dtype=np.int64)
    users, user_row = np.unique(table[:, 0], return_inverse=True)
    artists, artist_column = np.unique(table[:, 1], return_inverse=True)
    values = table[:, 2].astype(np.float32)
    counts = csr_matrix((values, (user_row, artist_column)), shape=(len(users), len(artists)))
    names = {}
    if (Path(root) / ARTISTS).is_file():
        for _, line in _lines(Path(root) / ARTISTS):
            artist_id, _, rest = line.partition("\t")
            names[artist_id] = rest.split("\t")[0].strip()
    known = tuple(names.get(str(i)) or str(i) for i in artists)
    return Plays(counts, tuple(users.tolist()), known)


def hold_out(plays: Any, share: float = 0.2, seed: int = 0) -> tuple[Any, Any]:
    """Split each user's artists at random into a training and a held-out part.

    Parameters
    ----------
    plays
        scipy sparse (users, artists).
    share
        Of a user's artists that is held out, above 0 and below 1; of two or more at least one each way. A user with
        one artist keeps it.
    seed
        Of the choice, which for a user depends on nothing but that user's artists.

    Returns
    -------
    Training and held-out part, two matrices of the same shape whose sum is ``plays``.
    """
    if not 0 < share < 1:
        raise ConfigError(f"share is {share:g}: it must be above 0 and below 1")
    counts = as_counts(plays)
    out = np.zeros(counts.nnz, dtype=bool)
    for user in range(counts.shape[0]):
        begin, end = counts.indptr[user], counts.indptr[user + 1]
        if end - begin >= 2:
            count = min(max(1, round(share * (end - begin))), end - begin - 1)
            rng = np.random.default_rng(derive_seed("hold out", seed, counts.indices[begin:end].tolist()))
            out[begin + rng.permutation(end - begin)[:count]] = True
    train, held_out = counts.copy(), counts.copy()
    train.data[out], held_out.data[~out] = 0, 0
    train.eliminate_zeros()
    held_out.eliminate_zeros()
    return train, held_out


def as_counts(plays: Any) -> Any:
    """Any scipy sparse matrix or array as a float32 ``csr_matrix`` of its own, without zeros and repeats."""
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(plays, dtype=np.float32, copy=True)  # the library knows no sparse arrays, only matrices
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines after the header with their numbers. Names may hold quotation marks, which mean nothing here."""
    try:
        text = path.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read ({error.strerror or error}): give the folder that holds it"
        ) from None
    return [(i, line) for i, line in enumerate(text.split("\n"), start=1) if i > 1 and line.strip()]
