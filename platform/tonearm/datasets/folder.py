"""Data set ``folder``: a user's own recordings, labelled by folder, by the files' tags or by a ``tracks.csv``."""

from __future__ import annotations

from pathlib import Path

from tonearm.core.errors import DatasetError
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.content import digest_files
from tonearm.datasets.manifest import Reject, Track
from tonearm.datasets.recordings import (
    PATH_COLUMNS,
    TABLE,
    TrackTable,
    dataset_name,
    find_recordings,
    make_track,
    read_track_table,
    recording_tags,
)

__all__ = ["PATH_COLUMNS", "TABLE", "FolderConfig", "scan_folder"]

FROM_TAGS = ("artist", "album", "genre")


class FolderConfig(DatasetConfig, kind="folder"):
    """Recordings below a folder; see :func:`scan_folder`. Numbers in ``tracks.csv`` become metadata of the tracks.

    Attributes
    ----------
    label
        ``folder`` (the name of the file's folder), ``artist``, ``album`` or ``genre`` (the files' tags), any column
        of ``tracks.csv``, or "": no label, where a metadata column is to be predicted.
    separator
        Between several labels of a track, e.g. ``|``; "" takes the value as one label.
    """

    label: str = "folder"
    separator: str = ""

    def problems(self) -> list[str]:
        if self.separator and self.label in ("", "folder"):
            return [
                f"FolderConfig.separator is {self.separator!r}, but label {self.label!r} has one value: "
                "leave it empty, or name a column of tracks.csv as label"
            ]
        return []

    def catalogue(self) -> Catalogue:
        """Find the recordings, read their tags and ``tracks.csv``; a track's labels are sorted."""
        tracks, rejects, table = scan_folder(self.root, self.label, self.separator)
        metadata = table.metadata([t.track_id for t in tracks], but=(self.label,))
        return Catalogue(dataset_name(self.root), self.label, tracks, rejects, metadata, table.notes)


def scan_folder(root: str, label: str = "folder", separator: str = "") -> tuple[list[Track], list[Reject], TrackTable]:
    """Find the recordings below a folder and label them.

    Parameters
    ----------
    root
        A local folder, searched to any depth.
    label
        ``folder`` (the name of the file's folder), ``artist``, ``album`` or ``genre`` (the files' tags), or any
        column of a ``tracks.csv`` in ``root``, whose columns win over tags. The table finds its file by a
        column ``path`` (or ``file``, ``filename``), relative to ``root``, or by ``track_id`` = the file's stem. "":
        no labels.
    separator
        Between several labels of a track; "" takes the value as one label.

    Returns
    -------
    Labelled tracks (their group is the artist; an unknown artist makes each track its own group), the files that were
    set aside, unreadable or without a label, and the table, whose notes count the rows that count for no file.

    Raises
    ------
    DatasetError
        If the folder is absent, holds no audio file, or the table lacks a usable column.
    """
    files, bad_names = find_recordings(root)
    table = read_track_table(Path(root) / TABLE, files)
    if table.columns and label not in ("", "folder", *FROM_TAGS, *table.columns):
        raise DatasetError(f"LABEL {label!r} is no column of {Path(root) / TABLE}: it has {', '.join(table.columns)}")
    contents, unreadable = digest_files(files)
    tracks, rejects = [], list(bad_names)
    first_with: dict[str, str] = {}
    for relative, path in files.items():
        if relative in unreadable:
            rejects.append(unreadable[relative])
            continue
        content = contents[relative]
        first = first_with.setdefault(content, relative)
        if first != relative:  # one recording in two splits would be tested on what it was trained on
            rejects.append(_reject(relative, path, "duplicate", f"the same bytes as {first}"))
            continue
        track = _track(relative, path, content, table, label, separator)
        if track.label or not label:
            tracks.append(track)
        else:
            rejects.append(_reject(relative, path, "no_label", f"neither {TABLE} nor its tags give it a {label!r}"))
    if not tracks:
        _refuse(root, label, len(files) + len(bad_names), rejects)
    return tracks, rejects, table


def _track(relative: str, path: Path, content: str, table: TrackTable, label: str, separator: str) -> Track:
    known = recording_tags(path, relative, table)
    value = path.parent.name if label == "folder" else known.get(label, "")
    values = value.split(separator) if separator else [value]
    return make_track(relative, path, content, known, sorted({v.strip() for v in values} - {""}))


def _reject(relative: str, path: Path, reason: str, detail: str) -> Reject:
    size = path.stat().st_size
    return Reject(track_id=relative, source=str(path), stage="scan", reason=reason, detail=detail, bytes=size)


def _refuse(root: str, label: str, files: int, rejects: list[Reject]) -> None:
    if all(r.reason != "no_label" for r in rejects):
        raise DatasetError(
            f"none of {files} audio files below {root!r} can be used; e.g. {rejects[0].track_id}: "
            f"{rejects[0].reason}, {rejects[0].detail}"
        )
    raise DatasetError(
        f"none of {files} audio files below {root!r} has a label {label!r}: use LABEL=folder, tag the files, "
        f"or write a {TABLE} with columns path and {label}"
    )
