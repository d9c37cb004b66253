"""A library in a model's space: embedded once, kept as a catalogue, and changed where the library has changed."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tonearm.core import storage
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.home_use import using_home
from tonearm.core.remote_path import any_path
from tonearm.core.text import list_examples, slug
from tonearm.datasets.manifest import Reject, Track
from tonearm.workflows.answer_table import write_table
from tonearm.workflows.classify import default_model, require_model
from tonearm.workflows.home_catalogues import OF_DATASET, IndexRequest, own_tracking, write_request
from tonearm.workflows.index_changes import differences, opened, origin_notes, unread_rows

if TYPE_CHECKING:
    from tonearm.audio.windows import ClipConfig
    from tonearm.inference.model import Model
    from tonearm.recommend.catalogue_changes import Change
    from tonearm.recommend.catalogue_rows import Kind

logger = logging.getLogger(__name__)

SET_ASIDE = "set_aside.csv"


@dataclass(frozen=True)
class IndexedLibrary:
    """What came of a job.

    Attributes
    ----------
    uri
        Of the catalogue.
    model
        In whose space it is.
    kind
        What a row is.
    change
        What the job changed of it.
    heard
        Recordings that were embedded now.
    set_aside
        Of each track that is not in it reason and detail; they stand in ``set_aside.csv`` beside it, too.
    notes
        What was seen of the library on the way.
    """

    uri: str
    model: str
    kind: str
    change: Change
    heard: int
    set_aside: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        c = self.change
        lines = [f"{c.count} {self.kind}s in the space of {self.model}, {self.heard} recordings heard now: {self.uri}",
                 f"  {c.added} added, {c.removed} removed, {c.replaced} replaced"
                 + ("; one base of all is written" if c.merged else "")]  # fmt: skip
        if self.set_aside:
            reasons = Counter(reason for reason, _ in self.set_aside.values()).most_common()
            lines.append(f"set aside: {len(self.set_aside)} ({', '.join(f'{r} {n}' for r, n in reasons)}): "
                         f"{storage.join(self.uri, SET_ASIDE)}")  # fmt: skip
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


@dataclass
class _Tracks:
    """A library's tracks in their order, the reasons of those that cannot be had, and the clips it was prepared of."""

    tracks: list[Track]
    set_aside: dict[str, tuple[str, str]]
    notes: list[str]
    name: str
    origin: str
    clip: ClipConfig | None = None
    dataset: str = ""


@using_home("indexing a library")
def index_library(
    model: str = "", *, dataset: str = "", audio: Sequence[str] = (), name: str = "", kind: Kind = "track",
    merge: bool = False,
) -> IndexedLibrary:  # fmt: skip
    """Place a library in a model's space, as a catalogue that the model recommends from.

    A recording that the model has heard before, here or for ``tonearm predict``, is not heard again; a job that was
    killed goes on. Given again, rows are added, replaced and removed as the library has changed; those of
    recordings that cannot be read this time stay. A catalogue that is damaged is made anew.

    Parameters
    ----------
    model
        A folder, a URI or ``models:/NAME@ALIAS``; by default the model that was promoted last.
    dataset
        A prepared data set.
    audio
        Or folders of recordings, or their URIs, to any depth.
    name
        Of the catalogue; by default that of the data set or the first folder. Only by one that is given here does a
        library take the place of another.
    kind
        What a row is: ``track``, ``album`` or ``artist``, the mean direction of its tracks.
    merge
        Whether to write what was added into one base with the rest.

    Raises
    ------
    ConfigError
        If not either a data set or folders are given, there is no such data set, model or kind, or the catalogue of
        the default name is of another library.
    DatasetError
        If a folder holds no recordings.
    BundleError, TrackingError
        If the model cannot be loaded, or the catalogue of that name is of another kind of rows or cannot be read now.
    JobError
        If no recording could be heard.
    """
    if bool(dataset) == bool(audio):
        raise ConfigError("name either a data set (--dataset) or folders of recordings (--audio)")
    require_model(model)
    library = _of_dataset(dataset) if dataset else _of_folders(audio)
    from tonearm.inference import load
    from tonearm.inference.made_catalogues import catalogue_uri
    from tonearm.recommend.catalogue_changes import Space, change_catalogue
    from tonearm.recommend.catalogue_rows import KINDS, group_rows
    from tonearm.tracking.model_files import pinned_uri

    if kind not in KINDS:
        raise ConfigError(f"kind {kind!r}: rows are of the kind {', '.join(KINDS)}")
    loaded = load(model or default_model())
    called = slug(name or library.name) + ("" if name or kind == "track" else f"-{kind}s")
    uri = catalogue_uri(loaded.digest, called)
    library.notes += origin_notes(uri, called, library.origin, named=bool(name))
    rows, vectors, heard = _embedded(loaded, library)
    if kind != "track":
        rows, vectors, without = group_rows(rows, vectors, kind)
        library.notes += [f"{without} tracks do not say their {kind}, and count for none"] if without else []
    there, damage = opened(uri, loaded.digest)
    library.notes += [f"the catalogue was damaged and is made anew: {damage}"] if damage else []
    new, gone = differences(there, rows)
    unread = unread_rows(there, gone, library.set_aside, kind, library.origin)
    if unread:
        library.notes.append(f"recordings cannot be read this time, so {len(unread)} {kind}s stay as they were: "
                             f"{list_examples(unread)}")  # fmt: skip
    space = Space(loaded.digest, vectors.shape[1], kind, library.origin)
    change = change_catalogue(
        uri, space, [rows[i] for i in new], vectors[new], gone - set(unread), merge, anew=bool(damage)
    )
    audio_folders = tuple(sorted({str(any_path(folder).resolve()) for folder in audio}))
    model_uri, tracking = _absolute(loaded.uri), ""
    if loaded.uri.startswith("models:/"):
        model_uri, tracking = pinned_uri(loaded.uri), own_tracking()
    write_request(uri, IndexRequest(model_uri, tracking, library.dataset, audio_folders, name, kind))
    reasons = [(track_id, *library.set_aside[track_id]) for track_id in sorted(library.set_aside)]
    names = ("track_id", "reason", "detail")
    write_table(storage.join(uri, SET_ASIDE), [{column: [r[i] for r in reasons] for i, column in enumerate(names)}])
    return IndexedLibrary(uri, loaded.uri, kind, change, heard, library.set_aside, tuple(library.notes))


def _of_dataset(dataset: str) -> _Tracks:
    from tonearm.audio.windows import ClipConfig
    from tonearm.datasets.manifest import load_manifest
    from tonearm.workflows.prepared_names import manifest_uri, prepared_name, require_prepared

    require_prepared(dataset)
    manifest = load_manifest(manifest_uri(prepared_name(dataset)))
    known = manifest.made.get("clip")
    without = {t.track_id: ("no_audio", "it is known by its metadata alone") for t in manifest.tracks if not t.source}
    return _Tracks([t for t in manifest.tracks if t.source], without, [], manifest.name,
                   OF_DATASET + manifest.name, ClipConfig.from_dict(known) if known else None,
                   manifest.name)  # fmt: skip


def _of_folders(folders: Sequence[str]) -> _Tracks:
    from tonearm.datasets.folder import FolderConfig
    from tonearm.datasets.recordings import dataset_name

    roots = sorted({str(any_path(folder).resolve()) for folder in folders})
    found = _Tracks([], {}, [], dataset_name(folders[0]), " and ".join(roots))
    for folder in dict.fromkeys(folders):
        scanned = FolderConfig(root=folder, label="", contradictions="keep").catalogue()
        prefix = f"{dataset_name(folder)}/" if len(set(folders)) > 1 else ""
        found.tracks += [dataclasses.replace(t, track_id=prefix + t.track_id) for t in scanned.tracks]
        found.set_aside |= {prefix + r.track_id: _why(r) for r in scanned.rejects}
        found.notes += [f"{folder}: {note}" for note in scanned.notes]
    repeated = [i for i, n in Counter(t.track_id for t in found.tracks).items() if n > 1]
    if repeated:
        same = repeated[0].partition("/")[0]
        raise ConfigError(f"two folders are called {same!r}: index each by itself, with a --name of its own")
    return found


def _absolute(uri: str) -> str:
    return str(storage.local_path(uri).absolute()) if storage.is_local(uri) else uri


def _why(reject: Reject) -> tuple[str, str]:
    return reject.reason, reject.detail


def _embedded(model: Model, library: _Tracks) -> tuple[list[dict[str, Any]], Any, int]:
    """A row and a vector of each track that the model can place, and how many recordings it heard now."""
    import numpy as np

    from tonearm.recommend.catalogue_rows import track_row
    from tonearm.workflows.measured_descriptors import measured_descriptors, without_descriptors
    from tonearm.workflows.predict_files import hear_contents

    wanted = {t.content: t.source for t in library.tracks}
    stamps = {t.content: t.stamp for t in library.tracks}
    table, heard = hear_contents(model, wanted, stamps)
    answers = table.read(wanted)
    usable = {content: source for content, source in wanted.items() if not answers[content].reason}
    clips = dict.fromkeys([*model.clips, *([library.clip] if library.clip else [])])
    described = measured_descriptors(usable, list(clips), stamps)
    silent = without_descriptors(list(usable), described)
    library.notes += [f"{silent} recordings have no tempo, key, ...: nothing can be measured of them"] if silent else []
    read = model.ensemble.task.read
    rows, vectors = [], []
    for track in library.tracks:
        answer = answers[track.content]
        if answer.reason:
            library.set_aside[track.track_id] = (answer.reason, answer.detail)
        elif not (np.isfinite(answer.embedding).all() and answer.embedding.any()):
            library.set_aside[track.track_id] = ("no_place", "the model maps it to zeros, or to what is no number")
        else:
            says = read(answer.probabilities, model.classes)
            rows.append(track_row(track, says, described.get(track.content, {})))
            vectors.append(answer.embedding)
    if not rows:
        reasons = Counter(reason for reason, _ in library.set_aside.values()).most_common()
        raise JobError(f"none of {len(library.set_aside)} recordings could be placed: "
                       f"{', '.join(f'{r} {n}' for r, n in reasons)}; "
                       f"e.g. {next(iter(library.set_aside.items()))}")  # fmt: skip
    return rows, np.stack(vectors), heard
