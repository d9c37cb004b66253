"""What a home holds that nothing needs any more: found, listed, and deleted when that is asked for."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tonearm.core import home, storage
from tonearm.core.errors import JobError, TonearmError
from tonearm.core.home_use import DELETING, using_home
from tonearm.core.lock import running_driver
from tonearm.core.text import command, format_size, format_table
from tonearm.datasets.manifest import manifest_leftovers
from tonearm.tracking.overview import overview
from tonearm.workflows.home_catalogues import GONE, UNKNOWN, list_catalogues
from tonearm.workflows.job_processes import find_jobs
from tonearm.workflows.spare_features import AGE_UNKNOWN, Leftover, spare_features, whole_folder
from tonearm.workflows.trial_library import kept_leftovers

HOUR = 3600.0
PLACES_SHOWN = 12
BLOCK_NAME = re.compile(r"(^|/)[0-9a-f]{16}(\.npz|\.parquet|/bundle/[^/]+)$")
TEMPORARY = re.compile(r"tonearm-([0-9a-f]{32}\.tmp|attempts-[0-9a-f]{32}|error-\w+\.txt)")


@dataclass(frozen=True)
class Cleaning:
    """What was found in a home.

    Attributes
    ----------
    leftovers
        What is not needed; if it was to be deleted, what is gone now.
    notes
        What was left alone, and why.
    deleted
        Whether it was to be deleted.
    failed
        What could not be deleted, and why.
    """

    home: str
    leftovers: tuple[Leftover, ...]
    notes: tuple[str, ...]
    deleted: bool
    failed: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(found.bytes for found in self.leftovers)

    def __str__(self) -> str:
        counts, sizes = Counter[str](), Counter[str]()
        for found in self.leftovers:
            counts[found.kind] += found.count
            sizes[found.kind] += found.bytes
        rows = [
            ("what", "how many", "bytes"),
            *((kind, str(n), format_size(sizes[kind])) for kind, n in counts.items()),
        ]
        rows += [("in all", "", format_size(self.bytes))]
        places = list(dict.fromkeys(found.place for found in self.leftovers))
        if len(places) > PLACES_SHOWN:
            places = [*places[:PLACES_SHOWN], f"and {len(places) - PLACES_SHOWN} more places"]
        lines = [f"home {self.home}"]
        lines += [format_table(rows), *(f"  {place}" for place in places)] if self.leftovers else []
        lines += [f"  note: {note}" for note in self.notes]
        lines += [f"  could not be deleted: {failure}" for failure in self.failed]
        if not self.leftovers and not self.failed:
            return "\n".join([*lines, "nothing is here that is not needed"])
        gone = f"deleted, but for {len(self.failed)} that could not be" if self.failed else "deleted"
        end = gone if self.deleted else f"nothing is deleted yet: {command('clean', '--yes')} deletes this"
        return "\n".join([*lines, end])


def clean(*, delete: bool = False, hours: float = 24.0) -> Cleaning:
    """Find what is not needed: features of recordings that no data set or sweep of the home has any more, stores
    and tables of earlier versions, side files of earlier manifests, predictions that would be made again, files that
    killed jobs did not finish, catalogues whose model is gone.

    Models, trials, bundles, reports and MLflow's files are never touched.

    Parameters
    ----------
    delete
        Whether to delete it, too.
    hours
        Younger files are left alone, and those of which no age is known: a job elsewhere may be writing them.

    Raises
    ------
    JobError
        If it is to be deleted while a job runs on this home.
    """
    if not delete:
        notes: list[str] = []
        return Cleaning(home.home(), _find(HOUR * hours, notes), tuple(notes), deleted=False)
    _require_idle()
    with using_home(DELETING):
        notes = []
        return _delete(_find(HOUR * hours, notes), notes)


def _find(seconds: float, notes: list[str]) -> tuple[Leftover, ...]:
    return (*spare_features(seconds, notes), *_side_files(notes), *_predictions(seconds), *_temporary(seconds, notes),
            *_catalogues(seconds, notes))  # fmt: skip


def _catalogues(seconds: float, notes: list[str]) -> Iterator[Leftover]:
    """Those that nothing recommends from, since their model is gone."""
    try:
        models = overview().models
    except (TonearmError, OSError) as error:
        notes.append(f"catalogues are left alone, since it cannot be told which models there are: {error}")
        return
    for found in list_catalogues(models, notes):
        if found.state == UNKNOWN:
            notes.append(f"the catalogue {found.uri} is left alone: it does not say of which model it is, or it cannot "
                         "be seen from here; tonearm index with its model writes it down")  # fmt: skip
        elif found.state == GONE:
            yield from whole_folder("catalogues whose model is gone", found.uri, seconds, notes)


def _delete(found: Sequence[Leftover], notes: Sequence[str]) -> Cleaning:
    gone, failed = [], []
    for leftover in found:
        try:
            leftover.remove()
        except (OSError, TonearmError, ValueError) as error:
            failed.append(f"{leftover.place}: {error}")
        else:
            gone.append(leftover)
    return Cleaning(home.home(), tuple(gone), tuple(notes), True, tuple(failed))


def _require_idle() -> None:
    running = [f"{job.job} (process {job.pid})" for job in find_jobs() if job.pid != os.getpid()]
    sweeps = storage.list_folders(home.trials_home())
    running += [f"sweep {s}" for s in sweeps if running_driver(storage.join(home.trials_home(), s))]
    if running:
        raise JobError(f"{', '.join(running)} runs on this home and may need what is deleted: wait until it has ended")


def _side_files(notes: list[str]) -> Iterator[Leftover]:
    try:
        folders = _manifest_folders()
    except OSError as error:
        notes.append(f"side files of manifests are left alone: {error}")
        return
    sources = [partial(manifest_leftovers, storage.join(folder, "manifest.parquet")) for folder in folders]
    sources += [partial(kept_leftovers, name) for name in storage.list_folders(home.data_root())]
    for source in sources:
        try:
            leftovers = source()
        except (TonearmError, OSError) as error:
            notes.append(str(error))
            continue
        for place in leftovers:
            yield Leftover("side files of earlier manifests", place, 1, max(0, storage.size(place)),
                           partial(storage.remove, place))  # fmt: skip


def _predictions(seconds: float) -> Iterator[Leftover]:
    """Blocks of whole data sets, of which what was selected holds what it needs, and answers for files."""
    for place, size, age in storage.list_below(home.predictions_home(), BLOCK_NAME):
        if age is not None and age >= seconds:
            yield Leftover("predictions that can be made again", place, 1, size, partial(storage.remove, place))


def _manifest_folders() -> list[str]:
    """The folders with a manifest: of data sets and of sweeps."""
    roots = (home.data_root(), home.trials_home())
    folders = [storage.join(root, name) for root in roots for name in storage.list_folders(root)]
    return [folder for folder in folders if storage.exists(storage.join(folder, "manifest.parquet"))]


def _temporary(seconds: float, notes: list[str]) -> Iterator[Leftover]:
    kind = "files that were not finished"
    for place, size, age in storage.list_temporary(home.home()):
        if age is None:
            notes.append(f"{place} is left alone: {AGE_UNKNOWN}")
        elif age >= seconds:
            yield Leftover(kind, place, 1, size, partial(storage.remove, place))
    for path in Path(tempfile.gettempdir()).glob("tonearm-*"):
        if not TEMPORARY.fullmatch(path.name):
            continue
        try:
            status = path.lstat()
            least = max(seconds, HOUR)  # it may be of a job on another home
            if status.st_uid != os.getuid() or time.time() - status.st_mtime <= least:
                continue
            size = sum(p.stat().st_size for p in path.iterdir()) if path.is_dir() else status.st_size
        except OSError:  # it has just gone
            continue
        yield Leftover(f"{kind}, in {tempfile.gettempdir()}", str(path), 1, size, partial(_remove, path))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
