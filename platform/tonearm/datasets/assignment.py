"""Where the tracks of a data set were placed before, in splits or folds, kept so that they stay there."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tonearm.audio.decode import AUDIO_SUFFIXES
from tonearm.core import storage
from tonearm.core.damage import describe_unreadable, is_damage
from tonearm.core.errors import DatasetError
from tonearm.core.parquet import read_parquet
from tonearm.datasets.manifest import Track

RESTORE = (
    "it says in which split each track is. Restore it, or delete it: then the manifest beside it says so, but not for "
    "tracks that are away"
)
MANIFEST_COLUMNS = ("track_id", "content", "group", "split")
COLUMNS = ("track_id", "content", "group", "place")
DISSOLVED = "dissolved"
"""In the metadata of the table, and in what a manifest says of how it was made."""

ALONE = "track:"
"""What the group of a track begins with that is its own group."""
GroupAndPlace = tuple[str, str]
"""The group that a track was placed with, and the split or fold."""


@dataclass(frozen=True)
class Assignment:
    """The places of all tracks that a data set ever had, by id and content; those that are gone may come back.

    Attributes
    ----------
    dissolved
        Label and group of tracks that were placed one by one, since their class had too few groups; None: not known,
        as in what earlier versions kept.
    replaced
        By id of tracks whose file took the place of another, re-encoded, say, the ids and contents that it had.
    """

    placed: Mapping[tuple[str, str], GroupAndPlace] = field(default_factory=dict)
    dissolved: frozenset[tuple[str, str]] | None = None
    replaced: Mapping[str, Collection[tuple[str, str]]] = field(default_factory=dict)

    @cached_property
    def _by_id(self) -> dict[str, set[GroupAndPlace]]:
        return _sets((track_id, where) for (track_id, _), where in self.placed.items())

    @cached_property
    def _by_content(self) -> dict[str, set[GroupAndPlace]]:
        return _sets((content, where) for (_, content), where in self.placed.items())

    @cached_property
    def _by_group(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for group, place in self.placed.values():
            found.setdefault(group, set()).add(place)
        return found

    def of_track(self, track: Track) -> Collection[GroupAndPlace]:
        """Where a track was: the same file, under whatever id, or else what had its id; empty if it is new."""
        own = self.placed.get((track.track_id, track.content))
        if own:
            return (own,)
        known = self._by_content.get(track.content, ()) or self._by_id.get(track.track_id, ())
        return known or {self.placed[key] for key in self.replaced.get(track.track_id, ())}

    def recognising(self, tracks: Sequence[Track], alike: Mapping[str, Collection[str]] | None = None) -> Assignment:
        """The same, which also knows those tracks that took the place of a file that is gone.

        Parameters
        ----------
        tracks
            All that are there now.
        alike
            By content the contents of files that hold the same recording. Without, or where there is none, a file that
            differs in the suffix only is the same one.
        """
        unknown = [t for t in tracks if not self.of_track(t)] if self.placed else []
        if not unknown:
            return self
        ids, contents = {t.track_id for t in tracks}, {t.content for t in tracks}
        gone = [key for key in self.placed if key[0] not in ids and key[1] not in contents]
        by_name, by_content = dict[str, list[tuple[str, str]]](), dict[str, list[tuple[str, str]]]()
        for key in gone:
            by_name.setdefault(without_suffix(key[0]), []).append(key)
            by_content.setdefault(key[1], []).append(key)
        replaced = dict[str, Collection[tuple[str, str]]](self.replaced)
        for t in unknown:
            sounding = [key for content in (alike or {}).get(t.content, ()) for key in by_content.get(content, ())]
            found = sounding or by_name.get(without_suffix(t.track_id), [])
            if found:
                replaced[t.track_id] = tuple(found)
        return dataclasses.replace(self, replaced=replaced)

    def places_of_group(self, group: str) -> set[str]:
        """Where tracks of a group were."""
        return self._by_group.get(group, set())

    def dissolved_among(self, tracks: Sequence[Track], least: int) -> frozenset[tuple[str, str]]:
        """Label and group of tracks that were placed one by one.

        Where that is not known it is so in classes whose known tracks all were, and have fewer than ``least`` groups.
        """
        if self.dissolved is not None:
            return self.dissolved
        alone: dict[str, set[str]] = {}
        whole = set[str]()
        for t in tracks if self.placed else ():
            groups = {group for group, _ in self.of_track(t)}
            if groups and all(group.startswith(ALONE) for group in groups):
                alone.setdefault(t.label, set()).add(t.group)
            elif groups:
                whole.add(t.label)
        return frozenset(
            (label, group)
            for label, groups in alone.items()
            if label not in whole and len(groups) < least
            for group in groups
        )

    def joined(self, later: Assignment) -> Assignment:
        """With what a later one, of the same settings, knows."""
        both = [known for known in (self.dissolved, later.dissolved) if known is not None]
        dissolved = frozenset[tuple[str, str]]().union(*both) if both else None
        return dataclasses.replace(self, placed={**self.placed, **later.placed}, dissolved=dissolved)

    def extended(
        self,
        tracks: Sequence[Track],
        groups: Sequence[str],
        places: Sequence[str],
        dissolved: frozenset[tuple[str, str]] = frozenset(),
    ) -> Assignment:
        """With the places that tracks and their groups have now, and what is dissolved now."""
        now = {(t.track_id, t.content): (g, p) for t, g, p in zip(tracks, groups, places, strict=True)}
        return Assignment({**self.placed, **now}, dissolved | (self.dissolved or frozenset()))


NOTHING = Assignment()


def without_suffix(track_id: str) -> str:
    """A track's id without the suffix of an audio file: a recording keeps it when it is encoded anew."""
    stem, dot, suffix = track_id.rpartition(".")
    return stem if dot + suffix.lower() in AUDIO_SUFFIXES else track_id


def _sets(pairs: Iterable[tuple[str, GroupAndPlace]]) -> dict[str, set[GroupAndPlace]]:
    found: dict[str, set[GroupAndPlace]] = {}
    for key, where in pairs:
        if key:  # tracks without audio may have no content
            found.setdefault(key, set()).add(where)
    return found


def last_assignment(uri: str) -> tuple[Assignment, dict[str, Any]]:
    """Where the tracks of a manifest are, without the rest of them, and how it was prepared.

    One that is absent, damaged or has no splits is of no tracks.

    Raises
    ------
    DatasetError
        If it cannot be read now, but may be later.
    """
    try:
        table = read_parquet(storage.read_bytes(uri), MANIFEST_COLUMNS) if storage.exists(uri) else None
        made = json.loads((table.schema.metadata or {}).get(b"made", b"{}")) if table is not None else {}
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        if not is_damage(error):
            raise DatasetError(describe_unreadable(uri, error, "")) from None
        table, made = None, {}  # it is made anew
    columns = [table[name].to_pylist() for name in MANIFEST_COLUMNS] if table is not None else [[]] * len(COLUMNS)
    rows = zip(*columns, strict=True)
    placed = {(i, content): (group, split) for i, content, group, split in rows if split}
    return Assignment(placed, _pairs(made.get(DISSOLVED))), dict(made)


def last_recordings(uri: str) -> dict[tuple[str, str], str]:
    """Of a manifest's tracks that are one recording with another its first id, by their ids and contents.

    There are none where it is absent, damaged or of an earlier version.
    """
    try:
        data = storage.read_bytes(uri) if storage.exists(uri) else b""
        columns = ("track_id", "content", "recording")
        rows = zip(*(read_parquet(data, columns)[name].to_pylist() for name in columns), strict=True) if data else ()
        return {(i, content): recording for i, content, recording in rows if recording}
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        if not is_damage(error):
            raise DatasetError(describe_unreadable(uri, error, "")) from None
        return {}


def save_assignment(uri: str, assignment: Assignment) -> None:
    """Write an assignment as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(*track, *where) for track, where in assignment.placed.items()]
    columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(COLUMNS))]
    buffer = io.BytesIO()
    table = pa.table(columns, names=list(COLUMNS))
    if assignment.dissolved is not None:
        table = table.replace_schema_metadata({DISSOLVED: json.dumps(sorted(assignment.dissolved))})
    pq.write_table(table, buffer)
    storage.write_bytes(uri, buffer.getvalue())


def load_assignment(uri: str) -> Assignment:
    """Read an assignment; an absent one is empty.

    Raises
    ------
    DatasetError
        If it is damaged.
    """
    if not storage.exists(uri):
        return Assignment()
    try:
        table = read_parquet(storage.read_bytes(uri), COLUMNS)
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        raise DatasetError(describe_unreadable(uri, error, RESTORE)) from None
    columns = [table[name].to_pylist() for name in COLUMNS]
    dissolved = json.loads((table.schema.metadata or {}).get(DISSOLVED.encode(), b"null"))
    return Assignment(
        {(i, content): (group, place) for i, content, group, place in zip(*columns, strict=True)}, _pairs(dissolved)
    )


def _pairs(dissolved: Iterable[Sequence[str]] | None) -> frozenset[tuple[str, str]] | None:
    return None if dissolved is None else frozenset((label, group) for label, group in dissolved)
