"""Data set ``spotify``: Spotify's audio features of tracks, labelled by their artists' genres.

The tables are those of Kaggle's Spotify set of 1921–2020: ``tracks``, ``artists`` and ``data_by_genres`` (also
spelt ``data_by_genres_o``), each as CSV or Parquet.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.core.seeding import digest
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.manifest import Reject, Track
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.releases import SPOTIFY, describe_folder, other_spotify_release
from tonearm.datasets.tables import find_table, parse_list, read_table, to_floats

GENRES = ("rock", "pop", "country", "hip hop", "easy listening", "jazz", "blues", "reggae", "folk")
#: Of the features, those that Spotify gives within 0–1.
SHARES = ("acousticness", "danceability", "energy", "instrumentalness", "liveness", "speechiness", "valence")
FEATURES = (
    "mode", "acousticness", "danceability", "energy", "instrumentalness", "liveness", "loudness", "speechiness",
    "tempo", "valence", "key", "log_duration", "popularity",
)  # fmt: skip
MEASURED = tuple("duration_ms" if name == "log_duration" else name for name in FEATURES)
#: Of a genre the table has the commonest key and mode, which no distance can be taken to.
COMPARED = tuple(name for name in FEATURES if name not in ("key", "mode"))
KEY_COLUMNS = tuple(f"key_{i}" for i in range(12))
DISTANCE_COLUMNS = tuple(f"distance_{genre.replace(' ', '_')}" for genre in GENRES)
BOUNDS = dict.fromkeys((*SHARES, "mode"), (0.0, 1.0)) | {
    "key": (-1.0, 11.0), "tempo": (0.0, np.inf), "duration_ms": (1.0, np.inf), "popularity": (0.0, 100.0),
    "loudness": (-np.inf, np.inf),
}  # fmt: skip


class SpotifyConfig(DatasetConfig, kind="spotify"):
    """Spotify's audio features. A track takes the genres of all its artists, which are found by their ids.

    Its group is its first artist's id, so that its other artists may be in two splits or folds: a note counts such
    tracks. With ``drop_multi_artist`` no artist is.

    Attributes
    ----------
    match
        ``exact``: an artist's genre counts only where it is one of the nine by name. ``contains``: also where it
        contains the name as a word of its own, so that "folk rock" is folk and rock, but "reggaeton" no reggae.
    drop_multi_artist
        Whether to leave out tracks of several artists, which take genres that may not be their own and whose further
        artists groups do not keep apart.
    drop_repeats
        Whether to keep only the first row of those with the same title and artists.
    one_hot_key
        Whether the twelve keys are twelve features in place of one number, whose order means nothing.
    reference_distances
        Whether to add the distance of a track to each of the nine genres' own features (``data_by_genres``).
    with_year
        Whether the year of release is a feature.
    """

    has_audio: ClassVar[bool] = False
    on_this_machine: ClassVar[bool] = True

    match: Literal["exact", "contains"] = "exact"
    drop_multi_artist: bool = False
    drop_repeats: bool = False
    one_hot_key: bool = False
    reference_distances: bool = False
    with_year: bool = False

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The metadata that a model takes, in their order; raw values, to be scaled by the training split's."""
        keys = KEY_COLUMNS if self.one_hot_key else ("key",)
        own = tuple(column for name in FEATURES for column in (keys if name == "key" else (name,)))
        distances = DISTANCE_COLUMNS if self.reference_distances else ()
        return (*own, *distances, *(("year",) if self.with_year else ()))

    def catalogue(self) -> Catalogue:
        """Read the tables. The label is the first of a track's genres in the order of ``GENRES``.

        Tracks whose artists have none of the nine genres are left out with a note; rows that cannot be read are
        rejected. ``log_duration`` is the natural logarithm of seconds; a key of -1 (unknown) is none of the twelve.
        """
        tracks_file, artists_file, genres_file = self._files()
        genres, bad_artists = _artist_genres(artists_file, self.match)
        needed = ("id", "name", "artists", "id_artists", *MEASURED, *(("release_date",) if self.with_year else ()))
        table = read_table(tracks_file, needed, ("release_date", "explicit"))
        rows = _Rows(str(tracks_file), table)
        rows.parse()
        labels = rows.label(genres)
        if self.drop_multi_artist:
            rows.leave_out([len(i) > 1 for i in rows.ids], "of several artists are left out, as drop_multi_artist asks")
        repeats = rows.repeats()
        if self.drop_repeats:
            rows.leave_out(repeats, "repeat the title and artists of another: left out, as drop_repeats asks")
        elif any(repeats):
            rows.notes.append(f"{sum(repeats)} track(s) repeat the title and artists of another")
        values = rows.measure()
        kept = rows.kept
        if not kept:
            raise DatasetError(
                f"no track of {tracks_file} has an artist with one of the genres {', '.join(GENRES)} in "
                f"{artists_file}: check that both are of one release"
            )
        columns = self._columns({name: v[kept] for name, v in values.items()}, genres_file)
        columns |= rows.known(kept)
        tracks = [rows.track(i, labels[i]) for i in kept]
        counted = {
            "several of the genres: their class is the first in order": sum(len(t.labels) > 1 for t in tracks),
            "several artists and are grouped by the first: the others may be in two splits, unless drop_multi_artist "
            "is set": sum(len(rows.ids[i]) > 1 for i in kept),
            "the tempo 0, which Spotify gives where it finds none: kept": int(np.sum(columns["tempo"] == 0)),
        }
        notes = [*rows.notes, *(f"{n} track(s) have {what}" for what, n in counted.items() if n)]
        metadata = Metadata([t.track_id for t in tracks], columns)
        return Catalogue("spotify", "genre", tracks, (*bad_artists, *rows.rejects), metadata, tuple(notes))

    def _files(self) -> tuple[Path, Path, Path | None]:
        candidates: dict[str, tuple[str, ...]] = {"tracks": ("tracks",), "artists": ("artists",)}
        if self.reference_distances:
            candidates["data_by_genres"] = ("data_by_genres", "data_by_genres_o")
        found = {name: find_table(self.root, *stems) for name, stems in candidates.items()}
        missing = [" or ".join(f"{s}.csv" for s in candidates[name]) for name, path in found.items() if path is None]
        tracks, artists = found["tracks"], found["artists"]
        if missing or tracks is None or artists is None:
            raise DatasetError(
                f"no {', no '.join(missing)} (nor as .parquet) in {self.root!r}: give the folder of the Spotify tables "
                f"as root; {describe_folder(self.root)}{other_spotify_release(self.root)}. What is read is {SPOTIFY}"
            )
        return tracks, artists, found.get("data_by_genres")

    def _columns(self, values: dict[str, np.ndarray], genres_file: Path | None) -> dict[str, np.ndarray]:
        columns = _with_log_duration(values)
        if self.one_hot_key:
            columns |= {name: (columns["key"] == i).astype(float) for i, name in enumerate(KEY_COLUMNS)}
        if genres_file is not None:
            columns |= _distances(columns, genres_file)
        return columns


class _Rows:
    """The rows of ``tracks`` and which of them are still in; the others are in the notes or among the rejects."""

    def __init__(self, source: str, table: dict[str, np.ndarray]) -> None:
        self.source, self.table = source, table
        self.count = len(table["id"])
        self.inside = np.ones(self.count, dtype=bool)
        self.notes: list[str] = []
        self.rejects: list[Reject] = []
        self.names: list[tuple[str, ...]] = []
        self.ids: list[tuple[str, ...]] = []

    @property
    def kept(self) -> list[int]:
        return np.flatnonzero(self.inside).tolist()

    def parse(self) -> None:
        """Read the lists of artists, and set aside rows without them and ids that come again."""
        known: dict[Any, tuple[str, ...] | None] = {}
        seen: set[str] = set()
        for column, parsed in (("artists", self.names), ("id_artists", self.ids)):
            for value in self.table[column]:
                if not isinstance(value, str):
                    parsed.append(parse_list(value) or ())
                    continue
                if value not in known:  # the same artist comes with every track
                    known[value] = parse_list(value)
                parsed.append(known[value] or ())
        for i, track_id in enumerate(self.table["id"]):
            names, ids = self.names[i], self.ids[i]
            if not names or len(names) != len(ids) or not all(ids):
                seen_there = f"artists is {self.table['artists'][i]!r}, id_artists {self.table['id_artists'][i]!r}"
                self._reject(i, "bad_list", f"{seen_there}: expected two lists of one length")
            elif not track_id:
                self._reject(i, "no_id", "its id is empty")
            elif track_id in seen:
                self._reject(i, "duplicate", f"its id {track_id!r} was there before")
            seen.add(track_id)

    def label(self, genres: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
        """The genres of every row, in the order of ``GENRES``; rows without any are left out."""
        labels = []
        for ids in self.ids:
            have = {genre for i in ids for genre in genres.get(i, ())}
            labels.append(tuple(genre for genre in GENRES if genre in have))
        self.leave_out([not own for own in labels], f"have no artist with one of the genres {', '.join(GENRES)}")
        return labels

    def leave_out(self, out: Sequence[bool], why: str) -> None:
        now = self.inside & np.asarray(out, dtype=bool)
        if now.any():
            self.notes.append(f"{int(now.sum())} of {self.count} track(s) {why}")
        self.inside &= ~now

    def repeats(self) -> list[bool]:
        """Of each row, whether an earlier one that is still in has its title and artists."""
        seen: set[tuple[str, ...]] = set()
        out = [False] * self.count
        for i in self.kept:
            song = (str(self.table["name"][i]).casefold(), *self.names[i])
            out[i] = song in seen
            seen.add(song)
        return out

    def measure(self) -> dict[str, np.ndarray]:
        """The features of every row; rows with one that is missing or out of its range are set aside."""
        values = {name: to_floats(self.table[name]) for name in MEASURED}
        for name, (low, high) in BOUNDS.items():
            good = np.isfinite(values[name]) & (low <= values[name]) & (values[name] <= high)
            for i in np.flatnonzero(self.inside & ~good).tolist():
                seen = f"{name} is {self.table[name][i]!r}, expected a number within {low:g} to {high:g}"
                self._reject(i, "bad_value", seen)
        return values

    def known(self, kept: Sequence[int]) -> dict[str, np.ndarray]:
        """What some releases of the table say besides: the year, and whether the words are explicit (0 or 1)."""
        found = {}
        if "release_date" in self.table:
            found["year"] = np.array([_year(self.table["release_date"][i]) for i in kept], dtype=np.float64)
        if "explicit" in self.table:
            found["explicit"] = _zero_or_one(self.table["explicit"])[list(kept)]
        return found

    def track(self, i: int, labels: tuple[str, ...]) -> Track:
        track_id = str(self.table["id"][i])
        year = _year(self.table["release_date"][i]) if "release_date" in self.table else np.nan
        return Track(
            track_id=track_id,
            source="",
            content=digest("spotify", track_id, size=16),
            label=labels[0],
            labels=labels,
            group=f"artist:{self.ids[i][0]}",
            title=str(self.table["name"][i]) or None,
            artist=self.names[i][0],
            year=None if np.isnan(year) else int(year),
        )

    def _reject(self, i: int, reason: str, detail: str) -> None:
        self.inside[i] = False
        shown = str(self.table["id"][i]) or f"row {i + 1}"
        self.rejects.append(Reject(track_id=shown, source=self.source, stage="table", reason=reason, detail=detail))


def _artist_genres(path: Path, match: str) -> tuple[dict[str, tuple[str, ...]], list[Reject]]:
    """Which of the nine genres each artist has, by artist id; and the rows whose list cannot be read."""
    table = read_table(path, ("id", "genres"))
    whole_word = {genre: re.compile(rf"(?<!\w){genre}(?!\w)") for genre in GENRES}
    genres_of, rejects = {}, []
    for artist, text in zip(table["id"], table["genres"], strict=True):
        own = parse_list(text)
        if own is None:
            rejects.append(Reject(track_id=f"artist:{artist}", source=str(path), stage="table", reason="bad_list",
                                  detail=f"genres is {text!r}, expected a list of texts"))  # fmt: skip
        elif match == "exact":
            genres_of[artist] = tuple(genre for genre in GENRES if genre in own)
        else:
            genres_of[artist] = tuple(genre for genre in GENRES if any(whole_word[genre].search(o) for o in own))
    return genres_of, rejects


def _with_log_duration(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    columns = {name: v for name, v in values.items() if name != "duration_ms"}
    return columns | {"log_duration": np.log(values["duration_ms"] / 1000)}


def _distances(columns: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Standardised Euclidean distance (tracks,) to each genre's features; deviations are those among all genres."""
    table = read_table(path, ("genres", *(name for name in MEASURED if name not in ("key", "mode"))))
    row = {genre: i for i, genre in enumerate(table["genres"])}
    every = _with_log_duration({name: to_floats(v) for name, v in table.items() if name != "genres"})
    reference = np.stack([every[name] for name in COMPARED], axis=1)
    lacking = [g for g in GENRES if g not in row or not np.isfinite(reference[row[g]]).all()]
    if lacking:
        raise DatasetError(f"{path} lacks the features of {', '.join(lacking)}: set reference_distances to false")
    scale = np.nanstd(np.where(np.isfinite(reference), reference, np.nan), axis=0)
    scale[scale == 0] = 1.0
    own = np.stack([columns[name] for name in COMPARED], axis=1)
    return {
        column: np.sqrt((((own - reference[row[genre]]) / scale) ** 2).sum(axis=1))
        for genre, column in zip(GENRES, DISTANCE_COLUMNS, strict=True)
    }


def _zero_or_one(values: np.ndarray) -> np.ndarray:
    """Numbers, or what a CSV writes for truth values, as float64; NaN where one is neither."""
    written = {"true": 1, "false": 0}
    return to_floats(np.array([written.get(str(v).strip().lower(), v) for v in values], dtype=object))


def _year(date: Any) -> float:
    """The year that a date begins with; NaN if it begins with none."""
    found = re.match(r"[0-9]{4}", str(date))
    return float(found[0]) if found and int(found[0]) else np.nan
