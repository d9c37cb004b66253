"""A ``tracks.csv`` beside recordings: which row is which file's, and what the rows say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tonearm.core.remote_path import AnyPath, RemotePath
from tonearm.core.text import list_examples
from tonearm.datasets.cells import clean_text, is_unknown, to_number, to_year
from tonearm.datasets.csv_text import CsvText, read_csv_text
from tonearm.datasets.file_names import FileNames, Rank, plain_path, relative_prefix
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.text_encodings import NAMES
from tonearm.datasets.track_columns import PATH_COLUMNS, column_names, meant_column, named_columns, naming_column

TABLE = "tracks.csv"


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
    key
        The column that names the files.
    name
        Of the table's file.
    notes
        How many rows are no file's, several files' or a file's second one, disagree, or have an impossible year.
    """

    columns: Sequence[str] = ()
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    contradictions: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    key: str = ""
    name: str = TABLE

    def of(self, relative: str) -> Mapping[str, str]:
        """The row of a recording, by its relative path; empty if there is none."""
        return self.rows.get(relative, {})

    def column(self, name: str) -> str:
        """The column that a name means: that of this name, or the one that differs in case alone, or else the one that
        is meant by this spelling; "" if none does."""
        name = clean_text(name)
        alike = [c for c in self.columns if c.casefold() == name.casefold()]
        if name in self.columns or len(alike) == 1:
            return name if name in self.columns else alike[0]
        return meant if not alike and (meant := meant_column(name)) in self.columns else ""

    def metadata(self, track_ids: Sequence[str], but: Collection[str] = ()) -> Metadata:
        """Columns whose every value is a number, as metadata of these recordings; NaN where a value lacks.

        ``but`` names columns that are none: what is to be predicted from the others.
        """
        columns: dict[str, np.ndarray] = {}
        for name in self.columns:
            if name in (*PATH_COLUMNS, "track_id", self.key, *but):
                continue
            texts = [row[name] for row in self.rows.values() if name in row]
            if texts and all(to_number(text, float) is not None for text in texts):
                columns[name] = np.array([to_number(self.of(i).get(name), float) for i in track_ids], dtype=np.float64)
        return Metadata(track_ids, columns) if columns else Metadata()


def find_track_table(folder: AnyPath, tables: Sequence[str]) -> tuple[AnyPath | None, list[str]]:
    """The table in a folder: ``tracks.csv``, or of that name in other letters or as ``.tsv``; and what is not read.

    Of a folder elsewhere the listing says whether there is one: None if there is not.

    Parameters
    ----------
    tables
        What may be tables below it, relative to it.
    """
    here = [name for name in tables if "/" not in name]
    named = [name for name in here if name.casefold() in (TABLE, "tracks.tsv")]
    used = TABLE if TABLE in named or not named else named[0]
    below = [name for name in tables if "/" in name and name.rpartition("/")[2].casefold() == TABLE]
    notes = [f"{list_examples(named)} in one folder: {used} is read"] if len(named) > 1 else []
    if below:
        notes.append(f"{list_examples(below)} in folders below: not read, only the {TABLE} of the folder itself is")
    if here and not named:
        notes.append(f"no {TABLE}, but {list_examples(here)}: what is to be read must be a CSV called {TABLE}")
    return None if isinstance(folder, RemotePath) and not named else folder / used, notes


def read_track_table(path: AnyPath | None, files: Iterable[str]) -> TrackTable:
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
    if isinstance(path, RemotePath):
        path = path.fetched()
    elif path is None or not path.exists():
        return TrackTable()
    cells, text = named_columns(path), read_csv_text(path)
    matches = FileNames(files)
    key = naming_column(path, cells, matches)
    found_so = [] if key in (*PATH_COLUMNS, "track_id") else [f"column {key!r} of {path.name} names the files"]
    rows = _Rows(cells, key)
    rows.add_all(matches)
    notes = [
        *_encoding_notes(path.name, text),
        *found_so,
        *rows.notes(path.name, matches),
        *_swallowed_rows(path.name, text, rows, matches),
    ]
    strange = [year for row in rows.rows.values() if to_year(year := row.get("year", "")) is None and _is_stated(year)]
    if strange:
        notes.append(f"{len(strange)} row(s) of {path.name} have an impossible year, e.g. {strange[0]!r}: unknown")
    return TrackTable(list(cells), rows.rows, rows.contradictions, tuple(notes), key, path.name)


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
    worst: Rank = 0  # how the rows name their files, at worst

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
                self.worst = max(self.worst, rank)
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
        notes = [] if any(self.cells.values()) else [f"{table} has no rows"]
        if self.unmatched:
            notes.append(
                f"{len(self.unmatched)} row(s) of {table} name no file that is there, e.g. {self.unmatched[0]!r}: "
                "left out"
            )
            if not self.rows:
                notes.append(f"no row of {table} names a file; these are called e.g. {matches.example!r}")
        if self.ambiguous:
            name = self.ambiguous[0]
            notes.append(
                f"{len(self.ambiguous)} row(s) of {table} name several files, e.g. {name!r}: left out; "
                f"it may be {' or '.join(matches.find(name)[0][:2])}: write more of the paths"
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
    names: Sequence[str], found: Sequence[tuple[Sequence[str], Rank]]
) -> list[tuple[Sequence[str], Rank]]:
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


def _encoding_notes(table: str, csv: CsvText) -> list[str]:
    notes = [f"{csv.zeros} zero byte(s) in {table} are left out"] if csv.zeros else []
    if csv.guessed:
        odd = next((line for line in csv.text.splitlines() if not line.isascii()), "")
        notes.append(
            f"{table} is not in UTF-8: read as {NAMES[csv.encoding]}, e.g. {odd[:60]!r}; if that is wrong, save it "
            "as UTF-8"
        )  # fmt: skip
    return notes


def _swallowed_rows(table: str, csv: CsvText, rows: _Rows, matches: FileNames) -> list[str]:
    """A quote that is not closed makes all lines up to the next quote one cell: told where these would be rows.

    Such a line has in its place the name of a file that has no row of its own, written as well as other rows do it:
    lines of lyrics that are called as a song is are none.
    """
    columns, names = column_names(csv), rows.cells[rows.key]
    place, least = columns.index(rows.key), min(2, len(columns))
    swallowed, opened = [], ""
    for column in rows.cells.values():
        for i, cell in enumerate(column):
            for line in cell.splitlines()[1:] if "\n" in cell or "\r" in cell else ():
                fields = line.split(csv.separator)
                if len(fields) <= place or len(fields) < least:
                    continue
                named = clean_text(fields[place].strip('"'))
                found, rank = matches.find(named)
                if found and rank <= max(rows.worst, 1) and found[0] not in rows.rows:
                    swallowed.append(named)
                    opened = opened or names[i].splitlines()[0]
    if not swallowed:
        return []
    return [
        f"{len(swallowed)} row(s) of {table} are inside a quote that is opened in the row of {opened!r} and closed "
        f"later, e.g. that of {swallowed[0]!r}: close the quote"
    ]


def _is_stated(number: str) -> bool:
    """Whether a value is stated: a year 0 is how tables write "unknown"."""
    return not is_unknown(number) and to_number(number, float) != 0
