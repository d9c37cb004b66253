"""Data set ``folder``: a user's own recordings, labelled by folder, by the files' tags or by a ``tracks.csv``."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from tonearm.audio.decode import AUDIO_SUFFIXES
from tonearm.audio.tags import read_tags
from tonearm.core.errors import DatasetError
from tonearm.datasets.manifest import Reject, Track

T = TypeVar("T", int, float)

TABLE = "tracks.csv"
PATH_COLUMNS = ("path", "file", "filename")


def scan_folder(root: str, label: str = "folder") -> tuple[list[Track], list[Reject]]:
    """Find the recordings below a folder and label them.

    Parameters
    ----------
    root
        A local folder, searched to any depth.
    label
        ``folder`` (the name of the file's folder), ``artist``, ``album`` or ``genre`` (the files' tags), or any
        column of a ``tracks.csv`` that lies in ``root``, whose columns win over tags. The table finds its file by a
        column ``path`` (or ``file``, ``filename``), relative to ``root``, or by ``track_id`` = the file's stem.

    Returns
    -------
    Labelled tracks (their group is the artist; an unknown artist makes each track its own group), and the files that
    were set aside, unreadable or without a label.

    Raises
    ------
    DatasetError
        If the folder is absent, holds no audio file, or the table lacks a usable column.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise DatasetError(f"AUDIO {root!r} is no folder: give the folder that holds your recordings")
    files = sorted(_audio_files(folder))
    if not files:
        raise DatasetError(f"no audio below {root!r}: looked for {', '.join(AUDIO_SUFFIXES)}")
    table, columns = _read_table(folder / TABLE)
    if table and label not in ("folder", "artist", "album", "genre") and label not in columns:
        raise DatasetError(f"LABEL {label!r} is no column of {folder / TABLE}: it has {', '.join(columns)}")
    tracks, rejects = [], []
    first_with: dict[str, str] = {}
    for path in files:
        relative = path.relative_to(folder).as_posix()
        if not _is_text(relative):
            shown = os.fsencode(relative).decode("utf-8", "backslashreplace")
            rejects.append(Reject(track_id=shown, source=shown, stage="scan", reason="bad_name",
                                  detail="its name is not UTF-8: rename it"))  # fmt: skip
            continue
        try:
            track, size = _track(path, relative, label, table), path.stat().st_size
        except OSError as error:
            rejects.append(Reject(track_id=relative, source=str(path), stage="scan", reason="missing",
                                  detail=f"cannot be read: {error.strerror or error}"))  # fmt: skip
            continue
        if size == 0:
            rejects.append(Reject(track_id=relative, source=str(path), stage="scan", reason="empty", bytes=0,
                                  detail="the file has no bytes"))  # fmt: skip
            continue
        first = first_with.setdefault(track.content, relative)
        if first != relative:  # one recording in two splits would be tested on what it was trained on
            rejects.append(Reject(track_id=relative, source=str(path), stage="scan", reason="duplicate", bytes=size,
                                  detail=f"the same bytes as {first}"))  # fmt: skip
        elif track.label:
            tracks.append(track)
        else:
            rejects.append(Reject(track_id=relative, source=str(path), stage="scan", reason="no_label", bytes=size,
                                  detail=f"neither {TABLE} nor its tags give it a {label!r}"))  # fmt: skip
    if not tracks and rejects and all(r.reason != "no_label" for r in rejects):
        raise DatasetError(
            f"none of {len(files)} audio files below {root!r} can be used; e.g. {rejects[0].track_id}: "
            f"{rejects[0].reason}, {rejects[0].detail}"
        )
    if not tracks:
        raise DatasetError(
            f"none of {len(files)} audio files below {root!r} has a label {label!r}: use LABEL=folder, tag the files, "
            f"or write a {TABLE} with columns path and {label}"
        )
    return tracks, rejects


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of another encoding, which Python keeps as surrogates
        return False
    return True


def _track(path: Path, relative: str, label: str, table: Mapping[str, Mapping[str, str]]) -> Track:
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "no regular file")  # reading a pipe would wait for ever
    facts = {**read_tags(path), **table.get(relative, table.get(path.stem, {}))}
    value = path.parent.name if label == "folder" else facts.get(label, "")
    artist = facts.get("artist")
    return Track(
        track_id=relative,
        source=str(path.absolute()),
        content=_content(path),
        label=value,
        group=f"artist:{artist}" if artist else f"track:{relative}",
        title=facts.get("title"),
        artist=artist,
        album=facts.get("album"),
        year=_number(facts.get("year"), int),
        place=facts.get("place"),
        latitude=_number(facts.get("latitude"), float),
        longitude=_number(facts.get("longitude"), float),
        licence=facts.get("licence"),
    )


def _audio_files(folder: Path) -> Iterator[Path]:
    for base, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith("."):
                yield Path(base) / name


def _read_table(path: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Rows by the file's relative path or stem, empty values left out, so that tags fill them; and the columns."""
    if not path.exists():
        return {}, []
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
    return found, columns


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _number(text: str | None, kind: Callable[[float], T]) -> T | None:
    try:
        return kind(float(text)) if text else None
    except (ValueError, OverflowError):  # int of an infinity overflows
        return None
