"""Data set ``artists``: recordings with metadata of their artists, or the artists themselves.

Below the root, all but the recordings optional::

    (recordings)                        as in data set ``folder``; ``tracks.csv`` may have a column picture
    relations.csv                       artist, related
    playlists.csv  or  plays.csv        in its place: playlist or user, and artist or track
    artists.csv                         artist (or name), year (or first_year), latitude, longitude (degrees)
    lyrics.csv  or  lyrics/<track>.txt  track_id (or path), text
    art/<track or album>.jpg, .png

What is absent is noted, and its values are unknown: NaN, or an empty text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.errors import DatasetError
from tonearm.core.seeding import digest
from tonearm.datasets.artist_media import find_lyrics, find_pictures
from tonearm.datasets.artist_names import artist_group, normalised_name
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.co_occurrence import Level, read_co_occurrences
from tonearm.datasets.content import digest_files
from tonearm.datasets.folder import scan_folder
from tonearm.datasets.manifest import Reject, Track
from tonearm.datasets.metadata import CONTENT, Metadata
from tonearm.datasets.relations import ArtistRelations, read_relations
from tonearm.datasets.tables import find_table, read_table, to_floats
from tonearm.datasets.track_table import TrackTable

NAME_COLUMNS, YEAR_COLUMNS = ("artist", "name", "artist_name"), ("year", "first_year")
PLACE = ("latitude", "longitude")
KNOWN = ("year", *PLACE)
RANGES = {"year": (1.0, 9999.0), "latitude": (-90.0, 90.0), "longitude": (-180.0, 180.0)}


class ArtistsConfig(DatasetConfig, kind="artists"):
    """Recordings to learn artists' vectors from. Tracks have no class: their artist is their group and is predicted.

    Attributes
    ----------
    audio
        Whether rows are recordings; if not, a row an artist: those with relations, or else those of the table.
    relations_file, artist_column, related_column
        The table of related artists, below the root, and its two columns.
    symmetric
        Whether a relation counts both ways.
    relations_from
        ``"relations"``: that table. Or artists are related whom many have in common: the playlists of ``playlists.csv``
        (columns playlist, and artist or track) or the people of ``plays.csv`` (columns user, and artist or track).
    level
        Where relations come from playlists or plays: of artists, or of tracks, each of which then has its own vector.
    neighbours, min_shared
        There: how many are related to each at most, and how many playlists or people two must have in common.
    artists_file
        The table of artists, below the root; of the same name with the other suffix, ``.parquet`` or ``.csv``, too.
    """

    on_this_machine: ClassVar[bool] = True

    audio: bool = True
    relations_file: str = "relations.csv"
    artist_column: str = "artist"
    related_column: str = "related"
    symmetric: bool = False
    artists_file: str = "artists.csv"
    relations_from: Literal["relations", "playlists", "plays"] = dataclasses.field(
        default="relations", metadata=OMIT_DEFAULT
    )
    level: Level = dataclasses.field(default="artist", metadata=OMIT_DEFAULT)
    neighbours: int = dataclasses.field(default=10, metadata=OMIT_DEFAULT)
    min_shared: int = dataclasses.field(default=2, metadata=OMIT_DEFAULT)

    def problems(self) -> list[str]:
        found = [f"ArtistsConfig.{name} is {getattr(self, name)}: it must be at least 1"
                 for name in ("neighbours", "min_shared") if getattr(self, name) < 1]  # fmt: skip
        return found

    @property
    def has_audio(self) -> bool:  # type: ignore[override]  # here, unlike elsewhere, it depends on a field
        return self.audio

    def relations(self) -> ArtistRelations:
        """Who is related to whom.

        Raises
        ------
        DatasetError
            If the table is not there, lacks a column or relates no two artists.
        """
        if self.relations_from != "relations":
            return read_co_occurrences(self.root, self.relations_from, self.level, self.neighbours, self.min_shared)
        path = Path(self.root) / self.relations_file
        if self.level == "track":
            raise DatasetError(f"level is 'track', and {path} relates artists: set relations_from to 'playlists' or "
                               "'plays', whose tracks are related then")  # fmt: skip
        return read_relations(path, self.artist_column, self.related_column, self.symmetric)

    def catalogue(self) -> Catalogue:
        """List recordings or artists.

        Metadata: ``year``, ``latitude``, ``longitude`` (a recording's own, else its artist's; the place is of whichever
        knows more of it); of recordings also ``picture``, a path, and, where there are any, their ``lyrics``. Of
        artists, where there are relations, ``related``: the rows (artists sorted by name) of each one's
        related artists, -1 where there are fewer.
        """
        notes: list[str] = []
        stated = (self.relations_from, self.level) != ("relations", "artist") or (
            Path(self.root) / self.relations_file
        ).is_file()
        relations = self.relations() if stated else None
        if relations is None:
            notes.append(f"no {self.relations_file}: no related artists are known")
        else:
            notes += relations.notes
        tracks: Sequence[Track]
        rejects: Sequence[Reject] = ()
        table = _read_artists(Path(self.root) / self.artists_file)
        track_table, scan_notes = TrackTable(), tuple[str, ...]()
        if self.audio:
            found = scan_folder(self.root, "artist")
            rejects, track_table, scan_notes = found.rejects, found.table, found.notes
            tracks = [dataclasses.replace(track, label="") for track in found.tracks]
            if relations is not None:
                there = {t.track_id if self.level == "track" else normalised_name(t.artist) for t in tracks}
                related = {a if self.level == "track" else normalised_name(a) for a in relations.artists}
                notes.append(f"{len(there & related)} of {len(there)} {self.level}s have relations")
        else:
            tracks = self._artists(relations, table)
        columns, known_notes = _known(tracks, table)
        notes += [*scan_notes, *table.notes, *known_notes]
        if self.audio:
            columns["picture"], picture_notes = find_pictures(Path(self.root), tracks, track_table)
            pictures = {p: Path(p) for p in dict.fromkeys(columns["picture"].tolist()) if p}
            contents, unreadable = digest_files(pictures, self.root)
            notes += [f"picture {reject.source} {reject.detail}" for reject in unreadable.values()]
            columns[f"picture{CONTENT}"] = np.array([contents.get(p, "") for p in columns["picture"]], dtype=object)
            lyrics, lyrics_notes = find_lyrics(Path(self.root), tracks)
            columns |= lyrics
            notes += [*picture_notes, *lyrics_notes]
        elif relations is not None:
            columns["related"] = relations.padded()
        metadata = Metadata([t.track_id for t in tracks], columns)
        # Different names: a recipe that needs both sets keeps both manifests.
        name = "artists" if self.audio else f"{self.level}-relations"
        return Catalogue(name, "artist", tracks, rejects, metadata, tuple(notes))

    def _artists(self, relations: ArtistRelations | None, table: _ArtistsTable) -> list[Track]:
        names = sorted(table.names) if relations is None else relations.artists
        if not names:
            raise DatasetError(
                f"no artists in {self.root!r}: give a {self.relations_file} ({self.artist_column}, "
                f"{self.related_column}) or an {self.artists_file} (artist, year, latitude, longitude)"
            )
        return [
            Track(track_id=name, source="", content=digest(f"{self.level}s", name, size=16), label="",
                  group=f"track:{name}" if self.level == "track" else artist_group(name),
                  artist="" if self.level == "track" else name)
            for name in names
        ]  # fmt: skip


@dataclass(frozen=True)
class _ArtistsTable:
    """Artists as the table spells them, and (artists,) their year, latitude and longitude, NaN where unknown."""

    names: Sequence[str] = ()
    values: Mapping[str, np.ndarray] = field(default_factory=lambda: dict.fromkeys(KNOWN, np.zeros(0)))
    notes: Sequence[str] = ()

    def of(self, tracks: Sequence[Track]) -> dict[str, np.ndarray]:
        """The values of the tracks' artists."""
        place = {normalised_name(name): i for i, name in enumerate(self.names)}
        rows = [place.get(normalised_name(t.artist), -1) for t in tracks]
        return {name: np.append(values, np.nan)[rows] for name, values in self.values.items()}


def _read_artists(path: Path) -> _ArtistsTable:
    found = find_table(str(path.parent), path.stem) if not path.is_file() else path
    if found is None:
        return _ArtistsTable(notes=[f"no {path.name}: years and places are known only from the recordings"])
    table = read_table(found, (), (*NAME_COLUMNS, *YEAR_COLUMNS, *KNOWN))
    key = next((c for c in NAME_COLUMNS if c in table), None)
    if key is None:
        raise DatasetError(f"{found} needs a column {' or '.join(NAME_COLUMNS)}")
    year = next((c for c in YEAR_COLUMNS if c in table), "year")
    first: dict[str, int] = {}
    for i, name in enumerate(table[key]):
        if normalised_name(str(name)):
            first.setdefault(normalised_name(str(name)), i)
    rows = list(first.values())
    values = {n: to_floats(table[c])[rows] if c in table else np.full(len(rows), np.nan)
              for n, c in zip(KNOWN, (year, "latitude", "longitude"), strict=True)}  # fmt: skip
    notes = _without_the_impossible(values, f"artist(s) of {found.name}")
    left_out = len(table[key]) - len(rows)
    notes += [f"{left_out} row(s) of {found.name} have no name or one that came before: left out"] if left_out else []
    return _ArtistsTable([str(table[key][i]).strip() for i in rows], values, notes)


def _known(tracks: Sequence[Track], table: _ArtistsTable) -> tuple[dict[str, np.ndarray], list[str]]:
    """Year and place of tracks: their own, else their artists'. Latitude and longitude are of one source."""
    own = {name: np.array([getattr(t, name) for t in tracks], dtype=np.float64) for name in KNOWN}
    notes = _without_the_impossible(own, "recording(s)")
    artists = table.of(tracks)
    ours_known, theirs_known = (np.isfinite([v[name] for name in PLACE]).sum(axis=0) for v in (own, artists))
    elsewhere = theirs_known > ours_known
    theirs = {"year": np.isnan(own["year"]), **dict.fromkeys(PLACE, elsewhere)}
    return {name: np.where(theirs[name], artists[name], own[name]) for name in KNOWN}, notes


def _without_the_impossible(values: Mapping[str, np.ndarray], whose: str) -> list[str]:
    """Put NaN, in place, for what is out of its range; notes count it."""
    notes = []
    for name, (low, high) in RANGES.items():
        column = values[name]
        impossible = np.isfinite(column) & ((column < low) | (column > high))
        stated = impossible & (column != 0)  # a year 0 is how tables write "unknown"
        if stated.any():
            notes.append(f"{int(stated.sum())} {whose} have an impossible {name}, e.g. {column[stated][0]:g}: taken as "
                         "unknown")  # fmt: skip
        column[impossible | ~np.isfinite(column)] = np.nan
    return notes
