"""A ``tracks.csv`` beside recordings: which row is which file's, and what the rows say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.datasets.cells import clean_text, is_unknown, to_number, to_year
from tonearm.datasets.csv_text import SEPARATORS, read_csv_text
from tonearm.datasets.file_names import FileNames, Rank, plain_path, relative_prefix
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.tables import read_table

TABLE = "tracks.csv"
PATH_COLUMNS = ("path", "file", "filename")
NAMELESS = "Unnamed: "  # what pandas calls a column without a name, such as an index that was written
#: Columns that are meant whatever the case of their letters.
KNOWN_COLUMNS = (*PATH_COLUMNS, "track_id", "title", "artist", "album", "albumartist", "genre", "year", "place",
                 "latitude", "longitude", "licence")  # fmt: skip
OTHER_SPELLINGS = {
    "album artist": "albumartist", "album_artist": "albumartist", "filepath": "path", "file_path": "path",
    "file path": "path", "file_name": "filename", "file name": "filename",
}  # fmt: skip


@dataclass(frozen=True)
class TrackTable:
    """A ``tracks.csv``: what is known of recordings, as text; unknown values are left out.

    Attributes
    ----------
    columns
        In their order.
    rows
        By the file's relative path.
    contradictions
        Of files that two rows disagree on: the different values by column, in their order.
    notes
        How many rows are no file's, several files' or a file's second one, disagree, or have an impossible year.
    """

    columns: Sequence[str] = ()
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    contradictions: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, relative: str) -> Mapping[str, str]:
        """The row of a recording, by its relative path; empty if there is none."""
        return self.rows.get(relative, {})

    def column(self, name: str) -> str:
        """The column that a name means: that of this name, or the one that differs in case alone; "" if none does."""
        alike = [c for c in self.columns if c.casefold() == clean_text(name).casefold()]
        return name if name in self.columns else alike[0] if len(alike) == 1 else ""

    def metadata(self, track_ids: Sequence[str], but: Collection[str] = ()) -> Metadata:
        """Columns whose every value is a number, as metadata of these recordings; NaN where a value lacks.

        ``but`` names columns that are none: what is to be predicted from the others.
        """
        columns: dict[str, np.ndarray] = {}
        for name in self.columns:
            if name in (*PATH_COLUMNS, "track_id", *but):
                continue
            texts = [row[name] for row in self.rows.values() if name in row]
            if texts and all(to_number(text, float) is not None for text in texts):
                columns[name] = np.array([to_number(self.of(i).get(name), float) for i in track_ids], dtype=np.float64)
        return Metadata(track_ids, columns) if columns else Metadata()


def read_track_table(path: Path, files: Iterable[str]) -> TrackTable:
    """Read a ``tracks.csv`` (see :func:`~tonearm.datasets.tables.read_table`); an absent one is empty.

    A row names its file by the path, a part of it, or the stem (:class:`~tonearm.datasets.file_names.FileNames`).
    Rows that match no file or several are ignored; of two rows for one file that which names it better counts, or else
    the first.

    Parameters
    ----------
    files
        The recordings' relative paths.

    Raises
    ------
    DatasetError
        If it cannot be read, or no column names the file.
    """
    if not path.exists():
        return TrackTable()
    cells = _named_columns(path)
    key = next((c for c in (*PATH_COLUMNS, "track_id") if c in cells), None)
    if key is None:
        raise DatasetError(
            f"{path} needs a column path (or {', '.join(PATH_COLUMNS[1:])}, track_id), has {list(cells)}"
        )
    matches = FileNames(files)
    rows = _Rows(cells, key)
    rows.add_all(matches)
    notes = [*_encoding_notes(path), *rows.notes(path.name, matches), *_swallowed_rows(path.name, cells, key, matches)]
    strange = [year for row in rows.rows.values() if to_year(year := row.get("year", "")) is None and _is_stated(year)]
    if strange:
        notes.append(f"{len(strange)} row(s) of {path.name} have an impossible year, e.g. {strange[0]!r}: unknown")
    return TrackTable(list(cells), rows.rows, rows.contradictions, tuple(notes))


@dataclass
class _Rows:
    """The rows of a table by the file that each is of."""

    cells: Mapping[str, Sequence[str]]
    key: str
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    contradictions: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)
    contradicting: list[str] = field(default_factory=list)

    def add_all(self, matches: FileNames) -> None:
        """Join the rows with the files: what names its file better comes first."""
        names = self.cells[self.key]
        found = _without_strangers(names, [matches.find(name) for name in names])
        rank_of: dict[str, int] = {}
        for i in sorted(range(len(names)), key=lambda i: found[i][1]):
            fitting, rank = found[i]
            if not fitting:
                self.unmatched.append(names[i])
            elif len(fitting) > 1:
                self.ambiguous.append(names[i])
            else:
                row = {name: column[i] for name, column in self.cells.items() if not is_unknown(column[i])}
                self._add(fitting[0], names[i], row, rank == rank_of.setdefault(fitting[0], rank))

    def _add(self, file: str, name: str, row: dict[str, str], as_good: bool) -> None:
        """``as_good``: it names the file as well as its first row does, so that it may contradict that one."""
        first = self.rows.setdefault(file, row)
        if first is row:
            return
        differing = [c for c, value in row.items() if c != self.key and first.get(c, value) != value]
        if not as_good or not differing:
            self.second.append(name)
            return
        self.contradicting.append(name)
        own = self.contradictions.setdefault(file, {})
        for column in differing:
            own[column] = tuple(dict.fromkeys([*own.get(column, (first[column],)), row[column]]))

    def notes(self, table: str, matches: FileNames) -> list[str]:
        """What of the rows does not count, with an example."""
        notes = []
        if self.unmatched:
            notes.append(
                f"{len(self.unmatched)} row(s) of {table} name no file that is there, e.g. {self.unmatched[0]!r}: "
                "left out"
            )
            if not self.rows:
                notes.append(f"no row of {table} names a file; these are called e.g. {matches.example!r}")
        if self.ambiguous:
            notes.append(
                f"{len(self.ambiguous)} row(s) of {table} name several files, e.g. {self.ambiguous[0]!r}: left out"
            )
        if self.second:
            notes.append(
                f"{len(self.second)} row(s) of {table} come second for a file, e.g. {self.second[0]!r}: left out"
            )
        if self.contradicting:
            file, columns = next(iter(self.contradictions.items()))
            column, values = next(iter(columns.items()))
            notes.append(
                f"{len(self.contradicting)} row(s) of {table} contradict the first one of their file, e.g. of {file!r} "
                f"{column} is {' and '.join(map(repr, values))}"
            )
        return notes


def _without_strangers(
    names: Sequence[str], found: Sequence[tuple[list[str], Rank]]
) -> list[tuple[list[str], Rank]]:  # fmt: skip
    """What was found without files that a relative path merely ends in: ``rock/01.mp3`` is not the file ``01.mp3``.

    It is where most rows have the same folders in front: the table was written one folder up.
    """
    plain = [plain_path(name) for name in names]
    prefixes = [relative_prefix(name, own[0]) if own else "" for name, (own, _) in zip(plain, found, strict=True)]
    folders = Counter(
        "/".join(parts[:n]) for parts in (name.split("/") for name in plain) for n in range(1, len(parts))
    )
    return [
        (own, rank) if not prefix or 2 * folders[prefix] > len(names) else ([], 0)
        for prefix, (own, rank) in zip(prefixes, found, strict=True)
    ]


def _named_columns(path: Path) -> dict[str, list[str]]:
    """The columns as text, by their names without spaces around; those that are meant in any case in small letters."""
    found: dict[str, list[str]] = {}
    for name, values in read_table(path, (), None, guess_encoding=True).items():
        plain = clean_text(name)
        folded = OTHER_SPELLINGS.get(plain.casefold(), plain.casefold())
        plain = folded if folded in KNOWN_COLUMNS else plain
        if plain in found:
            raise DatasetError(f"{path} has two columns {plain!r}, apart from case and spaces: rename or remove one")
        if plain and not plain.startswith(NAMELESS):
            found[plain] = [clean_text(str(v)) for v in values]
    return found


def _encoding_notes(path: Path) -> list[str]:
    csv = read_csv_text(path)
    if not csv.guessed:
        return []
    odd = next((line for line in csv.text.splitlines() if not line.isascii()), "")
    return [f"{path.name} is not in UTF-8: read as Windows-1252, e.g. {odd[:60]!r}; if that is wrong, save it as UTF-8"]


def _swallowed_rows(table: str, cells: Mapping[str, Sequence[str]], key: str, matches: FileNames) -> list[str]:
    """A quote that is not closed makes all lines up to the next quote one cell: told where these name files."""
    swallowed, opened = [], ""
    for column in cells.values():
        for i, cell in enumerate(column):
            for line in cell.splitlines()[1:] if "\n" in cell or "\r" in cell else ():
                fields = [clean_text(f.strip('"')) for f in re.split(f"[{''.join(SEPARATORS)}]", line)]
                if named := next((f for f in fields if f and matches.find(f)[0]), ""):
                    swallowed.append(named)
                    opened = opened or cells[key][i].splitlines()[0]
    if not swallowed:
        return []
    return [
        f"{len(swallowed)} row(s) of {table} are inside a quote that is opened in the row of {opened!r} and closed "
        f"later, e.g. that of {swallowed[0]!r}: close the quote"
    ]


def _is_stated(number: str) -> bool:
    """Whether a value is stated: a year 0 is how tables write "unknown"."""
    return not is_unknown(number) and to_number(number, float) != 0
