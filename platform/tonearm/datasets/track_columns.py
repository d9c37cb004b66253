"""The columns of a ``tracks.csv``: what they are called, and which of them names the files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tonearm.core.errors import DatasetError
from tonearm.core.remote_path import AnyPath
from tonearm.datasets.cells import clean_text
from tonearm.datasets.csv_text import CsvText, read_csv_text
from tonearm.datasets.file_names import QUOTES, FileNames, Rank
from tonearm.datasets.tables import read_table

PATH_COLUMNS = ("path", "file", "filename")
NAMELESS = "Unnamed: "  # what pandas calls a column without a name, such as an index that was written
#: Columns that are meant whatever the case of their letters.
KNOWN_COLUMNS = (*PATH_COLUMNS, "track_id", "title", "artist", "album", "albumartist", "genre", "year", "place",
                 "latitude", "longitude", "licence")  # fmt: skip
OTHER_SPELLINGS = {
    "path": "filepath fullpath relpath relativepath abspath absolutepath audiopath audiofilepath dateipfad",
    "filename": "audiofilename dateiname nomdufichier nomefile nombredearchivo "
                "\u0438\u043c\u044f\u0444\u0430\u0439\u043b\u0430 \u30d5\u30a1\u30a4\u30eb\u540d \u6587\u4ef6\u540d",
    "file": "audiofile soundfile wavfile",
    "track_id": "trackid", "albumartist": "bandalbumartist", "licence": "license",
}  # fmt: skip
"""What else columns that are meant are called, without spaces and marks."""
MAYBE_PATHS = frozenset(
    ["location", "audio", "fname", "pfad", "datei", "chemin", "fichier", "ruta", "archivo", "percorso", "путь", "файл"]
)
"""What columns that name the files are called, too, but others as well: a location may be a town, a ruta a route."""
TRIED = 200
"""Rows, from all over the table, by which it is found which column names the files."""
MOSTLY = 0.5


def named_columns(path: AnyPath) -> dict[str, list[str]]:
    """The columns as text, by their names without spaces around; those that are meant in any case in small letters.

    Empty rows are left out.

    Raises
    ------
    DatasetError
        If two columns of one name differ.
    """
    table = read_table(path, (), None, guess_encoding=True)
    found: dict[str, list[str]] = {}
    for plain, column in zip(column_names(read_csv_text(path)), table.values(), strict=False):
        values = [clean_text(str(value)) for value in column]
        if plain in found and values != found[plain]:
            raise DatasetError(f"{path} has two columns {plain!r}, apart from case and spaces: rename or remove one")
        if plain and not plain.startswith(NAMELESS):
            found[plain] = values
    filled = [i for i, row in enumerate(zip(*found.values(), strict=True)) if any(row)]
    return {name: [values[i] for i in filled] for name, values in found.items()}


def column_names(table: CsvText) -> list[str]:
    """What the columns of a table are called here, in their order: ``path`` for ``File-Path``.

    A column of another spelling keeps its name if one before it, or one of just that name, has the meaning.
    """
    written = [clean_text(name).strip(QUOTES).strip("# ") for name in table.header()]
    taken = {name.casefold() for name in written} & {*KNOWN_COLUMNS}
    names = []
    for name in written:
        meant = meant_column(name)
        if name.casefold() not in KNOWN_COLUMNS:
            meant = "" if meant in taken else meant
            taken.add(meant)
        names.append(meant or name)
    return names


def meant_column(name: str) -> str:
    """The known column that a name means, by its other spellings, too; "" if none."""
    plain = name.casefold()
    if plain in KNOWN_COLUMNS:
        return plain
    bare = _bare(name)
    return next((own for own in KNOWN_COLUMNS
                 if bare in (own.replace("_", ""), *OTHER_SPELLINGS.get(own, "").split())), "")  # fmt: skip


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def naming_column(path: AnyPath, cells: Mapping[str, Sequence[str]], matches: FileNames) -> str:
    """The column that names the files: one that is called so and does, or else one that may be called so and does, or
    else the one whose values mostly do, by more than a stem.

    Raises
    ------
    DatasetError
        If there is none.
    """

    def share(column: str, worst: Rank) -> float:
        filled = [value for value in cells[column] if value]
        tried = filled[:: len(filled) // TRIED + 1]
        found = [matches.find(value) for value in tried]
        return sum(len(own) == 1 and rank <= worst for own, rank in found) / len(tried) if tried else 0.0

    called = [c for c in (*PATH_COLUMNS, "track_id") if c in cells]
    maybe = [c for c in cells if _bare(c) in MAYBE_PATHS]
    if found := next((c for c in called if share(c, 2)), ""):
        return found
    if found := next((c for c in maybe if share(c, 1) or share(c, 2) >= MOSTLY), ""):
        return found
    best = max(cells, key=lambda column: share(column, 1), default="")
    if best and share(best, 1) >= MOSTLY:  # a stem may be any word
        return best
    if called:  # none of the files that it names is there
        return called[0]
    example = f"; files are called e.g. {matches.example!r}" if matches.example else ""
    raise DatasetError(
        f"{path} needs a column path (or {', '.join(PATH_COLUMNS[1:])}, track_id), has {list(cells)}{example}"
    )
