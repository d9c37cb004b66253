"""A catalogue of its own: rows in a model's space, in an immutable base and a small delta, both mapped into memory.

::

    catalogue.json              which parts count; replaced whole, behind what it names
    base-000001-5f0c19aa/       written once (recommend.part)
    delta-000002-81b2c03d/      rows added since, and which of the base's do not count any more

What was opened never changes: :meth:`Catalogue.refresh` gives another one where the description has changed, which
shares the parts that stayed. Parts that are not named any more are deleted by a later writer; what is mapped stays
readable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.descriptions import read_description
from tonearm.core.errors import BundleError, DamagedCatalogueError
from tonearm.core.types import FloatArray
from tonearm.recommend.approximate import MORE
from tonearm.recommend.columns import as_column, plain_value
from tonearm.recommend.exact import exact_nearest, nearest_of, require_choice, unit_query
from tonearm.recommend.library import BoolArray, Found, IntArray, require_query, unknown_id
from tonearm.recommend.part import AGAIN, Part, PartFiles, open_part
from tonearm.recommend.vectors import Vectors

FORMAT_VERSION = 2  # 1: inside of a bundle, recommend.index
DESCRIPTION = "catalogue.json"
APPROXIMATE_LEAST = 0.2  # share of rows that a filter must leave: with fewer an approximate search loses neighbours
ATTEMPTS = 5  # to open parts while a merge replaces them


@dataclass(frozen=True)
class Description:
    """What a catalogue is.

    Attributes
    ----------
    kind
        ``track``, ``album`` or ``artist``: what a row is.
    model
        Digest of the model whose space it is in.
    dim
        Of the vectors.
    count
        Rows that count.
    contents
        Digest of these rows' ids and contents.
    number
        Of this state, 1 at first.
    base, delta
        The parts.
    before
        Folders that the state before named: somebody may be opening them.
    origin
        Where its rows come from, a data set or folders; "" if nobody said.
    """

    kind: str
    model: str
    dim: int
    count: int
    contents: str
    number: int
    base: PartFiles
    delta: PartFiles | None = None
    before: tuple[str, ...] = ()
    origin: str = ""

    @property
    def folders(self) -> tuple[str, ...]:
        """Of the parts that count."""
        return tuple(part.folder for part in (self.base, self.delta) if part)

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        return {"format": FORMAT_VERSION, **asdict(self)}


class Catalogue:
    """An opened catalogue: a :class:`~tonearm.recommend.library.Library` of the rows that count.

    Parameters
    ----------
    uri
        Its folder.
    described
        What it is.
    parts
        The base, and the delta if there is one.
    """

    def __init__(self, uri: str, described: Description, parts: Sequence[Part]) -> None:
        self.uri, self.described, self.parts = uri, described, tuple(parts)
        self._first = np.cumsum([0, *(len(part) for part in parts)])  # row of each part's first one
        removed = parts[-1].removed if len(parts) > 1 else np.zeros(0, np.int64)
        self._live: IntArray | None = None
        if len(removed):
            counts = np.ones(int(self._first[-1]), bool)
            counts[removed] = False
            self._live = np.flatnonzero(counts)
        self._columns: dict[str, np.ndarray | None] = {}

    @classmethod
    def open(cls, uri: str, model: str = "") -> Catalogue:
        """Open a catalogue.

        Parameters
        ----------
        uri
            Its folder, or a URI, from which it is copied to this machine.
        model
            Digest of the model that it must be of; "": any.

        Raises
        ------
        DamagedCatalogueError
            If it is missing, damaged or of another format version.
        BundleError
            If it is of another model, or cannot be read now.
        """
        return cls._open(uri, model, {})

    @classmethod
    def _open(cls, uri: str, model: str, opened: Mapping[str, Part]) -> Catalogue:
        for attempt in range(ATTEMPTS):
            described = read_catalogue(uri)
            if model and described.model != model:
                raise BundleError(
                    f"the catalogue {uri} is of the model {described.model}, this one is {model}: its vectors are in "
                    "another space; make one of this model"
                )
            files = [part for part in (described.base, described.delta) if part]
            try:
                return cls(
                    uri, described, [opened[f.folder] if f.folder in opened else open_part(uri, f) for f in files]
                )
            except FileNotFoundError as error:
                if attempt + 1 == ATTEMPTS or read_catalogue(uri) == described:
                    raise DamagedCatalogueError(f"the catalogue {uri} lacks a file ({error}): {AGAIN}") from error
        raise BundleError(f"the catalogue {uri} changes all the time: wait until the job that writes it has ended")

    def refresh(self) -> Catalogue:
        """The catalogue as it is now: this one if nothing has changed, else another, which shares the parts that
        stayed.

        Raises
        ------
        BundleError
            As :meth:`open`; this one can still be used.
        """
        if read_catalogue(self.uri) == self.described:
            return self
        return self._open(self.uri, self.described.model, {part.files.folder: part for part in self.parts})

    @property
    def dim(self) -> int:
        return self.described.dim

    def __len__(self) -> int:
        return int(self._first[-1]) if self._live is None else len(self._live)

    def vectors(self, places: IntArray) -> FloatArray:
        return self._gathered(places, Vectors.unit).astype(np.float32)

    def halves(self, places: IntArray) -> np.ndarray:
        """Vectors as they are stored, float16 (places, dim)."""
        return self._gathered(places, Vectors.stored)

    def base_rows(self, places: IntArray) -> IntArray:
        """Of rows by their places where they lie in the base; -1 of those in the delta."""
        rows = self._rows(places)
        return np.where(rows < len(self.parts[0]), rows, -1)

    def _gathered(self, places: IntArray, rows_of: Callable[[Vectors, IntArray], np.ndarray]) -> np.ndarray:
        rows = self._rows(places)
        which = np.searchsorted(self._first, rows, "right") - 1
        found = [rows_of(part.vectors, rows[which == i] - self._first[i]) for i, part in enumerate(self.parts)]
        gathered = np.empty((len(rows), self.dim), found[0].dtype)
        for i, values in enumerate(found):
            gathered[which == i] = values
        return gathered

    def column(self, name: str) -> np.ndarray | None:
        if name not in self._columns:
            values = as_column([part.column(name) for part in self.parts])
            self._columns[name] = values if values is None or self._live is None else values[self._live]
        return self._columns[name]

    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in self.parts for name in part.table.column_names
                                   if not name.startswith("_")))  # fmt: skip

    def row(self, place: int) -> dict[str, Any]:
        if not 0 <= place < len(self):
            raise IndexError(f"place {place} of a catalogue of {len(self)} rows")
        return self.rows(np.array([place]))[0]

    def rows(self, places: IntArray) -> list[dict[str, Any]]:
        """What is known of rows, as :meth:`row` has it of one: thousands cost little more than one."""
        rows = self._rows(places)
        which = np.searchsorted(self._first, rows, "right") - 1
        found: list[dict[str, Any]] = [{} for _ in rows]
        for i, part in enumerate(self.parts):
            own = np.flatnonzero(which == i)
            for at, values in zip(own.tolist(), part.table.take(rows[own] - self._first[i]).to_pylist(), strict=True):
                found[at] = {n: plain_value(v) for n, v in values.items() if v is not None and not n.startswith("_")}
        return found

    def place(self, track_id: str) -> int:
        row = self._row_of(track_id)
        if row is None:
            raise unknown_id(track_id, self.ids)
        return row if self._live is None else int(np.searchsorted(self._live, row))

    @cached_property
    def ids(self) -> list[str]:
        """Of all rows, by their places."""
        found: list[str] = [i for part in self.parts for i in part.ids.to_pylist()]
        return found if self._live is None else [found[row] for row in self._live]

    def search(self, query: FloatArray, k: int, allowed: BoolArray | None = None) -> list[Found]:
        require_query(query, self.dim)
        require_choice(len(self), k, allowed)
        if not query.any() or not len(self):
            return []
        by_row = allowed
        if self._live is not None:
            by_row = np.zeros(int(self._first[-1]), bool)
            by_row[self._live] = True if allowed is None else allowed
        found = list[Found]()
        for part, first in zip(self.parts, self._first, strict=False):
            own = None if by_row is None else by_row[first : first + len(part)]
            found += [Found(f.place + int(first), f.similarity) for f in _search_part(part, query, k, own)]
        found.sort(key=lambda f: (-f.similarity, f.place))
        places = np.array([f.place for f in found[:k]], np.int64)
        places = places if self._live is None else np.searchsorted(self._live, places)
        return [Found(int(place), f.similarity) for place, f in zip(places, found, strict=False)]

    def _rows(self, places: IntArray) -> IntArray:
        return np.asarray(places, np.int64) if self._live is None else self._live[places]

    def _row_of(self, track_id: str) -> int | None:
        """The row of an id that counts, if there is one."""
        import pyarrow.compute as pc

        for part, first in zip(self.parts[::-1], self._first[-2::-1], strict=True):  # what was added last is first
            row = int(first) + int(pc.index(part.ids, track_id).as_py())
            if row >= first and (self._live is None or row in self._live):
                return row
        return None


def _search_part(part: Part, query: FloatArray, k: int, allowed: BoolArray | None) -> list[Found]:
    """The nearest of a part's rows: approximately where it has an index and enough rows are allowed."""
    count = len(part) if allowed is None else int(np.count_nonzero(allowed))
    if not count:
        return []
    if part.index is not None and count >= max(k, APPROXIMATE_LEAST * len(part)):
        unit = unit_query(query)
        rows = part.index.nearest(unit.astype(np.float32), k, allowed)
        near = nearest_of(part.vectors, rows, unit, len(rows))
        # As near as the k-th may be some that were not found: of many duplicates the first must be first.
        if len(near) >= min(k + MORE, count) and (len(near) == k or near[-1].similarity < near[k - 1].similarity):
            return near[:k]
    return exact_nearest(part.vectors, query, k, allowed)


def read_catalogue(uri: str) -> Description:
    """What a catalogue is, without opening it.

    Raises
    ------
    DamagedCatalogueError
        If there is none, it is damaged or of another format version.
    """
    try:
        found = read_description(uri, DESCRIPTION, (FORMAT_VERSION,), AGAIN)
    except BundleError as error:
        raise DamagedCatalogueError(f"{error}" + ("" if AGAIN in str(error) else f": {AGAIN}")) from None
    try:
        base, delta = PartFiles(**found.pop("base")), found.pop("delta")
        found.pop("format")
        return Description(base=base, delta=PartFiles(**delta) if delta else None, before=tuple(found.pop("before")),
                           **found)  # fmt: skip
    except (KeyError, TypeError) as error:
        raise DamagedCatalogueError(f"{storage.join(uri, DESCRIPTION)} is damaged ({error!r}): {AGAIN}") from None
