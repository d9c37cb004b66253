"""Recordings below a folder, with what their tags and a ``tracks.csv`` beside them say."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from tonearm.audio.decode import AUDIO_SUFFIXES
from tonearm.audio.tags import read_tags
from tonearm.core.errors import DatasetError
from tonearm.datasets.facts import Facts
from tonearm.datasets.manifest import Reject, Track

T = TypeVar("T", int, float)

TABLE = "tracks.csv"
PATH_COLUMNS = ("path", "file", "filename")


def name_of_folder(root: str) -> str:
    """A data set's name from its folder's: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", Path(root).resolve().name.lower()).strip("-") or "folder"


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
        By the file's relative path or stem.
    """

    columns: Sequence[str] = ()
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, relative: str) -> Mapping[str, str]:
        """The row of a recording, by its relative path or else its stem; empty if there is none."""
        return self.rows.get(relative, self.rows.get(Path(relative).stem, {}))

    def facts(self, track_ids: Sequence[str], but: Collection[str] = ()) -> Facts:
        """Columns whose every value is a number, as facts of these recordings; NaN where a value lacks.

        ``but`` names columns that are none: what is to be predicted from the others.
        """
        columns: dict[str, np.ndarray] = {}
        for name in self.columns:
            if not name or name in (*PATH_COLUMNS, "track_id", *but):
                continue
            texts = [row[name] for row in self.rows.values() if name in row and row[name].lower() != "nan"]
            if texts and all(to_number(text, float) is not None for text in texts):
                columns[name] = np.array([to_number(self.of(i).get(name), float) for i in track_ids], dtype=np.float64)
        return Facts(track_ids, columns) if columns else Facts()


def read_track_table(path: Path) -> TrackTable:
    """Read a ``tracks.csv`` in UTF-8; an absent one is empty.

    Raises
    ------
    DatasetError
        If it cannot be read, or no column names the file.
    """
    if not path.exists():
        return TrackTable()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as a UTF-8 CSV table: {error}") from None
    key = next((c for c in (*PATH_COLUMNS, "track_id") if c in columns), None)
    if key is None:
        raise DatasetError(f"{path} needs a column path (or {', '.join(PATH_COLUMNS[1:])}, track_id), has {columns}")
    found = {}
    for row in rows:
        identity = (row[key] or "").strip().removeprefix("./")
        found[identity] = {k: v.strip() for k, v in row.items() if k and isinstance(v, str) and v.strip()}
    return TrackTable(columns, found)


def describe_recording(path: Path, relative: str, table: TrackTable) -> dict[str, str]:
    """What a recording's tags say of it and, over them, its row in the table."""
    return {**read_tags(path), **table.of(relative)}


def make_track(track_id: str, path: Path, content: str, known: Mapping[str, str], labels: Sequence[str] = ()) -> Track:
    """A track whose group is its artist; an unknown artist makes it its own group.

    Parameters
    ----------
    known
        Text by name: title, artist, album, year, place, latitude, longitude, licence.
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
        group=f"artist:{artist}" if artist else f"track:{track_id}",
        title=known.get("title"),
        artist=artist,
        album=known.get("album"),
        year=to_number(known.get("year"), int),
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
