"""Part of the benchmark ``scale``: splits, folds, their report, and the manifest of a made data set.

16 classes and an artist to five tracks, of whom a fifth is of all classes; titles, albums, and paths of usual length.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tonearm.datasets.assignment import load_assignment, save_assignment
from tonearm.datasets.folds import folds_by_group
from tonearm.datasets.labels import drop_small_classes
from tonearm.datasets.manifest import Manifest, Track, load_manifest, save_manifest
from tonearm.datasets.split_report import report_splits
from tonearm.datasets.splits import divide

CLASSES = 16
PER_ARTIST = 5
FOLDS = 5


def steps(tracks: int, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """From made tracks to a manifest that is read, with every step of a preparation that looks at all of them."""
    yield from _steps_of_tracks(made_tracks(tracks), str(folder / "splits.parquet"))
    yield from _steps_of_a_manifest(Manifest("made", "genre", divide(made_tracks(tracks)).tracks), folder)


def _steps_of_tracks(made: Sequence[Track], place: str) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "drop small classes", lambda: drop_small_classes(made)
    yield "split by track", lambda: divide(made, grouped=False) and None
    yield "folds", lambda: folds_by_group(made, FOLDS) and None
    yield "split by group", lambda: divide(made) and None
    save_assignment(place, divide(made[len(made) // 100 :]).assignment)

    def extend() -> dict[str, float]:
        division = divide(made, before=load_assignment(place))
        save_assignment(place, division.assignment)
        return {"moved": sum(len(move.tracks) for move in division.moves)}

    yield "extend by 1 %, read and written", extend


def _steps_of_a_manifest(manifest: Manifest, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    uri = str(folder / "manifest.parquet")
    yield "signature", manifest.signature
    yield "report of splits", lambda: report_splits(manifest) and None
    yield "save manifest", lambda: save_manifest(uri, manifest)
    yield "load manifest", lambda: load_manifest(uri) and None


def made_tracks(tracks: int) -> list[Track]:
    """Without splits."""
    rng = random.Random(0)
    made = []
    for i in range(tracks):
        artist = rng.randrange(tracks // PER_ARTIST)
        label = rng.randrange(CLASSES) if artist % 5 == 0 else artist % CLASSES
        path = f"folder{i % 997:03d}/Performer {artist}/{i:07d}.mp3"
        made.append(
            Track(track_id=path, source=f"/home/me/Music/{path}", content=f"{i * 2654435761 % 2**64:032x}",
                  label=f"genre{label:02d}", group=f"artist:performer {artist}", title=f"Song number {i}",
                  artist=f"Performer {artist}", album=f"Album {artist}-{i % 3}", year=1960 + i % 60)
        )  # fmt: skip
    return made
