"""Tiny copies of every data set's real layout. All that is audio is the same few recordings, so that what one data
set has extracted is there for the others."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.builders import encode, music
from tests.fma_layout import fma_row, write_genres, write_tracks
from tonearm.core.seeding import derive_seed
from tonearm.datasets.metadata import Metadata, save_metadata

SECONDS = 12.5
LABELS = ("high", "low")
PER_LABEL = 10  # the fewest that a class may have
FACTORS = 3


@dataclass(frozen=True)
class Recording:
    """A generated recording in stereo: its label says where its notes lie; two recordings are of one artist."""

    number: int
    label: str
    data: bytes

    @property
    def path(self) -> str:
        return f"{self.label}/{self.number:02d}.mp3"

    @property
    def artist(self) -> str:
        return f"Artist {self.number // 2}"


def make_recordings() -> list[Recording]:
    """Ten of each label, by ten artists."""
    found = []
    for number in range(PER_LABEL * len(LABELS)):
        label = LABELS[number // PER_LABEL]
        left = music(SECONDS, seed=derive_seed(number), low=700.0 if label == "high" else 80.0)
        sides = [left, 0.7 * np.roll(left, 200)]
        found.append(Recording(number, label, encode(np.stack(sides, axis=1), container="MP3")))
    return found


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_audio(root: Path, recordings: Sequence[Recording]) -> None:
    """A folder a label, and ``tracks.csv`` with artists, albums and the danceability of all but one."""
    for r in recordings:
        (root / r.path).parent.mkdir(parents=True, exist_ok=True)
        (root / r.path).write_bytes(r.data)
    danceable = {r.number: 0.2 + 0.5 * (r.label == "high") + 0.01 * r.number for r in recordings[1:]}
    write_table(root / "tracks.csv", [
        {"path": r.path, "title": f"Song {r.number}", "artist": r.artist, "album": f"Album {r.number // 2}",
         "danceability": danceable.get(r.number, "")}
        for r in recordings
    ])  # fmt: skip


def write_fma(root: Path, recordings: Sequence[Recording]) -> None:
    """Ten tracks of Rock and of Pop, split as published 6:2:2; one of another genre, which has the bytes of the first;
    one without its clip; and in large alone one whose clip is empty."""
    splits = ("training", "training", "training", "validation", "test")
    genres = {"high": ("Pop", "[10, 76]"), "low": ("Rock", "[12]")}
    rows = {}
    for r in recordings:
        top, every = genres[r.label]
        track_id = 2 + 100 * r.number
        rows[track_id] = fma_row(splits[r.number // 2 % 5], ("small", "medium")[r.number % 2], top, every, r.artist)
        clip = root / "fma_large" / f"{track_id // 1000:03d}" / f"{track_id:06d}.mp3"
        clip.parent.mkdir(parents=True, exist_ok=True)
        clip.write_bytes(r.data)
    (root / "fma_large" / "000" / "000009.mp3").write_bytes(recordings[0].data)
    (root / "fma_large" / "000" / "000011.mp3").write_bytes(b"")
    rows[9] = fma_row("training", "medium", "International", "[2]", "Artist 98")
    rows[10] = fma_row("training", "medium", "Rock", "[12]", "Artist 98")
    rows[11] = fma_row("training", "large", "", "[12, 21]", "Artist 99")
    write_tracks(root / "fma_metadata" / "tracks.csv", rows)
    write_genres(root / "fma_metadata" / "genres.csv")


def write_playlists(root: Path, recordings: Sequence[Recording]) -> None:
    """Two playlists that share some tracks, and one that is too small."""
    write_audio(root, recordings)
    on = [(r, "party" if r.label == "high" else "sleep") for r in recordings]
    on += [(r, "morning") for r in recordings[::2]]
    on += [(r, "nobody's") for r in recordings[:2]]
    write_table(root / "playlists.csv", [{"track": r.path, "playlist": name} for r, name in on])


def write_artists(root: Path, recordings: Sequence[Recording]) -> None:
    """Recordings whose artists are related in a ring with three others; the third artist has no relations. Some
    recordings lack lyrics or a picture, some artists a year or a place."""
    from PIL import Image

    write_audio(root, recordings)
    artists = sorted({r.artist for r in recordings})
    names = artists[:2] + artists[3:] + [f"Unheard {i}" for i in range(3)]
    pairs = [(name, names[(i + step) % len(names)]) for i, name in enumerate(names) for step in (1, 2)]
    write_table(root / "relations.csv", [{"artist": a, "related": b} for a, b in pairs])
    write_table(root / "artists.csv", [
        {"artist": name, "year": "" if i % 4 == 1 else 1960 + 5 * i, "latitude": "" if i % 5 == 2 else 10 + i,
         "longitude": "" if i % 5 == 2 else -20 - i}
        for i, name in enumerate(names)
    ])  # fmt: skip
    words = {"high": "sun sun dance night", "low": "rain river stone night"}
    write_table(root / "lyrics.csv", [
        {"track_id": r.path, "text": f"{words[r.label]} word{r.number} oh oh"} for r in recordings if r.number % 8 != 3
    ])  # fmt: skip
    rng = np.random.default_rng(0)
    for r in (r for r in recordings if r.number % 8 != 4):
        # Of every second artist there is one picture for the album, of the others one a track.
        name = f"Album {r.number // 2}.png" if r.number // 2 % 2 else f"{r.path.removesuffix('.mp3')}.png"
        (root / "art" / name).parent.mkdir(parents=True, exist_ok=True)
        shade = rng.integers(0, 120, (40, 48, 3)) + (120 if r.label == "high" else 0)
        Image.fromarray(shade.astype(np.uint8)).save(root / "art" / name)


def write_cifar(root: Path, recordings: Sequence[Recording]) -> None:
    """The binary release, with 3 classes of 12 pictures to train and 4 to test."""
    rng = np.random.default_rng(0)
    folder = root / "cifar-100-binary"
    folder.mkdir(parents=True)
    for part, count in (("train", 36), ("test", 12)):
        fine = np.arange(count, dtype=np.uint8) % 3
        pixels = rng.integers(0, 86, (count, 3072), dtype=np.uint8) + 85 * fine[:, None]
        (folder / f"{part}.bin").write_bytes(np.column_stack([np.zeros_like(fine), fine, pixels]).tobytes())
    (folder / "fine_label_names.txt").write_text("apple\nbee\ncan\n")


SPOTIFY_GENRES = ("rock", "pop", "country", "hip hop", "easy listening", "jazz", "blues", "reggae", "folk")
SHARES = ("acousticness", "danceability", "energy", "instrumentalness", "liveness", "speechiness", "valence")


def write_spotify(root: Path, recordings: Sequence[Recording]) -> None:
    """The three tables of Kaggle's set: 72 tracks of jazz, pop and rock by 24 artists, one of two genres."""
    rng = np.random.default_rng(0)

    def features(genre: int) -> dict[str, Any]:
        shares = {name: round(float(np.clip(0.1 * genre + 0.1 * rng.random(), 0, 1)), 4) for name in SHARES}
        return {**shares, "loudness": -20.0 + genre, "tempo": 80.0 + 5 * genre, "duration_ms": 180_000 + 1000 * genre,
                "popularity": 10 + genre, "key": int(rng.integers(0, 12)), "mode": int(rng.integers(0, 2))}  # fmt: skip

    songs, artists = [], []
    for i in range(24):
        genre = ("rock", "pop", "jazz")[i % 3]
        artists.append({"id": f"A{i}", "followers": i, "genres": repr([genre, "rock"] if i == 1 else [genre]),
                        "name": f"Artist {i}", "popularity": i})  # fmt: skip
        songs += [
            {"id": f"T{i}-{j}", "name": f"Song {i} {j}", "explicit": 0, "artists": f"['Artist {i}']",
             "id_artists": f"['A{i}']", "release_date": f"{1960 + i}-01-01", "time_signature": 4,
             **features(SPOTIFY_GENRES.index(genre))}
            for j in range(3)
        ]  # fmt: skip
    write_table(root / "tracks.csv", songs)
    write_table(root / "artists.csv", artists)
    write_table(root / "data_by_genres_o.csv", [{"genres": g, **features(i)} for i, g in enumerate(SPOTIFY_GENRES)])


def write_factors(path: Path, recordings: Sequence[Recording]) -> Path:
    """Factors of all artists but one, as ``jobs.factors`` writes them."""
    names = sorted({r.artist for r in recordings})[1:]
    vectors = np.random.default_rng(0).normal(size=(len(names), FACTORS))
    save_metadata(str(path), Metadata(names, {"factors": vectors}))
    return path


#: By the kind of a data set: writes its layout below a folder.
LAYOUTS: dict[str, Callable[[Path, Sequence[Recording]], None]] = {
    "artists": write_artists,
    "cifar100": write_cifar,
    "fma": write_fma,
    "folder": write_audio,
    "playlists": write_playlists,
    "spotify": write_spotify,
}
