"""The one schema of a data set: a row a track."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tonearm.core import storage
from tonearm.core.damage import describe_unreadable
from tonearm.core.errors import DatasetError
from tonearm.core.parquet import read_parquet
from tonearm.core.seeding import digest
from tonearm.core.text import command
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.metadata_files import open_metadata, write_metadata
from tonearm.datasets.record_files import NOT_WRITTEN, read_records, write_records

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SHARED = "shared"  # in the header of a manifest whose metadata are shared


@dataclass(frozen=True, kw_only=True)
class Track:
    """One recording.

    Attributes
    ----------
    track_id
        Unique in the data set.
    source
        URI of the encoded audio; "" for a track that is known by its metadata alone.
    content
        blake2 digest of the encoded bytes: the identity that stored features are keyed by.
    label
        The class; of a track with several labels the first.
    labels
        All of its labels: genres, playlists. None given: the one label.
    group
        What stays in one split; by default the artist. A track without one, or whose class had too few groups to be
        kept apart, is its own: ``track:<id>``.
    split
        ``train``, ``validation`` or ``test``; None before splitting.
    year
        Of the work.
    latitude, longitude
        Degrees.
    recording
        Of a recording that occurs in several forms (two encodings, say) the first of their ids; "" of one that occurs
        once. It stays in one split and one fold.
    stamp
        Of the file that the content was read of, see :func:`tonearm.core.storage.stamp_now`; "" where it is not known.
        It is not written, nor is it any part of the track's identity.
    """

    track_id: str
    source: str
    content: str
    label: str
    group: str
    labels: tuple[str, ...] = ()
    split: Split | None = None
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    year: int | None = None
    place: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    licence: str | None = None
    recording: str = ""
    stamp: str = field(default="", compare=False, repr=False, metadata=NOT_WRITTEN)

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Its labels, or its one label, or none."""
        return self.labels or ((self.label,) if self.label else ())

    @property
    def name(self) -> str:
        """Display name."""
        return self.title or self.track_id


@dataclass(frozen=True, kw_only=True)
class Reject:
    """A track that was set aside: where, the countable reason, what was seen.

    ``key`` identifies the content that failed, so that a repaired file is tried again and a broken one is not; of one
    that is well and contradicts another it is the content itself.
    ``bytes`` is the size of the file, -1 where it is not known.
    """

    track_id: str
    source: str
    stage: str
    reason: str
    detail: str
    key: str = ""
    bytes: int = -1


@dataclass(frozen=True)
class Manifest:
    """A data set: its name, what its label means, its tracks sorted by id, and what else is known of them.

    ``root`` is the place that its files were found in, absolute; ``made`` is how it was prepared, as plain values. They
    are no part of the signature.
    """

    name: str
    label: str
    tracks: tuple[Track, ...]
    notes: tuple[str, ...] = field(default=())
    metadata: Metadata = field(default_factory=Metadata)
    root: str = ""
    made: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        repeated = [i for i, n in Counter(t.track_id for t in self.tracks).items() if n > 1]
        if repeated:
            raise DatasetError(f"{self.name}: track ids occur twice: {', '.join(sorted(repeated)[:5])}")
        object.__setattr__(self, "tracks", tuple(sorted(self.tracks, key=lambda t: t.track_id)))

    @property
    def classes(self) -> tuple[str, ...]:
        """All labels, sorted."""
        return tuple(sorted({label for t in self.tracks for label in t.all_labels}))

    def of(self, split: Split) -> tuple[Track, ...]:
        """The tracks of one split."""
        return tuple(t for t in self.tracks if t.split == split)

    def signature(self) -> str:
        """Identity of all that training sees: ids, contents, labels, groups, splits, metadata; not file paths."""
        seen = [
            [t.track_id, t.content, t.label, *t.labels, t.group, t.split, *([t.recording] if t.recording else [])]
            for t in self.tracks
        ]
        return digest(self.name, self.label, seen, *([self.metadata.signature()] if len(self.metadata) else []))


def save_manifest(uri: str, manifest: Manifest, shared: bool = False) -> None:
    """Write a manifest as Parquet, its notes in the same file.

    Parameters
    ----------
    shared
        Whether its metadata are one with those of other manifests in the folder that have the same.
    """
    signature = manifest.metadata.signature() if len(manifest.metadata) else ""
    place = _metadata_uri(uri, signature, shared)
    if signature and not (shared and storage.exists(place)):
        write_metadata(place, manifest.metadata)
    header = {"name": manifest.name, "label": manifest.label, "facts": signature, "root": manifest.root,
              "home": _home_of(uri),
              "notes": json.dumps(manifest.notes), "made": json.dumps(manifest.made),
              **({SHARED: "yes"} if shared else {})}  # fmt: skip
    write_records(uri, manifest.tracks, Track, header)  # last: it names the metadata that belong to it
    storage.remove(_old_notes(uri))


def _metadata_uri(uri: str, signature: str, shared: bool) -> str:
    folder, _, file = uri.rpartition("/")
    whose = "" if shared else f"{file.removesuffix('.parquet')}."
    return storage.join(folder, f"{whose}facts-{signature}.parquet")


def manifest_leftovers(uri: str) -> list[str]:
    """Files beside a manifest of an earlier one: metadata that it does not name, notes that it has itself.

    Raises
    ------
    DatasetError
        If there is no manifest, or it is damaged.
    """
    header = read_records(uri, Track, ("name", "label"))[1]
    folder, _, file = uri.rpartition("/")
    own = _metadata_uri(uri, header.get("facts", ""), SHARED in header)
    beside = f"{file.removesuffix('.parquet')}.facts-"
    found = [storage.join(folder, name) for name in storage.list_files(folder) if name.startswith(beside)]
    notes = [_old_notes(uri)] if "notes" in header and storage.exists(_old_notes(uri)) else []
    return [place for place in found if not place.startswith(own.removesuffix("parquet"))] + notes


def shared_leftovers(folder: str, manifests: Iterable[str]) -> list[str]:
    """Files of shared metadata in a folder that none of its manifests, all of which are given, names.

    Raises
    ------
    DatasetError
        If a manifest is damaged.
    """
    headers = [read_records(uri, Track, ("name", "label"))[1] for uri in manifests]
    named = {f"facts-{header.get('facts')}" for header in headers if SHARED in header}
    files = [name for name in storage.list_files(folder) if name.startswith("facts-")]
    return [storage.join(folder, name) for name in files if name.partition(".")[0] not in named]


def _old_notes(uri: str) -> str:
    """Where notes once lay; a manifest that has them itself has none there."""
    return f"{uri}.notes.json"


def _home_of(uri: str) -> str:
    """The home, by where a manifest lies in it: data/NAME/FILE, or trials/SWEEP/FILE."""
    return uri.rsplit("/", 3)[0] if uri.count("/") > 2 else ""


def load_manifest(uri: str) -> Manifest:
    """Read a manifest.

    Raises
    ------
    DatasetError
        If there is none, or a file of it is damaged.
    """
    if not storage.exists(uri):
        raise DatasetError(f"no manifest at {uri}: make the data set first ({command('extract', '--help')})")
    rows, header = read_records(uri, Track, ("name", "label"))
    try:
        if "notes" in header:
            notes = json.loads(header["notes"])
        else:
            notes = storage.read_json(_old_notes(uri)) if storage.exists(_old_notes(uri)) else []
        how = json.loads(header.get("made", "{}"))
    except ValueError as error:  # of JSON and of UTF-8
        raise DatasetError(f"the notes of {uri} are damaged ({error}): make the data set again") from None
    made, here = header.get("home", ""), _home_of(uri)

    def now(place: str) -> str:  # if the home was moved or copied, what was rendered there came with it
        return here + place.removeprefix(made) if made and place.startswith(f"{made}/") else place

    tracks = tuple(
        Track(**{**row, "source": now(row["source"]), "labels": tuple(row.get("labels") or ())}) for row in rows
    )
    signature = header.get("facts", "")
    metadata = open_metadata(_metadata_uri(uri, signature, SHARED in header), signature) if signature else Metadata()
    root = now(header.get("root", ""))
    return Manifest(header["name"], header["label"], tracks, tuple(notes), metadata, root, how)


@dataclass(frozen=True)
class ManifestSummary:
    """What a list shows of a data set."""

    name: str
    label: str
    tracks: int
    classes: int


def summarise_manifest(uri: str) -> ManifestSummary:
    """A manifest's name and figures, without its tracks.

    Raises
    ------
    DatasetError
        If it is damaged.
    """
    import pyarrow as pa

    try:
        table = read_parquet(storage.read_bytes(uri), ["label", "labels"])
        header = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        name, label = header["name"], header["label"]
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise DatasetError(describe_unreadable(uri, error, "make the data set again")) from None
    labels = {label for labels in table["labels"].to_pylist() for label in labels or ()}
    labels |= {label for label in table["label"].to_pylist() if label}
    return ManifestSummary(name, label, table.num_rows, len(labels))


def save_rejects(uri: str, rejects: Iterable[Reject]) -> None:
    """Write a rejects table as Parquet."""
    write_records(uri, sorted(rejects, key=lambda r: (r.stage, r.track_id)), Reject, {})


def load_rejects(uri: str) -> list[Reject]:
    """Read a rejects table; an absent one is empty.

    Raises
    ------
    DatasetError
        If it is damaged.
    """
    return [Reject(**row) for row in read_records(uri, Reject)[0]] if storage.exists(uri) else []
