"""Data set ``artists``: recordings with metadata of their artists, or the artists themselves.

Below the root, all but the recordings optional::

    (recordings)                        as in data set ``folder``; ``tracks.csv`` may have a column picture
    relations.csv                       artist, related
    artists.csv                         artist (or name), year (or first_year), latitude, longitude (degrees)
    lyrics.csv  or  lyrics/<track>.txt  track_id (or path), text
    art/<track or album>.jpg, .png

What is absent is noted, and its values are unknown: NaN, or an empty text.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.core.seeding import digest
from tonearm.datasets.artist_names import artist_group, normalised_name
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.content import digest_files
from tonearm.datasets.folder import PATH_COLUMNS, TABLE, scan_folder
from tonearm.datasets.manifest import Reject, Track
from tonearm.datasets.metadata import CONTENT, Metadata
from tonearm.datasets.relations import ArtistRelations, read_relations
from tonearm.datasets.tables import find_table, read_table, to_floats
from tonearm.datasets.track_table import TrackTable
from tonearm.datasets.vocabulary import tokenise

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
NAME_COLUMNS, YEAR_COLUMNS = ("artist", "name", "artist_name"), ("year", "first_year")
TEXT_COLUMNS = ("text", "lyrics")
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
    artists_file
        The table of artists, below the root; of the same name with the other suffix, ``.parquet`` or ``.csv``, too.
    """

    audio: bool = True
    relations_file: str = "relations.csv"
    artist_column: str = "artist"
    related_column: str = "related"
    symmetric: bool = False
    artists_file: str = "artists.csv"

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
        path = Path(self.root) / self.relations_file
        return read_relations(path, self.artist_column, self.related_column, self.symmetric)

    def catalogue(self) -> Catalogue:
        """List recordings or artists.

        Metadata: ``year``, ``latitude``, ``longitude`` (a recording's own, else its artist's; the place is of whichever
        knows more of it); of recordings also ``picture``, a path, and, where there are any, their ``lyrics``. Of
        artists, where there are relations, ``related``: the rows (artists sorted by name) of each one's
        related artists, -1 where there are fewer.
        """
        notes: list[str] = []
        relations = self.relations() if (Path(self.root) / self.relations_file).is_file() else None
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
                there, related = (
                    {normalised_name(track.artist) for track in tracks},
                    {normalised_name(a) for a in relations.artists},
                )
                notes.append(f"{len(there & related)} of {len(there)} artists have relations")
        else:
            tracks = self._artists(relations, table)
        columns, known_notes = _known(tracks, table)
        notes += [*scan_notes, *table.notes, *known_notes]
        if self.audio:
            columns["picture"], picture_notes = _pictures(Path(self.root), tracks, track_table)
            pictures = {p: Path(p) for p in dict.fromkeys(columns["picture"].tolist()) if p}
            contents, unreadable = digest_files(pictures, self.root)
            notes += [f"picture {reject.source} {reject.detail}" for reject in unreadable.values()]
            columns[f"picture{CONTENT}"] = np.array([contents.get(p, "") for p in columns["picture"]], dtype=object)
            lyrics, lyrics_notes = _lyrics(Path(self.root), tracks)
            columns |= lyrics
            notes += [*picture_notes, *lyrics_notes]
        elif relations is not None:
            columns["related"] = relations.padded()
        metadata = Metadata([t.track_id for t in tracks], columns)
        # Different names: a recipe that needs both sets keeps both manifests.
        name = "artists" if self.audio else "artist-relations"
        return Catalogue(name, "artist", tracks, rejects, metadata, tuple(notes))

    def _artists(self, relations: ArtistRelations | None, table: _ArtistsTable) -> list[Track]:
        names = sorted(table.names) if relations is None else relations.artists
        if not names:
            raise DatasetError(
                f"no artists in {self.root!r}: give a {self.relations_file} ({self.artist_column}, "
                f"{self.related_column}) or an {self.artists_file} (artist, year, latitude, longitude)"
            )
        return [
            Track(track_id=name, source="", content=digest("artists", name, size=16), label="",
                  group=artist_group(name), artist=name)
            for name in names
        ]  # fmt: skip


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


def _lyrics(root: Path, tracks: Sequence[Track]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The text of each track, "" where there is none."""
    texts, notes = _read_lyrics(root)
    if texts is None:
        return {}, notes
    own = _look_up(tracks, texts)
    notes.append(f"{sum(bool(tokenise(text)) for text in own)} of {len(tracks)} recordings have lyrics")
    return {"lyrics": np.array(own, dtype=object)}, notes


def _pictures(root: Path, tracks: Sequence[Track], table: TrackTable) -> tuple[np.ndarray, list[str]]:
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
