"""Recordings in the numbers that a measured cluster needs."""

from __future__ import annotations

from pathlib import Path

from tests.builders import CLASSES, encode, sounds_like

SECONDS, DISTINCT = 31.0, 30  # of a recording: a little more than one clip; the files of one differ in their title


def write_library(folder: Path, tracks: int) -> None:
    """So many files of a few recordings, in a folder a class."""
    import mutagen

    for label in CLASSES:
        (folder / label).mkdir(parents=True)
    made = [encode(sounds_like(CLASSES[i % 3], i, SECONDS), container="OGG") for i in range(min(DISTINCT, tracks))]
    for i in range(tracks):
        path = folder / CLASSES[i % 3] / f"{i}.ogg"
        path.write_bytes(made[i % len(made)])
        file = mutagen.File(path)
        file["title"] = [f"number {i}"]
        file.save()


def part_of(library: Path, folder: Path, tracks: int) -> Path:
    """A folder with the first of a library's files."""
    for i in range(tracks):
        name = f"{CLASSES[i % 3]}/{i}.ogg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(library / name)
    return folder
