"""Recordings below a folder, with their tags and a ``tracks.csv``."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from tonearm.audio.decode import AUDIO_SUFFIXES
from tonearm.audio.tags import read_tags
from tonearm.core.errors import DatasetError
from tonearm.core.text import slug
from tonearm.datasets.artist_names import artist_group
from tonearm.datasets.manifest import Reject, Track
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.tables import read_table

T = TypeVar("T", int, float)

TABLE = "tracks.csv"
PATH_COLUMNS = ("path", "file", "filename")
YEARS = range(1, 10_000)
NAMELESS = "Unnamed: "  # what pandas calls a column without a name, such as an index that was written


def dataset_name(root: str) -> str:
    """A data set's name from its folder's: lower-case letters, digits and hyphens."""
    return slug(Path(root).resolve().name) or "folder"


def find_recordings(root: str) -> tuple[dict[str, Path], list[Reject]]:
    """The audio files below a folder, to any depth.

    Returns
    -------
    Paths by their name relative to the folder, sorted; and those whose name is no text (``bad_name``).

    Raises
    ------
    DatasetError
        If the folder is absent or holds no audio file.
    """
    folder = Path(root)
    if not root or not folder.is_dir():
        raise DatasetError(f"AUDIO {root!r} is no folder: give the folder that holds your recordings")
    paths = sorted(_audio_files(folder))
    if not paths:
        raise DatasetError(f"no audio below {root!r}: looked for {', '.join(AUDIO_SUFFIXES)}")
    files, rejects = {}, []
    for path in paths:
        relative = path.relative_to(folder).as_posix()
        if _is_text(relative):
            files[relative] = path
        else:
            shown = os.fsencode(relative).decode("utf-8", "backslashreplace")
            rejects.append(Reject(track_id=shown, source=shown, stage="scan", reason="bad_name",
                                  detail="its name is not UTF-8: rename it"))  # fmt: skip
    return files, rejects


@dataclass(frozen=True)
class TrackTable:
    """A ``tracks.csv``: what is known of recordings, as text; empty values are left out.

    Attributes
    ----------
    columns
        In their order.
    rows
        By the file's relative path.
    notes
        How many rows are no file's, several files' or a file's second one, or have an impossible year.
    """

    columns: Sequence[str] = ()
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, relative: str) -> Mapping[str, str]:
        """The row of a recording, by its relative path; empty if there is none."""
        return self.rows.get(relative, {})

    def metadata(self, track_ids: Sequence[str], but: Collection[str] = ()) -> Metadata:
        """Columns whose every value is a number, as metadata of these recordings; NaN where a value lacks.

        ``but`` names columns that are none: what is to be predicted from the others.
        """
        columns: dict[str, np.ndarray] = {}
        for name in self.columns:
            if name in (*PATH_COLUMNS, "track_id", *but):
                continue
            texts = [row[name] for row in self.rows.values() if name in row and row[name].lower() != "nan"]
            if texts and all(to_number(text, float) is not None for text in texts):
                columns[name] = np.array([to_number(self.of(i).get(name), float) for i in track_ids], dtype=np.float64)
        return Metadata(track_ids, columns) if columns else Metadata()


def read_track_table(path: Path, files: Iterable[str]) -> TrackTable:
    """Read a ``tracks.csv`` (see :func:`~tonearm.datasets.tables.read_table`); an absent one is empty.

    A row names its file by the relative path or, if only one file has it, by the stem. Rows that match no file or
    several are ignored; of two rows for one file that with the path counts, or else the first.

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
    cells = {name: values for name, values in read_table(path, (), None).items() if not name.startswith(NAMELESS)}
    key = next((c for c in (*PATH_COLUMNS, "track_id") if c in cells), None)
    if key is None:
        raise DatasetError(
            f"{path} needs a column path (or {', '.join(PATH_COLUMNS[1:])}, track_id), has {list(cells)}"
        )
    texts = {name: [str(v).strip() for v in values] for name, values in cells.items()}
    names = [name.removeprefix("./") for name in texts[key]]
    paths = set(files)
    called: dict[str, list[str]] = defaultdict(list)
    for file in sorted(paths):
        called[Path(file).stem].append(file)
    rows: dict[str, dict[str, str]] = {}
    ignored: dict[str, list[str]] = {
        "name no file that is there": [],
        "name several files": [],
        "come second for a file": [],
    }
    unmatched, ambiguous, second = ignored.values()
    for i in sorted(range(len(names)), key=lambda i: names[i] not in paths):
        fitting = [names[i]] if names[i] in paths else called.get(names[i], [])
        if not fitting:
            unmatched.append(names[i])
        elif len(fitting) > 1:
            ambiguous.append(names[i])
        elif fitting[0] in rows:
            second.append(names[i])
        else:
            rows[fitting[0]] = {name: column[i] for name, column in texts.items() if column[i]}
    notes = [
        f"{len(own)} row(s) of {path.name} {what}, e.g. {own[0]!r}: left out" for what, own in ignored.items() if own
    ]
    strange = [year for row in rows.values() if to_year(year := row.get("year", "")) is None and _is_stated(year)]
    if strange:
        notes.append(f"{len(strange)} row(s) of {path.name} have an impossible year, e.g. {strange[0]!r}: unknown")
    return TrackTable(list(cells), rows, tuple(notes))


def _is_stated(number: str) -> bool:
    """Whether a value is stated: a year 0 is how tables write "unknown"."""
    return number.lower() not in ("", "nan") and to_number(number, float) != 0


def recording_tags(path: Path, relative: str, table: TrackTable) -> dict[str, str]:
    """A recording's tags, overridden by its row in the table."""
    return {**read_tags(path), **table.of(relative)}


def make_track(track_id: str, path: Path, content: str, known: Mapping[str, str], labels: Sequence[str] = ()) -> Track:
    """A track whose group is its artist; an unknown artist makes it its own group.

    Parameters
    ----------
    known
        Text by name: title, artist, album, year (1..9999, or else unknown), place, latitude, longitude, licence.
    labels
        In their order; the first is the class.
    """
    artist = known.get("artist")
    return Track(
        track_id=track_id,
        source=str(path.absolute()),
        content=content,
        label=labels[0] if labels else "",
        labels=tuple(labels) if len(labels) > 1 else (),
        group=artist_group(artist) or f"track:{track_id}",
        title=known.get("title"),
        artist=artist,
        album=known.get("album"),
        year=to_year(known.get("year")),
        place=known.get("place"),
        latitude=to_number(known.get("latitude"), float),
        longitude=to_number(known.get("longitude"), float),
        licence=known.get("licence"),
    )


def to_number(text: str | None, kind: Callable[[float], T]) -> T | None:
    """A finite number that a text says, or None."""
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return kind(value) if math.isfinite(value) else None


def to_year(text: str | None) -> int | None:
    """A year that a text says, 1..9999, or None."""
    year = to_number(text, int)
    return year if year in YEARS else None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of another encoding, which Python keeps as surrogates
        return False
    return True


def _audio_files(folder: Path) -> Iterator[Path]:
    for base, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith("."):
                yield Path(base) / name
