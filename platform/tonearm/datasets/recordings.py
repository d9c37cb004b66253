"""A recording's tags and its row of ``tracks.csv``, and the track they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tonearm.core.remote_path import AnyPath, any_path
from tonearm.core.text import slug
from tonearm.datasets.artist_names import artist_group
from tonearm.datasets.cells import clean_text, is_unknown, to_number, to_year
from tonearm.datasets.content import FileReading
from tonearm.datasets.manifest import Track
from tonearm.datasets.track_table import TrackTable

Known = Mapping[str, Sequence[str]]
"""What is known of a recording: values by name, each of at least one text."""

MOST_LETTERS = 60
"""Of a data set's name that is made of a folder's: names of files and models are made of it."""


def dataset_name(root: str, most: int | None = MOST_LETTERS) -> str:
    """A data set's name from its folder's: small letters, digits and hyphens; the first ``most`` of them, or all."""
    return slug(any_path(root).resolve().name)[:most].strip("-") or "folder"


class TagRepairs:
    """Which recordings have tags in another encoding than they state, for the data set's notes."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, str]] = {}

    def add(self, relative: str, encoding: str, raw: str, meant: str) -> None:
        """A text of a recording's tags that was read in another encoding."""
        self._files.setdefault(encoding, {}).setdefault(relative, f"{relative}: {raw!r} is {meant!r}")

    @property
    def notes(self) -> tuple[str, ...]:
        """One for each encoding, with an example."""
        return tuple(
            f"the tags of {len(files)} recording(s) are marked as latin-1 and were read as {encoding}, e.g. "
            f"{next(iter(files.values()))}"
            for encoding, files in self._files.items()
        )


def recording_tags(
    reading: FileReading, relative: str, table: TrackTable, repairs: TagRepairs
) -> dict[str, tuple[str, ...]]:
    """A recording's tags, overridden by its row in the table; values that say "unknown" are left out."""
    for repair in reading.repairs:
        repairs.add(relative, *repair)
    known = {name: tuple(map(clean_text, values)) for name, values in reading.tags.items()}
    known |= {name: (value,) for name, value in table.of(relative).items()}
    stated = {name: tuple(v for v in values if not is_unknown(v)) for name, values in known.items()}
    return {name: values for name, values in stated.items() if values}


def make_track(track_id: str, path: AnyPath, reading: FileReading, known: Known, labels: Sequence[str] = ()) -> Track:
    """A track whose group is its artist, or else its album's; an unknown artist makes it its own group.

    Parameters
    ----------
    reading
        What the file holds.
    known
        By name: title, artist, albumartist, album, year (1..9999, or else unknown), place, latitude, longitude,
        licence. Of several values the first counts.
    labels
        In their order; the first is the class.
    """
    first = {name: values[0] for name, values in known.items()}
    artist = first.get("artist")
    return Track(
        track_id=track_id,
        source=str(path.absolute()),
        content=reading.content,
        label=labels[0] if labels else "",
        labels=tuple(labels) if len(labels) > 1 else (),
        group=artist_group(artist) or artist_group(first.get("albumartist")) or f"track:{track_id}",
        title=first.get("title"),
        artist=artist,
        album=first.get("album"),
        year=to_year(first.get("year")),
        place=first.get("place"),
        latitude=to_number(first.get("latitude"), float),
        longitude=to_number(first.get("longitude"), float),
        licence=first.get("licence"),
        stamp=reading.stamp,
    )
