"""What lies in a folder that is not what a data set reads: for its messages."""

from __future__ import annotations

import csv
from pathlib import Path

from tonearm.core.text import printable

SPOTIFY = (
    "the release of 587 000 tracks of 1921 to 2020 on Kaggle: tracks.csv, whose id_artists name the artists by their "
    "ids, and artists.csv, which has their genres"
)
#: Columns that another release has, one that it lacks, and what it is.
OTHER_SPOTIFY = (
    ({"track_id", "artists", "track_genre"}, "id_artists",
     "the release of 114 000 tracks with one genre each, without artists' ids"),
    ({"id", "artists", "year", "valence"}, "id_artists",
     "the release of 170 000 tracks of 1921 to 2020 without artists' ids"),
)  # fmt: skip


def describe_folder(root: str, names: int = 8) -> str:
    """What lies in a folder, for messages: ``"there are dataset.csv, README.md"``."""
    folder = Path(root)
    if not root or not folder.is_dir():
        return f"there is no folder {root!r}"
    found = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    if not found:
        return "the folder is empty"
    more = f" and {len(found) - names} more" if len(found) > names else ""
    return f"there {'is' if len(found) == 1 else 'are'} {', '.join(map(printable, found[:names]))}{more}"


def other_spotify_release(root: str) -> str:
    """Which release of Spotify's features the tables of a folder are of, if it is one that is known and not read."""
    for path in sorted(Path(root).glob("*.csv")) if root else ():
        try:
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                header = {cell.strip() for cell in next(csv.reader(file), [])}
        except (OSError, csv.Error):
            continue
        for columns, lacking, what in OTHER_SPOTIFY:
            if columns <= header and lacking not in header:
                return f"; {path.name} is of {what}"
    return ""
