"""A small copy of FMA's layout: the real header of tracks.csv in two rows and a third, genres.csv, clips."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.builders import encode, tone

ALBUM = "comments date_created date_released engineer favorites id information listens producer tags title tracks type"
ARTIST = (
    "active_year_begin active_year_end associated_labels bio comments date_created favorites id latitude location "
    "longitude members name related_projects tags website wikipedia_page"
)
TRACK = (
    "bit_rate comments composer date_created date_recorded duration favorites genre_top genres genres_all information "
    "interest language_code license listens lyricist number publisher tags title"
)
COLUMNS = tuple(
    f"{above}.{name}"
    for above, names in (("album", ALBUM), ("artist", ARTIST), ("set", "split subset"), ("track", TRACK))
    for name in names.split()
)
GENRES = {2: "International", 10: "Pop", 12: "Rock", 21: "Hip-Hop", 76: "Experimental Pop", 103: "Singer-Songwriter"}

TrackRow = Mapping[str, str]


def fma_row(
    split: str = "training",
    subset: str = "small",
    top: str = "Rock",
    genres: str = "[12]",
    artist: str = "1",
    **more: str,
) -> TrackRow:
    """A row as FMA has it; further columns by their names with an underscore, e.g. ``track__title``."""
    known = {
        "set.split": split, "set.subset": subset, "track.genre_top": top, "track.genres": genres,
        "track.genres_all": genres, "artist.id": artist, "artist.name": f"Artist {artist}", "track.tags": "[]",
        "artist.bio": "<p>They said:\n\"hello\", and left</p>",
    }  # fmt: skip
    return {**known, **{name.replace("__", "."): value for name, value in more.items()}}


def write_tracks(
    path: Path, rows: Mapping[int, TrackRow], columns: Sequence[str] = COLUMNS, index: bool = True
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["", *(c.split(".")[0] for c in columns)])
        writer.writerow(["", *(c.split(".")[1] for c in columns)])
        if index:
            writer.writerow(["track_id", *("" for _ in columns)])
        for track_id, row in rows.items():
            writer.writerow([track_id, *(row.get(c, "") for c in columns)])


def write_genres(path: Path) -> None:
    lines = [f"{i},100,0,{title},{i}" for i, title in GENRES.items()]
    path.write_text("genre_id,#tracks,parent,title,top_level\n" + "\n".join(lines) + "\n", encoding="utf-8")


def write_clip(folder: Path, track_id: int, frequency: float | None = None) -> Path:
    path = folder / f"{track_id // 1000:03d}" / f"{track_id:06d}.mp3"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(tone(frequency or 200 + track_id % 4000, 0.1), container="MP3"))
    return path


def write_fma(root: Path, rows: Mapping[int, TrackRow], clips: str = "fma_small") -> Path:
    """Tables in ``fma_metadata`` and a clip a row."""
    write_tracks(root / "fma_metadata" / "tracks.csv", rows)
    write_genres(root / "fma_metadata" / "genres.csv")
    for track_id in rows:
        write_clip(root / clips, track_id)
    return root
