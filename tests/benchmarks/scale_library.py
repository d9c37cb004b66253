"""Part of the benchmark ``scale``: a folder of recordings is scanned for the first time, then again.

Made MP3s of a second, about 4 kB, each with its own artist, title and genre, 200 to a folder. So bytes cost nothing
here: what is measured is what each file costs, its tags included.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mutagen.id3
import numpy as np
import soundfile

from tonearm.datasets import content
from tonearm.datasets.folder import scan_folder

FILES_A_FOLDER = 200
FILES_AN_ARTIST = 10
GENRES = 16
RATE = 16_000
SETTLE = 2.5  # seconds: what was written within two seconds of being read is read again


def steps(tracks: int, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Scan the same folder twice."""
    root = folder / "music"
    make_library(root, tracks)
    time.sleep(SETTLE)
    yield "first scan", lambda: scan(root)
    yield "scan again", lambda: scan(root)


def scan(root: Path) -> dict[str, float]:
    """Scan a folder, and count the files that are read."""
    read, opened = content.content_digest, [0]

    def counting(path: Path) -> str:
        opened[0] += 1  # by several threads: at most a few are lost
        return read(path)

    content.content_digest = counting
    try:
        found = scan_folder(str(root), "genre")
    finally:
        content.content_digest = read
    return {"tracks": len(found.tracks), "files_read": opened[0]}


def make_library(root: Path, tracks: int) -> None:
    """Write MP3s with tags."""
    buffer = io.BytesIO()
    tone = 0.3 * np.sin(2 * np.pi * 440 / RATE * np.arange(RATE))
    soundfile.write(buffer, tone, RATE, format="MP3", compression_level=0.9, bitrate_mode="CONSTANT")
    for i in range(tracks):
        tags = mutagen.id3.ID3()
        tags.add(mutagen.id3.TIT2(encoding=3, text=f"Song {i}"))
        tags.add(mutagen.id3.TPE1(encoding=3, text=f"Artist {i // FILES_AN_ARTIST}"))
        tags.add(mutagen.id3.TCON(encoding=3, text=f"Genre {i % GENRES}"))
        place = root / f"{i // FILES_A_FOLDER:05d}"
        if i % FILES_A_FOLDER == 0:
            place.mkdir(parents=True)
        head = io.BytesIO()
        tags.save(head, padding=lambda info: 0)
        (place / f"{i:07d}.mp3").write_bytes(head.getvalue() + buffer.getvalue())
