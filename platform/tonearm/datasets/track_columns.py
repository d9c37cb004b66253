"""The columns of a ``tracks.csv``: what they are called, and which of them names the files."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tonearm.core.errors import DatasetError
from tonearm.datasets.cells import clean_text
from tonearm.datasets.csv_text import read_csv_text
from tonearm.datasets.file_names import QUOTES, FileNames, Rank
from tonearm.datasets.tables import read_table

PATH_COLUMNS = ("path", "file", "filename")
NAMELESS = "Unnamed: "  # what pandas calls a column without a name, such as an index that was written
#: Columns that are meant whatever the case of their letters.
KNOWN_COLUMNS = (*PATH_COLUMNS, "track_id", "title", "artist", "album", "albumartist", "genre", "year", "place",
                 "latitude", "longitude", "licence")  # fmt: skip
OTHER_SPELLINGS = {
    "path": "filepath fullpath relpath relativepath abspath absolutepath audiopath audiofilepath location pfad "
            "dateipfad chemin ruta percorso \u043f\u0443\u0442\u044c",
    "filename": "fname audiofilename dateiname nomdufichier nomefile nombredearchivo "
                "\u0438\u043c\u044f\u0444\u0430\u0439\u043b\u0430 \u30d5\u30a1\u30a4\u30eb\u540d \u6587\u4ef6\u540d",
    "file": "audiofile audio soundfile wavfile datei fichier archivo \u0444\u0430\u0439\u043b",
    "track_id": "trackid", "albumartist": "bandalbumartist", "licence": "license",
}  # fmt: skip
"""What else columns that are meant are called, without spaces and marks."""
TRIED = 200
"""Rows by which it is found which column names the files."""
MOSTLY = 0.5


def named_columns(path: Path) -> dict[str, list[str]]:
    """The columns as text, by their names without spaces around; those that are meant in any case in small letters.

    Empty rows are left out.

    Raises
    ------
    DatasetError
        If two columns of one name differ.
    """
    table = read_table(path, (), None, guess_encoding=True)
    written = [clean_text(name).strip(QUOTES).strip("# ") for name in read_csv_text(path).header()]
    known = {name.casefold() for name in written} & {*KNOWN_COLUMNS}
    found: dict[str, list[str]] = {}
    for name, column in zip(written, table.values(), strict=False):
        folded = _meant_column(name, known)
        plain = folded if folded in KNOWN_COLUMNS else name
        values = [clean_text(str(value)) for value in column]
        if plain in found and values != found[plain]:
            raise DatasetError(f"{path} has two columns {plain!r}, apart from case and spaces: rename or remove one")
        if plain and not plain.startswith(NAMELESS):
            found[plain] = values
    filled = [i for i, row in enumerate(zip(*found.values(), strict=True)) if any(row)]
    return {name: [values[i] for i in filled] for name, values in found.items()}


def _meant_column(name: str, known: Collection[str]) -> str:
    """The column that a name means, if no other is called so: ``path`` for ``File-Path``."""
    plain = name.casefold()
    if plain in KNOWN_COLUMNS:
        return plain
    bare = re.sub(r"[\W_]+", "", plain)
    return next((own for own in KNOWN_COLUMNS if own not in known
                 and bare in (own.replace("_", ""), *OTHER_SPELLINGS.get(own, "").split())), plain)  # fmt: skip


def naming_column(path: Path, cells: Mapping[str, Sequence[str]], matches: FileNames) -> str:
    """The column that names the files: one that is called so, or else the one whose values mostly do, by
    more than a stem.

    Raises
    ------
    DatasetError
        If there is none.
    """

    def share(column: str, worst: Rank) -> float:
        tried = [value for value in cells[column] if value][:TRIED]
        found = [matches.find(value) for value in tried]
        return sum(len(own) == 1 and rank <= worst for own, rank in found) / len(tried) if tried else 0.0

    called = [c for c in (*PATH_COLUMNS, "track_id") if c in cells]
    if called:
        return next((c for c in called if len(called) == 1 or share(c, 2)), called[0])
    best = max(cells, key=lambda column: share(column, 1), default="")
    if best and share(best, 1) >= MOSTLY:  # a stem may be any word
        return best
    example = f"; files are called e.g. {matches.example!r}" if matches.example else ""
    raise DatasetError(
        f"{path} needs a column path (or {', '.join(PATH_COLUMNS[1:])}, track_id), has {list(cells)}{example}"
    )
