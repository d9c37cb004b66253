"""Stored features that no data set, sweep or trial of the home needs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tonearm.audio.windows import ClipConfig
from tonearm.core import home, storage
from tonearm.core.errors import TonearmError
from tonearm.datasets.content import content_digest
from tonearm.datasets.manifest import load_manifest, load_rejects
from tonearm.features.base import Representation
from tonearm.features.prune import PartWithSpare, parts_with_spare, prune_part
from tonearm.features.row_store import DESCRIPTOR_TABLE, FINGERPRINT_TABLE, prune_rows, read_keys
from tonearm.features.store import read_representation, track_key
from tonearm.features.store_clips import knows_all_clips, read_clip_configs
from tonearm.features.store_index import write_index
from tonearm.pipelines.header_notes import NOTE_TABLE
from tonearm.workflows.prepared_names import manifest_uri, unfinished_uri
from tonearm.workflows.set_aside import rejects_uri

TABLES = (FINGERPRINT_TABLE, DESCRIPTOR_TABLE, NOTE_TABLE)
TABLE = re.compile(r"(fingerprints|descriptors|header-notes)-\d+")


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
    try:
        contents = set(_needed_contents(notes))
    except (TonearmError, ValueError, KeyError, TypeError) as error:
        notes.append(f"features are left alone, since it cannot be told which are needed: {error}")
        return
    except _UnfinishedError as error:
        notes.append(str(error))
        return
    root = home.features_home()
    clips, silent = set[ClipConfig](), list[str]()
    stores = []
    for folder in storage.list_folders(root):
        uri = storage.join(root, folder)
        if TABLE.fullmatch(folder):
            if folder not in TABLES:
                yield _whole("tables of an earlier version", uri)
            continue
        if not storage.exists(storage.join(uri, "representation.json")):
            continue
        try:
            representation, own = read_representation(storage.join(uri, "representation.json")), read_clip_configs(uri)
        except TonearmError as error:
            notes.append(f"{folder} is left alone: {error}")
            silent.append(folder)
            continue
        if representation.store_name() != folder:
            yield _whole("stores of an earlier version", uri)
        elif knows_all_clips(uri):
            stores.append((uri, representation, own))
            clips.update(own)
        else:
            silent.append(folder)
    for uri, representation, own in stores:
        needed = {track_key(content, clip) for content in contents for clip in own}
        try:
            parts = [p for p in parts_with_spare(uri, needed) if not _is_young(uri, p.name, seconds)]
        except TonearmError as error:
            notes.append(str(error))
            continue
        if parts:
            yield Leftover("features of recordings that no data set or sweep has", uri, sum(p.tracks for p in parts),
                           sum(p.bytes for p in parts), partial(_prune, uri, representation, parts))  # fmt: skip
    if silent:
        notes.append(f"{len(silent)} store(s) do not say which clips they hold and are left alone, with the tables "
                     f"beside them: {', '.join(silent)}")  # fmt: skip
        return
    needed = {track_key(content, clip) for content in contents for clip in clips}
    for table in TABLES if stores else ():
        spare = read_keys(root, table) - needed
        files = storage.list_files(storage.join(root, table), ".parquet")
        young = any(_age(storage.join(root, table, name)) < seconds for name in files)
        if spare and not young:
            size = sum(max(0, storage.size(storage.join(root, table, name))) for name in files)
            gain = round(size * len(spare) / len(read_keys(root, table)))
            yield Leftover("rows of such recordings in tables", storage.join(root, table), len(spare), gain,
                           partial(prune_rows, root, table, needed))  # fmt: skip


def _prune(uri: str, representation: Representation, parts: Sequence[PartWithSpare]) -> None:
    for part in parts:
        prune_part(uri, representation, part)
    write_index(uri)


class _UnfinishedError(Exception):
    """An extraction was not finished: what it has stored has no manifest yet."""


def _needed_contents(notes: list[str]) -> Iterator[str]:
    """The contents of all tracks that data sets and sweeps have, and of files that were set aside as they are."""
    for name in storage.list_folders(home.data_root()):
        if storage.exists(unfinished_uri(name)):
            raise _UnfinishedError(
                f"features are left alone, since data set {name} was begun and not finished: prepare it again, or "
                f"delete {unfinished_uri(name)}"
            )
        if storage.exists(manifest_uri(name)):
            yield from (t.content for t in load_manifest(manifest_uri(name)).tracks)
        yield from _set_aside(name)
    for signature in storage.list_folders(home.trials_home()):
        uri = storage.join(home.trials_home(), signature, "manifest.parquet")
        if storage.exists(uri):
            yield from (t.content for t in load_manifest(uri).tracks)


def _set_aside(name: str) -> Iterator[str]:
    """Contents of recordings that are well, but contradict others: extracted, and compared anew each time."""
    for reject in load_rejects(rejects_uri(name)):
        if reject.reason == "two_labels" and storage.is_local(reject.source):
            try:
                yield content_digest(Path(storage.local_path(reject.source)))
            except OSError:  # it is gone
                continue


def _whole(kind: str, uri: str) -> Leftover:
    files = list(_files(uri))
    return Leftover(kind, uri, 1, sum(max(0, storage.size(file)) for file in files), partial(_remove_all, uri, files))


def _files(uri: str) -> Iterator[str]:
    for name in storage.list_files(uri):
        yield storage.join(uri, name)
    for folder in storage.list_folders(uri):
        yield from _files(storage.join(uri, folder))


def _remove_all(uri: str, files: Iterable[str]) -> None:
    for file in files:
        storage.remove(file)
    if storage.is_local(uri):
        import shutil

        shutil.rmtree(storage.local_path(uri), ignore_errors=True)


def _is_young(uri: str, part: str, seconds: float) -> bool:
    return _age(storage.join(uri, "parts", f"{part}.parquet")) < seconds


def _age(uri: str) -> float:
    """Seconds since a file was written; of one elsewhere that is not known, and it counts as old."""
    written = storage.modified(uri)
    return float("inf") if written is None else time.time() - written
