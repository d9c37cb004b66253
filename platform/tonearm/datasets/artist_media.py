"""Lyrics and pictures of recordings: which text or file beside them is whose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.datasets.folder import PATH_COLUMNS, TABLE
from tonearm.datasets.manifest import Track
from tonearm.datasets.tables import find_table, read_table
from tonearm.datasets.track_table import TrackTable
from tonearm.datasets.vocabulary import tokenise

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
TEXT_COLUMNS = ("text", "lyrics")


def _read_lyrics(root: Path) -> tuple[dict[str, str] | None, list[str]]:
    """Texts by track id, path or stem; None if there are neither a table nor a folder."""
    path = find_table(str(root), "lyrics")
    if path is not None:
        table = read_table(path, (), ("track_id", *PATH_COLUMNS, *TEXT_COLUMNS))
        key = next((c for c in ("track_id", *PATH_COLUMNS) if c in table), None)
        text = next((c for c in TEXT_COLUMNS if c in table), None)
        if key is None or text is None:
            raise DatasetError(f"{path} needs a column track_id or path and a column text")
        return {str(k).removeprefix("./"): str(v) for k, v in zip(table[key], table[text], strict=True)}, []
    folder = root / "lyrics"
    if not folder.is_dir():
        return None, ["no lyrics.csv and no folder lyrics: no lyrics are known"]
    texts, bad = {}, []
    for file in sorted(folder.rglob("*.txt")):
        name = file.relative_to(folder).as_posix()
        try:
            texts[name.removesuffix(".txt")] = file.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            bad.append(name)
    return texts, [f"{len(bad)} file(s) of lyrics are no UTF-8 text and are left out, e.g. {bad[0]}"] if bad else []


def find_lyrics(root: Path, tracks: Sequence[Track]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The text of each track, "" where there is none."""
    texts, notes = _read_lyrics(root)
    if texts is None:
        return {}, notes
    own = _look_up(tracks, texts)
    notes.append(f"{sum(bool(tokenise(text)) for text in own)} of {len(tracks)} recordings have lyrics")
    return {"lyrics": np.array(own, dtype=object)}, notes


def find_pictures(root: Path, tracks: Sequence[Track], table: TrackTable) -> tuple[np.ndarray, list[str]]:
    """The path of each track's picture, by the column of the table or the folder; "" where there is none."""
    folder = root / "art"
    named = {
        file.relative_to(folder).with_suffix("").as_posix(): str(file.absolute())
        for file in sorted(folder.rglob("*"), reverse=True)  # of two with one name the first by the alphabet
        if file.suffix.lower() in PICTURE_SUFFIXES and file.is_file()
    }
    paths, lost = _look_up(tracks, named, album=True), []
    for i, track in enumerate(tracks):
        stated_path = table.of(track.track_id).get("picture")
        if stated_path and (root / stated_path).is_file():
            paths[i] = str((root / stated_path).absolute())
        elif stated_path:
            lost.append(stated_path)
    notes = [f"{sum(map(bool, paths))} of {len(tracks)} recordings have a picture"]
    notes += [f"{len(lost)} picture(s) that {TABLE} names are not there, e.g. {lost[0]}"] if lost else []
    return np.array(paths, dtype=object), notes


def _look_up(tracks: Sequence[Track], values: Mapping[str, str], album: bool = False) -> list[str]:
    """The value for each track, by its id, the id without suffix, its file's stem or (on request) its album.

    Stems and albums that several files or artists share are ambiguous and ignored.
    """
    stems = _owners((Path(t.track_id).stem, t.track_id) for t in tracks)
    albums = _owners((t.album or "", t.group) for t in tracks)
    found = []
    for t in tracks:
        path = Path(t.track_id)
        keys = [t.track_id, path.with_suffix("").as_posix()]
        keys += [path.stem] if len(stems[path.stem]) == 1 else []
        keys += [t.album] if album and t.album and len(albums[t.album]) == 1 else []
        found.append(next((values[key] for key in keys if values.get(key)), ""))
    return found


def _owners(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    owners: dict[str, set[str]] = defaultdict(set)
    for name, owner in pairs:
        owners[name].add(owner)
    return owners
