"""Writing a catalogue: made, added to, thinned out and merged; a reader sees the state before or the one behind.

A part is written under a name of its own, then the description that names it replaces the last one. A writer that is
killed leaves a part that nobody names, which the next writer removes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.best_effort import best_effort
from tonearm.core.errors import BundleError
from tonearm.core.lock import DriverLock
from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray
from tonearm.recommend.catalogue import DESCRIPTION, Catalogue, Description
from tonearm.recommend.library import ID, IntArray
from tonearm.recommend.memory import half_of, require_vectors
from tonearm.recommend.part import EXACT_MOST, write_part

MARK = "_digest"  # column: of all that is known of a row and its content, by which a changed one is told
LOCK = "writer.json"
MOST_ADDED, LEAST_ADDED = 0.1, 10_000  # a delta of more than this share of the base, and this many rows, is merged


@dataclass(frozen=True)
class Space:
    """In which space a catalogue is, what its rows are, and of what.

    Attributes
    ----------
    model
        Digest of the model.
    dim
        Of its embeddings.
    kind
        ``track``, ``album`` or ``artist``.
    origin
        Where the rows come from; "": from where those that are there do.
    """

    model: str
    dim: int
    kind: str = "track"
    origin: str = ""


@dataclass(frozen=True)
class Change:
    """What a writer did: rows that were ``added``, ``removed`` and ``replaced``, the ``count`` now, and whether it made
    a new base."""

    added: int
    removed: int
    replaced: int
    count: int
    merged: bool


def change_catalogue(
    uri: str, space: Space, rows: Sequence[Mapping[str, Any]] = (), vectors: FloatArray | None = None,
    remove: Iterable[str] = (), merge: bool = False, exact_most: int = EXACT_MOST, anew: bool = False,
) -> Change:  # fmt: skip
    """Make a catalogue, or add rows to one and remove some: all of it is seen, or nothing.

    Parameters
    ----------
    uri
        Its folder or URI; one writer at a time, others wait.
    space
        Of the model; that of the catalogue if there is one.
    rows
        What is known of each; a ``track_id`` in each. One that is there is replaced.
    vectors
        float32 (rows, dim), of any length but zero.
    remove
        Ids; those that are not there are no harm.
    merge
        Whether to make a new base; one is made, too, where the delta has become large.
    exact_most
        Rows of a base that need no approximate index.
    anew
        Whether these are all its rows, and what is there is not even opened: it is damaged.

    Raises
    ------
    BundleError
        If the catalogue is of another model or kind, or damaged, or a vector is not finite, zero or of another
        dimension; what was there stays.
    """
    ids = [str(row[ID]) for row in rows]
    vectors = np.empty((0, space.dim), np.float32) if vectors is None else vectors
    if len(rows) or len(vectors):
        require_vectors(vectors, ids, space.dim)
    if len(set(ids)) < len(ids):
        raise BundleError(f"{len(ids)} rows have {len(set(ids))} ids: give each row an id of its own")
    new = _Rows([{**row, MARK: row_mark(row)} for row in rows], half_of(vectors) if len(rows) else vectors)
    with DriverLock(uri, "catalogue", LOCK, wait=True) as lock:
        now = None if anew else _opened(uri, space)
        change, described = _written(uri, space, now, new, set(remove), merge, exact_most)
        if described is not None:
            lock.require()
            storage.write_json(storage.join(uri, DESCRIPTION), described.to_json())
        storage.remove_stale(uri)
        for folder in _unnamed(uri, described or (now.described if now is not None else None)):
            best_effort(f"the room of the old part {folder}", _remove, storage.join(uri, folder))
    return change


def row_mark(row: Mapping[str, Any]) -> str:
    """Digest of what is known of a row."""
    return digest({name: value for name, value in row.items() if value is not None and name != MARK})


def _opened(uri: str, space: Space) -> Catalogue | None:
    if not storage.exists(storage.join(uri, DESCRIPTION)):
        return None
    now = Catalogue.open(uri, space.model)
    if (now.described.kind, now.dim) != (space.kind, space.dim):
        raise BundleError(
            f"the catalogue {uri} has rows of kind {now.described.kind!r} and {now.dim} dimensions, these are of "
            f"{space.kind!r} and {space.dim}: give it another name"
        )
    return now


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows with their marks, and their vectors, float16 (rows, dim)."""

    rows: list[dict[str, Any]]
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def _written(
    uri: str, space: Space, now: Catalogue | None, new: _Rows, remove: set[str], merge: bool, exact_most: int
) -> tuple[Change, Description | None]:
    """What changes, and the description of the state behind, whose parts are written; None if nothing changes."""
    number = 1 if now is None else now.described.number + 1
    ids = {str(row[ID]) for row in new.rows}
    there = [] if now is None else now.ids
    gone = ids | remove
    stay = np.array([place for place, i in enumerate(there) if i not in gone], np.int64)
    counts = {"added": len(ids.difference(there)), "removed": len((remove - ids).intersection(there)),
              "replaced": len(ids.intersection(there)), "count": len(stay) + len(new)}  # fmt: skip
    if now is not None and not (len(new) or counts["removed"]) and not (merge and len(now.parts) > 1):
        known = space.origin in ("", now.described.origin)
        told = None if known else replace(now.described, number=number, origin=space.origin)
        return Change(**counts, merged=False), told
    base_rows = np.zeros(0, np.int64) if now is None else now.base_rows(stay)
    in_delta, base = stay[base_rows < 0], 0 if now is None else now.described.base.rows
    removed = np.setdiff1d(np.arange(base), base_rows[base_rows >= 0])
    most = max(LEAST_ADDED, MOST_ADDED * base)
    whole = now is None or merge or len(in_delta) + len(new) > most or len(removed) > most
    written = _joined(_kept(now, stay if whole else in_delta), new)
    folder = f"{'base' if whole else 'delta'}-{number:06d}-{uuid.uuid4().hex[:8]}"
    part = write_part(uri, folder, written.vectors, written.rows, None if whole else removed, exact_most)
    marks = [*([] if now is None else _marks(now, stay)), *(row[MARK] for row in new.rows)]
    described = Description(
        space.kind, space.model, space.dim, counts["count"], digest(sorted(marks)), number,
        part if whole or now is None else now.described.base, None if whole else part,
        () if now is None else now.described.folders, space.origin or ("" if now is None else now.described.origin),
    )  # fmt: skip
    return Change(**counts, merged=whole), described


def _kept(now: Catalogue | None, places: IntArray) -> _Rows:
    """Rows that are there, as they are."""
    if now is None:
        return _Rows([], np.empty((0, 0), np.float16))
    marks = _marks(now, places)
    return _Rows([{**row, MARK: m} for row, m in zip(now.rows(places), marks, strict=True)], now.halves(places))


def _marks(now: Catalogue, places: IntArray) -> list[str]:
    found = now.column(MARK)
    return [] if found is None else [str(mark) for mark in found[places]]


def _joined(kept: _Rows, new: _Rows) -> _Rows:
    parts = [part.vectors for part in (kept, new) if len(part)]
    vectors = np.concatenate(parts) if parts else kept.vectors if kept.vectors.shape[1] else new.vectors
    return _Rows([*kept.rows, *new.rows], vectors.astype(np.float16))


def _unnamed(uri: str, described: Description | None) -> list[str]:
    """Folders of parts that neither this state names nor the one before: some were merged, of some the writer died."""
    named = {*described.folders, *described.before} if described else set[str]()
    return [f for f in storage.list_folders(uri) if f not in named and f.startswith(("base-", "delta-"))]


def _remove(folder: str) -> None:
    for name in storage.list_files(folder):
        storage.remove(storage.join(folder, name))
    if storage.is_local(folder):
        for left in storage.local_path(folder).iterdir():  # of a writer that was killed
            left.unlink()
        storage.local_path(folder).rmdir()
