"""A library of recordings that grows, and the splits of its tracks."""

from __future__ import annotations

import random

from tests.builders import track
from tonearm.datasets.manifest import Track
from tonearm.datasets.splits import Division


def recording(track_id: str, label: str, artist: str) -> Track:
    return track(track_id, label, f"artist:{artist}")


def library(tracks: int = 348, artists: int = 120, classes: int = 6, seed: int = 0) -> list[Track]:
    """Artists of unlike size, who mostly keep to a class."""
    rng = random.Random(seed)
    made = []
    for i in range(tracks):
        artist = int(artists * rng.random() ** 2)
        label = artist % classes if rng.random() < 0.85 else rng.randrange(classes)
        made.append(recording(f"{i:04d}", f"class{label}", f"{artist:03d}"))
    return made


def splits(division: Division) -> dict[str, str | None]:
    return {t.track_id: t.split for t in division.tracks}
