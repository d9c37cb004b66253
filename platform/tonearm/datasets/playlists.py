"""Data set ``playlists``: which playlists a track is on, with its recording or with numeric metadata."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.core.seeding import digest
from tonearm.datasets.artist_groups import group_by_artist
from tonearm.datasets.artist_names import artist_group
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.content import read_files
from tonearm.datasets.file_names import FileNames
from tonearm.datasets.find_files import find_recordings
from tonearm.datasets.manifest import Reject, Track
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.recordings import TagRepairs, dataset_name, make_track, recording_tags
from tonearm.datasets.tables import read_table, to_floats
from tonearm.datasets.track_table import find_track_table, read_track_table


class PlaylistsConfig(DatasetConfig, kind="playlists"):
    """A table with a row a membership: a track and a playlist that it is on. A track's playlists are its labels.

    Attributes
    ----------
    table
        CSV or Parquet below the root.
    track_column, playlist_column
        Its columns. A track is called by its file's path below the root, or by the file's stem; without audio by
        any id.
    min_tracks
        Playlists with fewer tracks that can be used are left out.
    features
        Names of columns of numbers, separated by commas, which become metadata.
    audio
        Whether tracks are recordings below the root; if not, the table is all that is known of them.
    title_column, artist_column
        Columns of the table, which win over tags and ``tracks.csv``; "": none.
    group_column
        A column whose values never cross splits; "": the artist, or else the track.
    """

    on_this_machine: ClassVar[bool] = True

    table: str = "playlists.csv"
    track_column: str = "track"
    playlist_column: str = "playlist"
    min_tracks: int = 10
    features: str = ""
    audio: bool = True
    title_column: str = ""
    artist_column: str = ""
    group_column: str = ""

    @property
    def has_audio(self) -> bool:  # type: ignore[override]  # it depends on a field
        return self.audio

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The names in ``features``, in their order."""
        return tuple(name for part in self.features.split(",") if (name := part.strip()))

    def problems(self) -> list[str]:
        found = []
        if self.min_tracks < 1:
            found.append(f"PlaylistsConfig.min_tracks is {self.min_tracks}: it must be at least 1")
        if not self.audio and not self.feature_columns:
            found.append("PlaylistsConfig.audio is false and features is empty: nothing is left to learn from, name "
                         "columns of numbers")  # fmt: skip
        return found

    def catalogue(self) -> Catalogue:
        """Read the table and find the recordings.

        Names in the table that no recording has are rejected as ``missing`` (``ambiguous`` where several have it),
        recordings that are on no playlist as ``no_label``. Files with the same bytes are one track, on the playlists
        of all of them.
        """
        table = self._read()
        found = _recordings(self.root, table) if self.audio else _rows_alone(table)
        on = {i: {name for key in keys for name in table.playlists[key]} for i, keys in found.keys.items()}
        sizes = Counter(name for names in on.values() for name in names)
        small = {name for name, n in sizes.items() if n < self.min_tracks}
        tracks: list[Track] = []
        rejects = list(found.rejects)
        for track_id in sorted(found.tracks):
            labels = sorted(on[track_id] - small)
            if labels:
                tracks.append(self._track(found.tracks[track_id], labels, table.texts[found.keys[track_id][0]]))
            else:
                detail = f"its playlists have fewer than {self.min_tracks} tracks"
                rejects.append(_reject(track_id, found.tracks[track_id].source, "no_label", detail))
        if not tracks:
            raise DatasetError(
                f"no playlist of {table.path} has {self.min_tracks} tracks that can be used: of "
                f"{len(table.playlists)} tracks that it names {len(found.tracks)} were found. Lower min_tracks, or "
                "check how the table calls the tracks"
            )
        tracks, group_notes = group_by_artist(tracks, found.albums)
        notes = [*table.notes, *found.notes, *group_notes]
        if small:
            shown = ", ".join(f"{name!r} ({sizes[name]})" for name in sorted(small)[:3])
            notes.append(f"{len(small)} playlist(s) left out with fewer than {self.min_tracks} tracks, e.g. {shown}")
        several = sum(len(t.all_labels) > 1 for t in tracks)
        notes.append(f"{several} of {len(tracks)} track(s) are on several playlists: the class is the first by name")
        ids = [t.track_id for t in tracks]
        columns = {name: [known[found.keys[i][0]] for i in ids] for name, known in table.values.items()}
        metadata = Metadata(ids, columns) if columns else Metadata()
        return Catalogue(dataset_name(self.root), "playlist", tracks, rejects, metadata, tuple(notes))

    def _read(self) -> _Memberships:
        path = Path(self.root) / self.table
        if not self.root or not path.is_file():
            raise DatasetError(
                f"no table {self.table!r} in {self.root!r}: give a CSV or Parquet file with a row a track and playlist"
            )
        named = {"title": self.title_column, "artist": self.artist_column, "group": self.group_column}
        texts = {name: column for name, column in named.items() if column}
        cells = read_table(path, (self.track_column, self.playlist_column, *texts.values(), *self.feature_columns))
        table = _Memberships(path)
        table.add(
            [_text(v).removeprefix("./") for v in cells[self.track_column]],
            [_text(v) for v in cells[self.playlist_column]],
            {name: [_text(v) for v in cells[column]] for name, column in texts.items()},
            {name: _numbers(cells[name], f"{path}: column {name}") for name in self.feature_columns},
        )
        return table

    def _track(self, track: Track, labels: Sequence[str], texts: Mapping[str, str]) -> Track:
        artist, group = texts.get("artist") or track.artist, texts.get("group")
        return dataclasses.replace(
            track,
            label=labels[0],
            labels=tuple(labels) if len(labels) > 1 else (),
            title=texts.get("title") or track.title,
            artist=artist,
            group=f"{self.group_column}:{group}" if group else artist_group(artist) or track.group,
        )


@dataclass
class _Memberships:
    """The table by the tracks' names: playlists, and texts and numbers of the first row of each track."""

    path: Path
    playlists: dict[str, set[str]] = field(default_factory=dict)
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        keys: Sequence[str],
        playlists: Sequence[str],
        texts: Mapping[str, Sequence[str]],
        values: Mapping[str, np.ndarray],
    ) -> None:
        """Take in all rows; what is wrong with some is noted."""
        self.values = {name: {} for name in values}
        incomplete, repeated, differing = 0, [], dict[str, None]()
        for row, (key, playlist) in enumerate(zip(keys, playlists, strict=True)):
            if not key or not playlist:
                incomplete += 1
                continue
            text = {name: column[row] for name, column in texts.items()}
            if key not in self.playlists:
                self.playlists[key], self.texts[key] = set(), text
                for name, column in values.items():
                    self.values[name][key] = float(column[row])
            elif text != self.texts[key] or any(
                not np.array_equal(v[row], self.values[name][key], equal_nan=True) for name, v in values.items()
            ):
                differing[key] = None
            if playlist in self.playlists[key]:
                repeated.append((key, playlist))
            self.playlists[key].add(playlist)
        if incomplete:
            self.notes.append(f"{incomplete} of {len(keys)} row(s) name no track or no playlist: left out")
        if repeated:
            self.notes.append(f"{len(repeated)} row(s) are repeated, e.g. {repeated[0][0]!r} on {repeated[0][1]!r}")
        if differing:
            self.notes.append(f"{len(differing)} track(s) have rows that differ in more than the playlist, e.g. "
                              f"{next(iter(differing))!r}: the first row counts")  # fmt: skip


@dataclass(frozen=True)
class _Found:
    """Tracks by id, without labels yet; what the table calls each; what was set aside; notes; album artists."""

    tracks: dict[str, Track]
    keys: dict[str, list[str]]
    rejects: list[Reject]
    notes: tuple[str, ...] = ()
    albums: dict[str, str] = field(default_factory=dict)


def _rows_alone(table: _Memberships) -> _Found:
    tracks = {
        key: Track(track_id=key, source="", content=digest("playlists", key, size=16), label="", group=f"track:{key}")
        for key in table.playlists
    }
    return _Found(tracks, {key: [key] for key in tracks}, [])


def _recordings(root: str, table: _Memberships) -> _Found:
    there = find_recordings(root)
    files, rejects = there.files, there.rejects
    named: dict[str, list[str]] = defaultdict(list)
    matches = FileNames(files)
    for key in table.playlists:
        fitting, _ = matches.find(key)
        if len(fitting) == 1:
            named[fitting[0]].append(key)
        elif fitting:
            rejects.append(_reject(key, "", "ambiguous", f"{len(fitting)} files are called so, e.g. {fitting[0]} and "
                                   f"{fitting[1]}: name their paths in the table"))  # fmt: skip
        else:
            rejects.append(_reject(key, "", "missing", f"{table.path.name} names it, but no file below {root!r} is it"))
    rejects += [
        _reject(relative, str(path), "no_label", f"{table.path.name} does not name it")
        for relative, path in files.items()
        if relative not in named
    ]
    read, unreadable = read_files({i: path for i, path in files.items() if i in named}, root, tags=True)
    rejects += unreadable.values()
    beside = [name for name in there.tables if Path(root) / name != table.path]
    place, table_notes = find_track_table(Path(root), beside)
    known = read_track_table(place, files)
    repairs, found = TagRepairs(), _Found({}, defaultdict(list), rejects, ())
    first_with: dict[str, str] = {}
    for relative, reading in read.items():
        first = first_with.setdefault(reading.content, relative)
        if first == relative:
            path = files[relative]
            tags = recording_tags(reading, relative, known, repairs)
            found.tracks[relative] = make_track(relative, path, reading, tags)
            found.albums.update({relative: tags["albumartist"][0]} if "albumartist" in tags else {})
        else:
            detail = f"the same bytes as {first}, which is on its playlists, too"
            rejects.append(_reject(relative, str(files[relative]), "duplicate", detail))
        found.keys[first] += named[relative]
    return dataclasses.replace(found, notes=(*there.notes, *table_notes, *known.notes, *repairs.notes))


def _reject(track_id: str, source: str, reason: str, detail: str) -> Reject:
    return Reject(track_id=track_id, source=source, stage="catalogue", reason=reason, detail=detail)


def _text(value: object) -> str:
    return str(value).strip()


def _numbers(cells: np.ndarray, where: str) -> np.ndarray:
    """Cells as float64, NaN where one is empty."""
    values = to_floats(cells)
    if cells.dtype == object:
        strange = [v for v, n in zip(cells, values, strict=True) if np.isnan(n) and _text(v).lower() not in ("", "nan")]
        if strange:
            raise DatasetError(f"{where} holds {len(strange)} values that are no numbers, e.g. {strange[0]!r}: leave "
                               "it out of features, or correct them")  # fmt: skip
    return values
