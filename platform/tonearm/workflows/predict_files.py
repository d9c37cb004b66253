"""A back catalogue's answers: of many files probabilities and neighbours, in one table, and no file is heard twice."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.core.remote_files import fresh_info, mark_of, written_at
from tonearm.core.remote_path import NO_LISTING, AnyPath, RemotePath, reason_of
from tonearm.core.seeding import digest
from tonearm.workflows.answer_table import require_table, set_aside_uri, write_set_aside, write_table
from tonearm.workflows.classify import default_model, expand_files, require_files, require_model

if TYPE_CHECKING:
    from tonearm.inference.answers import AnswerTable
    from tonearm.inference.model import Model

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictedFiles:
    """What came of a job.

    Attributes
    ----------
    out
        The table.
    model
        What answered.
    answered, heard
        Files with an answer; of how many contents that was found out now.
    set_aside
        Of each file without an answer reason and detail.
    notes
        What was not looked at, or could not be said.
    """

    out: str
    model: str
    answered: int
    heard: int
    set_aside: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.answered} files answered by {self.model}, {self.heard} heard now: {self.out}"]
        if self.set_aside:
            total = self.answered + len(self.set_aside)
            lines.append(f"set aside: {len(self.set_aside)} of {total} ({_counts(self.set_aside)}): "
                         f"{set_aside_uri(self.out)}")  # fmt: skip
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def predict_files(files: Sequence[str], out: str, *, model: str = "", neighbours: int = 5) -> PredictedFiles:
    """Write what a model answers of audio files to a table, a row a file: title and artist where tags say so, the
    answer in the form of the model's task, and neighbours of the model's catalogue where it has one.

    Of one class the answer is ``label``, ``probability`` and ``p:LABEL`` of each; of several labels ``labels`` and
    ``p:LABEL``; of playlists ``playlist``, ``fitness`` and ``fitness:NAME``; of values ``value:NAME (UNIT)``; of a
    vector ``vector:NAME[0]`` and so on.

    A model's answers are kept in the home by the files' contents: a job that was killed goes on where it was, a file
    that changed is heard again, and another model hears all. What takes long is heard by all cores, on Ray.

    Parameters
    ----------
    files
        Paths or URIs of recordings; folders, to any depth; ``.txt`` files with a path or URI a line.
    out
        A ``.parquet`` or ``.csv`` file or URI. What was set aside stands beside it, in ``NAME.set_aside.csv``.
    model
        A folder, a URI or ``models:/NAME@ALIAS``; by default the model that was promoted last.
    neighbours
        So many of each file; 0 for none.

    Raises
    ------
    ConfigError
        If a file is not there, no table can be written at ``out``, or the folder of the model is absent.
    DatasetError
        If a folder holds no recordings.
    BundleError, TrackingError
        If the model cannot be loaded.
    JobError
        If no file could be heard; the table of what was set aside is written.
    """
    require_table(out)
    require_files(files)
    require_model(model)
    chosen, aside, notes = expand_files(files)
    set_aside = {file: (reason, detail.strip()) for file, (reason, _, detail) in
                 ((file, why.partition(":")) for file, why in aside.items())}  # fmt: skip
    set_aside |= {file: ("bad_name", "its name is not UTF-8: rename it") for file in chosen if not _is_text(file)}
    from tonearm.inference import load  # these bring torch: wrong names are told before
    from tonearm.workflows.predicted_table import place_recordings, table_parts

    loaded = load(model or default_model())
    library = loaded.library if neighbours and loaded.has_catalogue else None
    if neighbours and library is None:
        notes.append(f"the model {loaded.uri} has no catalogue, so there are no neighbours")
    contents, tags, stamps, unread = _read([file for file in chosen if file not in set_aside])
    set_aside |= unread
    table, heard = hear_contents(loaded, {content: _source(file) for file, content in contents.items()}, stamps)
    answers = table.read(contents.values(), embeddings=False)
    unheard = {file: answers[content] for file, content in contents.items() if answers[content].reason}
    set_aside |= {file: (answer.reason, answer.detail) for file, answer in unheard.items()}
    in_order = [(_shown(file), *set_aside[file]) for file in dict.fromkeys([*chosen, *set_aside]) if file in set_aside]
    write_set_aside(out, in_order)
    rows = [(file, content) for file, content in contents.items() if file not in unheard]
    if not rows:
        raise JobError(f"none of {len(set_aside)} files could be heard ({_counts(set_aside)}): {set_aside_uri(out)}")
    placed = place_recordings(table, [c for _, c in rows], library, neighbours, loaded.heard_tracks)
    write_table(out, table_parts(rows, tags, answers, loaded.ensemble.task, loaded.classes, placed))
    return PredictedFiles(out, loaded.uri, len(rows), heard, set_aside, tuple(notes))


def hear_contents(
    model: Model, wanted: Mapping[str, str], stamps: Mapping[str, str] | None = None
) -> tuple[AnswerTable, int]:
    """Have a model's answers of files: what was heard before is not heard again.

    Parameters
    ----------
    model
        Its answers are kept in the home.
    wanted
        Paths or URIs of files by their contents.
    stamps
        Of the files that the contents were read of, by contents, where they are known.

    Returns
    -------
    The table with an answer for each content, of a file that cannot be heard the reason; and how many were heard now.
    """
    from tonearm.core.plugins import modules_of
    from tonearm.inference.answers import AnswerTable, FilePredictor, file_items
    from tonearm.pipelines.decoding import attempts_folder
    from tonearm.workflows.predict_blocks import shared_members, work_here_or_on_ray

    members, ensemble = shared_members(model.folder, model.ensemble), model.ensemble
    table = AnswerTable(home.predictions_home(), members, ensemble.identity())
    known = table.lasting(wanted)
    missing = [(c, source, (stamps or {}).get(c, "")) for c, source in wanted.items() if c not in known]
    if known:
        logger.info(f"  {len(known)} of {len(wanted)} recordings were heard before")
    if missing:
        attempts = uuid.uuid4().hex
        arguments = {
            "members": list(members), "weights": list(ensemble.weights),
            "temperatures": list(ensemble.temperatures), "combination": ensemble.combination.to_dict(),
            "uri": table.uri, "features": home.features_home(),
            "cache": home.node_cache(), "attempts": attempts,
            "allowed_modules": modules_of(*(m.config for m in ensemble.members)),
        }  # fmt: skip
        try:
            work_here_or_on_ray(file_items(missing), FilePredictor, arguments, "files heard", len(missing))
        finally:
            shutil.rmtree(attempts_folder(attempts), ignore_errors=True)
        table.join()
    return table, len(missing)


def _read(
    files: Sequence[str],
) -> tuple[dict[str, str], dict[str, dict[str, str | None]], dict[str, str], dict[str, tuple[str, str]]]:
    """Content, and title and artist, of each file that can be read, in their order; stamps by contents; reason and
    detail of the others."""
    from tonearm.datasets.cells import clean_text, is_unknown
    from tonearm.datasets.content import MOST_THREADS, FileReading, read_files

    places: dict[str, dict[str, AnyPath]] = {}
    contents, unread, read = dict[str, str](), dict[str, tuple[str, str]](), dict[str, FileReading]()
    with ThreadPoolExecutor(MOST_THREADS) as pool:
        for file, found in zip(files, pool.map(_look_at, files), strict=True):
            if isinstance(found, tuple):
                unread[file] = found
            elif isinstance(found, str):
                contents[file] = found
            else:
                kind = found.uri.partition("://")[0] if isinstance(found, RemotePath) else ""
                places.setdefault(kind, {})[file] = found
    for kind, some in places.items():
        known, rejects = read_files(some, _shared_folder(kind, list(some.values())), tags=True)
        read |= known
        unread |= {file: (reject.reason, reject.detail) for file, reject in rejects.items()}
    contents |= {file: found.content for file, found in read.items()}
    tags = {}
    for file, reading in read.items():
        said = {name: [clean_text(v) for v in reading.tags.get(name, ())] for name in ("title", "artist")}
        tags[file] = {name: next((v for v in values if not is_unknown(v)), None) for name, values in said.items()}
    in_order = {file: contents[file] for file in files if file in contents}
    stamps = {read[file].content: read[file].stamp for file in in_order if file in read}
    return in_order, tags, stamps, unread


def _shared_folder(kind: str, paths: Sequence[AnyPath]) -> str:
    """The folder, or the URI of one, that all are in; these are of one kind of URI, or local."""
    if not kind:
        return os.path.commonpath([os.path.dirname(path) for path in map(str, paths)])  # noqa: PTH120
    folders = [str(path).partition("://")[2].rpartition("/")[0].strip("/") for path in paths]
    return f"{kind}://{os.path.commonpath(folders)}"


def _look_at(file: str) -> AnyPath | str | tuple[str, str]:
    """A file as it can be read, with what its storage tells of it; of a single file on the web what stands for its
    content, its bytes and the time they were written where that is told, else a digest of them; or why it cannot be
    read."""
    if storage.is_local(file):
        return storage.local_path(file).absolute()
    try:
        if file.partition("://")[0] not in NO_LISTING:
            entry = fresh_info(file)
            size = -1 if entry.get("size") is None else int(entry["size"])
            return RemotePath(file, size, written_at(entry), mark_of(entry))
        size, written = storage.size(file), storage.modified(file)
        if size > 0 and written is not None:
            return digest(file, size, written, size=16)
        data = storage.read_bytes(file)
    except Exception as error:  # every driver has errors of its own
        return "missing", f"cannot be read: {reason_of(error)}"
    return hashlib.blake2b(data, digest_size=16).hexdigest() if data else ("empty", "the file has no bytes")


def _source(file: str) -> str:
    """A file as workers, which have folders of their own, find it."""
    return str(storage.local_path(file).absolute()) if storage.is_local(file) else file


def _is_text(name: str) -> bool:
    return name == _shown(name)


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _counts(set_aside: Mapping[str, tuple[str, str]]) -> str:
    return ", ".join(f"{reason} {n}" for reason, n in Counter(r for r, _ in set_aside.values()).most_common())
