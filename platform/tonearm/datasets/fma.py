"""Data set ``fma``: the Free Music Archive's 30 s clips with its own genres and splits.

Below the root, as the archives unpack::

    fma_metadata/tracks.csv, genres.csv    (or in the root itself)
    fma_small/000/000002.mp3, fma_medium/..., fma_large/...    (or 000/000002.mp3 in the root itself)

The faulty clips (undecodable, empty or shorter than 643 frames: 24 of medium, 2 290 of large) are found by decoding,
so extraction rejects them (``min_seconds``), not this catalogue.

References
----------
Defferrard, Benzi, Vandergheynst, Bresson 2017, *FMA: A dataset for music analysis*.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from tonearm.core.errors import DatasetError
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.cells import to_number, to_year
from tonearm.datasets.content import digest_files
from tonearm.datasets.manifest import Reject, Split, Track
from tonearm.datasets.releases import describe_folder
from tonearm.datasets.tables import read_table

SUBSETS = ("small", "medium", "large")  # each holds the ones before it
METADATA = "fma_metadata"
SPLIT_NAMES: dict[str, Split] = {"training": "train", "validation": "validation", "test": "test"}
#: Columns of a track's year, looked up in this order: its album may be of much later.
DATES = ("track.date_recorded", "album.date_released")
OPTIONAL = ("artist.name", "artist.latitude", "artist.longitude", "artist.location", "album.title", "track.title",
            "track.license", *DATES)  # fmt: skip

TrackRow = Mapping[str, str]


class FmaConfig(DatasetConfig, kind="fma"):
    """Tracks of the Free Music Archive, grouped by artist.

    Attributes
    ----------
    subset
        ``small`` (8 000 tracks), ``medium`` (25 000, with the small) or ``large`` (106 574, with both).
    labels
        ``top``: the one genre of 16 that a track's genres fall under, if it is one. ``all``: all of a track's genres
        with the genres that these belong to, by title (161 occur); several labels a track.
    split
        ``published``: the split of ``tracks.csv``. ``group``: none yet; to be split anew by artist.
    """

    on_this_machine: ClassVar[bool] = True

    subset: Literal["small", "medium", "large"] = "medium"
    labels: Literal["top", "all"] = "top"
    split: Literal["published", "group"] = "published"

    def catalogue(self) -> Catalogue:
        """Read the tables, find the clips and read their bytes.

        Tracks without a clip are rejected as ``missing``, those without a genre as ``no_label``.
        """
        label_column = "track.genre_top" if self.labels == "top" else "track.genres_all"
        needed = ("set.subset", "artist.id", label_column, *(("set.split",) if self.split == "published" else ()))
        tables = ("tracks.csv", *(("genres.csv",) if self.labels == "all" else ()))
        paths = _find_tables(self.root, tables)
        rows = _read_tracks(paths["tracks.csv"], needed, self.subset)
        titles = _read_genres(paths["genres.csv"]) if self.labels == "all" else None
        labels = {i: _labels(row[label_column], titles, i) for i, row in rows.items()}
        clips = _find_clips(self.root, self.subset)
        rejects = [_reject(i, "no_label", f"its {label_column} is empty") for i, own in labels.items() if not own]
        listed = [i for i, own in labels.items() if own]
        rejects += [_reject(i, "missing", f"no clip {i}.mp3 below {self.root!r}") for i in listed if i not in clips]
        if not any(i in clips for i in listed):
            raise DatasetError(
                f"none of the {len(listed)} tracks of FMA {self.subset} has a clip: looked for 000/000002.mp3 and so "
                f"on in {', '.join(str(p) for p in _places(self.root, self.subset))}; {_what_is_there(self.root)}"
            )
        contents, unreadable = digest_files({i: clips[i] for i in listed if i in clips}, self.root)
        rejects += unreadable.values()
        tracks = [self._track(i, clips[i], content, rows[i], labels[i]) for i, content in contents.items()]
        reasons = Counter(r.reason for r in rejects)
        notes = [f"FMA {self.subset}: {len(rows)} tracks listed, {len(tracks)} with a clip and a genre"]
        notes += [f"{n} track(s) set aside: {reason}" for reason, n in sorted(reasons.items())]
        notes += _repeats(contents)
        name = f"fma-{self.subset}" if self.labels == "top" else f"fma-{self.subset}-all"
        return Catalogue(name, "genre", tracks, rejects, notes=tuple(notes))

    def _track(self, track_id: str, clip: Path, content: str, row: TrackRow, labels: Sequence[str]) -> Track:
        published = SPLIT_NAMES[row["set.split"]] if self.split == "published" else None
        artist = row["artist.id"]
        return Track(
            track_id=track_id,
            source=str(clip.absolute()),
            content=content,
            label=labels[0],
            labels=tuple(labels) if len(labels) > 1 else (),
            group=f"artist:{artist}" if artist else f"track:{track_id}",
            split=published,
            title=row["track.title"] or None,
            artist=row["artist.name"] or None,
            album=row["album.title"] or None,
            year=next((year for name in DATES if (year := to_year(row[name][:4]))), None),
            place=row["artist.location"] or None,
            latitude=to_number(row["artist.latitude"], float),
            longitude=to_number(row["artist.longitude"], float),
            licence=row["track.license"] or None,
        )


def _find_tables(root: str, names: Sequence[str]) -> dict[str, Path]:
    found = {}
    for name in names:
        for place in (Path(root) / name, Path(root) / METADATA / name):
            if root and place.is_file():
                found[name] = place
    missing = [name for name in names if name not in found]
    if missing:
        raise DatasetError(
            f"no {', no '.join(missing)} in {root!r} or its {METADATA}: give the folder into which fma_metadata.zip "
            f"was unpacked as root; {_what_is_there(root, missing[0])}"
        )
    return found


def _read_tracks(path: Path, needed: Sequence[str], subset: str) -> dict[str, TrackRow]:
    """The rows of a subset by track id; ``""`` for columns that are not there."""
    try:
        positions, skip = _read_header(path)
        missing = [name for name in needed if name not in positions]
        if missing:
            raise DatasetError(
                f"{path} lacks the column(s) {', '.join(missing)}: expected FMA's two header rows, album, artist, "
                f"set and track over the names of columns; has {', '.join(list(positions)[:8]) or 'none'} ..."
            )
        table = _read_columns(path, [n for n in (*needed, *OPTIONAL) if n in positions], positions, skip)
    except (OSError, ValueError, csv.Error) as error:  # what pandas raises is of these
        raise DatasetError(f"{path} cannot be read as FMA's table of tracks: {error}") from None
    ids = table.pop("track_id")
    for name, allowed in (("set.subset", SUBSETS), ("set.split", tuple(SPLIT_NAMES))):
        strange = [v for v in dict.fromkeys(table.get(name, ())) if v not in allowed]
        if strange:
            raise DatasetError(f"{path}: {name} is {strange[0]!r}, expected one of {', '.join(allowed)}")
    included = SUBSETS[: SUBSETS.index(subset) + 1]
    table |= {name: [""] * len(ids) for name in OPTIONAL if name not in table}
    rows: dict[str, TrackRow] = {}
    for number, track_id in enumerate(ids):
        if not track_id.isdecimal():
            raise DatasetError(f"{path}: the track id of row {number + 1} is {track_id!r}, expected a whole number")
        if table["set.subset"][number] in included:
            rows[f"{int(track_id):06d}"] = {name: values[number] for name, values in table.items()}
    if not rows:
        raise DatasetError(f"{path} lists no track of the subset {subset!r} among its {len(ids)}")
    return rows


def _read_header(path: Path) -> tuple[dict[str, int], int]:
    """Positions of the columns, called e.g. ``track.title``, and the number of rows above the first track."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        upper, lower, index = (next(reader, []) for _ in range(3))
    names = [f"{above}.{below}" for above, below in zip(upper, lower, strict=False)]
    return {name: i for i, name in enumerate(names) if i}, 3 if index[:1] == ["track_id"] else 2


def _read_columns(path: Path, names: Sequence[str], positions: Mapping[str, int], skip: int) -> dict[str, list[str]]:
    import pandas as pd

    at = {"track_id": 0, **{name: positions[name] for name in names}}
    table = pd.read_csv(path, header=None, skiprows=skip, usecols=list(at.values()), dtype=str, na_filter=False,
                        encoding="utf-8")  # fmt: skip
    return {name: table[i].fillna("").str.strip().tolist() for name, i in at.items()}


def _read_genres(path: Path) -> dict[str, str]:
    """Titles by genre id."""
    table = read_table(path, ("genre_id", "title"))
    return {str(i): str(title) for i, title in zip(table["genre_id"], table["title"], strict=True)}


def _labels(text: str, titles: Mapping[str, str] | None, track_id: str) -> tuple[str, ...]:
    """Without titles a top genre as it is; else of a list of genre ids, ``[21, 76]``, the titles, sorted."""
    if titles is None:
        return (text,) if text else ()
    try:
        ids = json.loads(text) if text else []
        return tuple(sorted({titles[str(i)] for i in ids}))
    except KeyError as error:
        raise DatasetError(f"track {track_id}: genre {error} of {text} is not in genres.csv") from None
    except (ValueError, TypeError):
        raise DatasetError(f"track {track_id}: genres are {text!r}, expected a list of ids as [21, 76]") from None


def _places(root: str, subset: str) -> list[Path]:
    """Folders that may hold clips: of the subset, of the larger and the smaller ones, the root itself."""
    first = SUBSETS.index(subset)
    order = (*SUBSETS[first:], *reversed(SUBSETS[:first]))
    return [*(Path(root) / f"fma_{name}" for name in order), Path(root)]


def _find_clips(root: str, subset: str) -> dict[str, Path]:
    """Clips by track id, the first place that has one."""
    found: dict[str, Path] = {}
    for place in _places(root, subset):
        for folder in sorted(place.glob("[0-9][0-9][0-9]")):
            for clip in folder.glob("*.mp3"):
                found.setdefault(clip.stem, clip)
    return found


def _what_is_there(root: str, table: str = "") -> str:
    """What lies in the root, and where what is looked for lies deeper, as after unpacking into a folder of its name."""
    deeper = sorted(Path(root).glob(f"*/*/{table}")) if table and root else []
    if not table and root:
        deeper = sorted(p.parent for depth in ("*/*", "*/*/*") for p in Path(root).glob(f"{depth}/[0-9][0-9][0-9]"))
        return _placed(root, deeper[:1], "the clips' folders 000, 001, ...", "clips")
    return _placed(root, [p.parent for p in deeper[:1]], table, "tables")


def _placed(root: str, found: Sequence[Path], what: str, kind: str) -> str:
    if not found:
        read = "; what is read are the .mp3 files of the release fma_small, fma_medium or fma_large"
        return describe_folder(root) + (read if kind == "clips" else "")
    up = found[0].parent
    return (
        f"{what} lie a folder deeper, in {found[0].relative_to(root)}, as if unpacked twice: move what is in it to {up}"
    )


def _reject(track_id: str, reason: str, detail: str) -> Reject:
    return Reject(track_id=track_id, source=f"{track_id}.mp3", stage="catalogue", reason=reason, detail=detail)


def _repeats(contents: Mapping[str, str]) -> list[str]:
    """A note on clips with the same bytes: they are kept, as the published splits count them."""
    first: dict[str, str] = {}
    again = [(i, first[content]) for i, content in contents.items() if first.setdefault(content, i) != i]
    if not again:
        return []
    return [f"{len(again)} clip(s) have the bytes of another, e.g. {again[0][0]} those of {again[0][1]}: kept"]
