"""Stored features that no data set, sweep or trial of the home needs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import partial

from tonearm.audio.windows import ClipConfig
from tonearm.core import home, storage
from tonearm.core.errors import TonearmError
from tonearm.features.base import Representation
from tonearm.features.prune import PartWithSpare, parts_with_spare, prune_part
from tonearm.features.row_store import DESCRIPTOR_TABLE, FINGERPRINT_TABLE, prune_rows, read_ages
from tonearm.features.store import read_representation, track_key
from tonearm.features.store_clips import knows_all_clips, read_clip_configs
from tonearm.features.store_index import write_index
from tonearm.pipelines.header_notes import NOTE_TABLE
from tonearm.workflows.needed_contents import needed_contents, readable_folders

TABLES = (FINGERPRINT_TABLE, DESCRIPTOR_TABLE, NOTE_TABLE)
VERSIONS = {**{name: int(number) for name, _, number in (table.rpartition("-") for table in TABLES)}, "decoders": 2}
"""Of tables, by name; of decoders, which a version of some days wrote, none is used."""
TABLE = re.compile(rf"({'|'.join(VERSIONS)})-([1-9]\d*)")
STORE = re.compile(r"\w+-[0-9a-f]{16}")
AGE_UNKNOWN = "it cannot be told when it was written"


@dataclass(frozen=True)
class Leftover:
    """Something that may be deleted.

    Attributes
    ----------
    kind
        What it is, for people.
    place
        File or folder that it is, or is in.
    count
        How many such things; of features, how many tracks.
    bytes
        What would be gained.
    remove
        Deletes it.
    """

    kind: str
    place: str
    count: int
    bytes: int
    remove: Callable[[], None] = field(repr=False)


def spare_features(seconds: float, notes: list[str]) -> Iterator[Leftover]:
    """Find features that nothing needs.

    Parameters
    ----------
    seconds
        What was written less than so long ago is left alone.
    notes
        Gains what is left alone for another reason.
    """
    root = home.features_home()
    try:
        folders = readable_folders(root)
        contents = needed_contents() if folders else set()
    except (TonearmError, OSError, ValueError, KeyError, TypeError) as error:
        notes.append(f"features are left alone, since it cannot be told which are needed: {error}")
        return
    clips, silent = set[ClipConfig](), list[str]()
    stores = []
    for folder in folders:
        uri, table = storage.join(root, folder), TABLE.fullmatch(folder)
        if table:
            if int(table[2]) < VERSIONS[table[1]]:
                yield from whole_folder("tables of an earlier version", uri, seconds, notes)
            continue
        if not storage.exists(storage.join(uri, "representation.json")):
            silent += [folder] if STORE.fullmatch(folder) else []
            continue
        try:
            representation, own = read_representation(storage.join(uri, "representation.json")), read_clip_configs(uri)
        except TonearmError as error:
            notes.append(f"{folder} is left alone: {error}")
            silent.append(folder)
            continue
        if representation.store_name() == folder and knows_all_clips(uri):
            stores.append((uri, representation, own))
            clips.update(own)
        elif representation.store_name() == folder:
            silent.append(folder)
        elif STORE.fullmatch(folder) and folder.rpartition("-")[0] == representation.kind:
            yield from whole_folder("stores of an earlier version", uri, seconds, notes)
        else:
            notes.append(f"{folder} is left alone: no store is called so, it may be a copy of your own")
            clips.update(own)
    for uri, representation, own in stores:
        needed = {track_key(content, clip) for content in contents for clip in own}
        try:
            found = [
                (p, storage.age(storage.join(uri, "parts", f"{p.name}.parquet"))) for p in parts_with_spare(uri, needed)
            ]
        except TonearmError as error:
            notes.append(str(error))
            continue
        parts = [part for part, age in found if age is not None and age >= seconds]
        if any(age is None for _, age in found):
            notes.append(f"parts of {uri} are left alone: {AGE_UNKNOWN}")
        if parts:
            yield Leftover("features of recordings that no data set or sweep has", uri, sum(p.tracks for p in parts),
                           sum(p.bytes for p in parts), partial(_prune, uri, representation, parts))  # fmt: skip
    if silent:
        notes.append(f"{len(silent)} store(s) do not say which clips they hold and are left alone, with the tables "
                     f"beside them: {', '.join(silent)}")  # fmt: skip
        return
    needed = {track_key(content, clip) for content in contents for clip in clips}
    for table_name in TABLES if stores else ():
        yield from _spare_rows(root, table_name, needed, seconds, notes)


def _spare_rows(root: str, table: str, needed: Set[str], seconds: float, notes: list[str]) -> Iterator[Leftover]:
    uri = storage.join(root, table)
    try:
        ages = read_ages(root, table)
    except TonearmError as error:
        notes.append(str(error))
        return
    spare = {key: age for key, age in ages.items() if key not in needed}
    old = {key for key, age in spare.items() if age is not None and age >= seconds}
    if None in spare.values():
        notes.append(f"rows of {uri} are left alone: {AGE_UNKNOWN}")
    if old:
        gain = round(sum(size for _, size, _ in storage.list_below(uri)) * len(old) / len(ages))
        yield Leftover("rows of such recordings in tables", uri, len(old), gain,
                       partial(prune_rows, root, table, needed | (ages.keys() - old)))  # fmt: skip


def _prune(uri: str, representation: Representation, parts: Sequence[PartWithSpare]) -> None:
    for part in parts:
        prune_part(uri, representation, part)
    write_index(uri)


def whole_folder(kind: str, uri: str, seconds: float, notes: list[str]) -> Iterator[Leftover]:
    """A folder of which nothing is needed, if all of it was written so long ago."""
    files = storage.list_below(uri)
    if _is_old(uri, files, seconds, notes):
        names, size = [name for name, _, _ in files], sum(size for _, size, _ in files)
        yield Leftover(kind, uri, 1, size, partial(_remove_all, uri, names))


def _remove_all(uri: str, files: Iterable[str]) -> None:
    if not storage.is_local(uri):
        for file in files:
            storage.remove(file)
        return
    path = storage.local_path(uri)
    shutil.rmtree(path.resolve())  # it may be a link to another disk
    if path.is_symlink():
        path.unlink()


def _is_old(place: str, files: Iterable[tuple[str, int, float | None]], seconds: float, notes: list[str]) -> bool:
    """Whether all files, as :func:`storage.list_below` lists them, were written so long ago; a note says if a store
    does not tell."""
    ages = [age for _, _, age in files]
    if None in ages:
        notes.append(f"{place} is left alone: {AGE_UNKNOWN}")
    return all(age is not None and age >= seconds for age in ages)
