"""Data set ``folder``: a user's own recordings, labelled by folder, by the files' tags or by a ``tracks.csv``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.errors import DatasetError
from tonearm.core.remote_path import any_path
from tonearm.datasets.artist_groups import group_by_artist
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.content import read_files
from tonearm.datasets.contradictions import contradiction_note
from tonearm.datasets.find_files import find_recordings
from tonearm.datasets.folder_labels import one_of_each_content, read_labels, set_aside, without_contradicting_rows
from tonearm.datasets.manifest import Reject, Track
from tonearm.datasets.recordings import TagRepairs, dataset_name, make_track, recording_tags
from tonearm.datasets.track_columns import PATH_COLUMNS
from tonearm.datasets.track_table import TABLE, TrackTable, find_track_table, read_track_table

__all__ = ["PATH_COLUMNS", "TABLE", "FolderConfig", "FolderScan", "scan_folder"]

FROM_TAGS = ("artist", "album", "genre")


class FolderConfig(DatasetConfig, kind="folder"):
    """Recordings below a folder; see :func:`scan_folder`. Numbers in ``tracks.csv`` become metadata of the tracks.

    Attributes
    ----------
    label
        ``folder`` (the name of the file's folder), ``artist``, ``album`` or ``genre`` (the files' tags), any column
        of ``tracks.csv``, or "": no label, where a metadata column is to be predicted.
    separator
        Between several labels of a track, e.g. ``|``; "": as :func:`~tonearm.datasets.label_names.separate_labels`
        sees them.
    several_labels
        What several labels in one value mean: ``all`` are labels of the track, in their order, or the ``first`` is its
        label. "": all, sorted, where a separator is named, else the first.
    merge_labels
        Whether labels that differ in case, spaces, hyphens or other separators are one, under the most frequent name.
    contradictions
        ``reject``: a recording that occurs under two labels is set aside, since one of them is wrong. ``keep``: it
        stays, under the first by the path.
    """

    label: str = "folder"
    separator: str = ""
    several_labels: Literal["", "first", "all"] = dataclasses.field(default="", metadata=OMIT_DEFAULT)
    merge_labels: bool = dataclasses.field(default=False, metadata=OMIT_DEFAULT)
    contradictions: Literal["reject", "keep"] = dataclasses.field(default="reject", metadata=OMIT_DEFAULT)

    def problems(self) -> list[str]:
        given = {"separator": self.separator, "several_labels": self.several_labels}
        if self.label in ("", "folder"):
            return [
                f"FolderConfig.{name} is {value!r}, but label {self.label!r} has one value: "
                "leave it empty, or name a column of tracks.csv as label"
                for name, value in given.items()
                if value
            ]
        return []

    @property
    def several(self) -> bool:
        """Whether a track may have several labels."""
        return self.several_labels == "all" or bool(self.separator and not self.several_labels)

    def catalogue(self) -> Catalogue:
        """Find the recordings, read their tags and ``tracks.csv``."""
        found = scan_folder(self.root, config=self)
        metadata = found.table.metadata([t.track_id for t in found.tracks], but=(found.label,))
        one_label = bool(found.label) and not self.several and self.contradictions == "reject"
        return Catalogue(dataset_name(self.root), found.label, found.tracks, found.rejects, metadata, found.notes,
                         one_label=one_label, found=found.found)  # fmt: skip


class FolderScan(NamedTuple):
    """What a folder of recordings holds.

    Attributes
    ----------
    tracks
        Labelled; their group is the artist.
    rejects
        What was set aside: unreadable, without a label, double, under two labels.
    table
        The folder's ``tracks.csv``.
    notes
        What a person should know of files, table, labels and artists.
    label
        As the table calls it, which may differ in case from what was asked for.
    found
        Recordings that lie there, usable or not.
    """

    tracks: list[Track]
    rejects: list[Reject]
    table: TrackTable
    notes: tuple[str, ...]
    label: str
    found: int


def scan_folder(root: str, label: str = "folder", separator: str = "", *, config: FolderConfig | None = None
                ) -> FolderScan:  # fmt: skip
    """Find the recordings below a folder and label them.

    Parameters
    ----------
    root
        A folder or its URI, searched to any depth.
    label
        ``folder`` (the name of the file's folder), ``artist``, ``album`` or ``genre`` (the files' tags), or any
        column of a ``tracks.csv`` in ``root``, whose columns win over tags. The table finds its file by a
        column ``path`` (or ``file``, ``filename``), relative to ``root``, or by ``track_id`` = the file's stem. "":
        no labels.
    separator
        Between several labels of a track.
    config
        Instead of both: how labels are read, see :class:`FolderConfig`.

    Returns
    -------
    Labelled tracks (their group is the artist, see :func:`~tonearm.datasets.artist_groups.group_by_artist`; an unknown
    artist makes each track its own group), what was set aside, the table and notes.

    Raises
    ------
    DatasetError
        If the folder is absent, holds no audio file, the table lacks a usable column, or no file has a label; with
        what was noted until then.
    """
    asked = config or FolderConfig(root=root, label=label, separator=separator)
    found = find_recordings(root)
    place, table_notes = find_track_table(any_path(root), found.tables)
    table = read_track_table(place, found.files)
    notes = [*found.notes, *table_notes, *table.notes]
    label = _resolved_label(asked.label, table, root, notes)
    read, unreadable = read_files(found.files, root, tags=True)
    repairs = TagRepairs()
    known = {i: recording_tags(reading, i, table, repairs) for i, reading in read.items()}
    notes += repairs.notes
    labels, label_notes = read_labels(known, label, asked, table)
    rejects = [*found.rejects, *unreadable.values()]
    contents = {i: reading.content for i, reading in read.items()}
    labels = without_contradicting_rows(found.files, contents, labels, label, asked, table, rejects)
    usable, copy_notes = one_of_each_content(found.files, {i: contents[i] for i in labels}, labels, asked, rejects)
    tracks = []
    for relative, own in usable.items():
        if own or not label:
            tracks.append(make_track(relative, found.files[relative], read[relative], known[relative], own))
        elif reason := read[relative].foreign:
            rejects.append(set_aside(relative, found.files[relative], "undecodable", reason))
        else:
            detail = f"neither {table.name} nor its tags give it a {label!r}"
            rejects.append(set_aside(relative, found.files[relative], "no_label", detail))
    notes += [*label_notes, *copy_notes, *contradiction_note(rejects)]
    there = len(found.files) + len(found.rejects)
    if not tracks:
        _refuse(root, label, there, rejects, notes)
    albums = {i: values["albumartist"][0] for i, values in known.items() if "albumartist" in values}
    tracks, group_notes = group_by_artist(tracks, albums)
    order = {i: n for n, i in enumerate(found.files)}
    rejects.sort(key=lambda r: order.get(r.track_id, -1))
    return FolderScan(tracks, rejects, table, (*notes, *group_notes), label, there)


def _resolved_label(label: str, table: TrackTable, root: str, notes: Sequence[str]) -> str:
    """The label as the table or the tags call it.

    Raises
    ------
    DatasetError
        If they know none of that name.
    """
    if label in ("", "folder", *FROM_TAGS):
        return label
    if found := table.column(label) or (label.casefold() if label.casefold() in ("folder", *FROM_TAGS) else ""):
        return found
    if not table.columns:
        return label
    problem = f"LABEL {label!r} is no column of {any_path(root) / table.name}: it has {', '.join(table.columns)}"
    raise DatasetError("; ".join([problem, *notes]))


def _refuse(root: str, label: str, files: int, rejects: list[Reject], notes: Sequence[str]) -> None:
    if all(r.reason != "no_label" for r in rejects):
        problem = (
            f"none of {files} audio files below {root!r} can be used; e.g. {rejects[0].track_id}: "
            f"{rejects[0].reason}, {rejects[0].detail}"
        )
    else:
        problem = (
            f"none of {files} audio files below {root!r} has a label {label!r}: use LABEL=folder, tag the files, "
            f"or write a {TABLE} with columns path and {label}"
        )
    raise DatasetError("; ".join([problem, *notes]))
