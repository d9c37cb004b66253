"""What a home holds that nothing needs any more: found, listed, and deleted when that is asked for."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tonearm.core import home, storage
from tonearm.core.errors import JobError, TonearmError
from tonearm.core.lock import running_driver
from tonearm.core.text import command, format_table
from tonearm.datasets.manifest import manifest_leftovers
from tonearm.workflows.job_processes import find_jobs
from tonearm.workflows.spare_features import Leftover, spare_features

HOUR = 3600.0
PLACES_SHOWN = 12
TEMPORARY = re.compile(r"tonearm-([0-9a-f]{32}\.tmp|attempts-[0-9a-f]{32}|error-\w+\.txt)")


@dataclass(frozen=True)
class Cleaning:
    """What was found in a home.

    Attributes
    ----------
    notes
        What was left alone, and why.
    deleted
        Whether it is gone now.
    """

    home: str
    leftovers: tuple[Leftover, ...]
    notes: tuple[str, ...]
    deleted: bool

    @property
    def bytes(self) -> int:
        return sum(found.bytes for found in self.leftovers)

    def __str__(self) -> str:
        counts, sizes = Counter[str](), Counter[str]()
        for found in self.leftovers:
            counts[found.kind] += found.count
            sizes[found.kind] += found.bytes
        rows = [("what", "how many", "bytes"), *((kind, str(n), _size(sizes[kind])) for kind, n in counts.items())]
        rows += [("in all", "", _size(self.bytes))]
        places = list(dict.fromkeys(found.place for found in self.leftovers))
        if len(places) > PLACES_SHOWN:
            places = [*places[:PLACES_SHOWN], f"and {len(places) - PLACES_SHOWN} more places"]
        lines = [f"home {self.home}"]
        lines += [format_table(rows), *(f"  {place}" for place in places)] if self.leftovers else []
        lines += [f"  note: {note}" for note in self.notes]
        if not self.leftovers:
            return "\n".join([*lines, "nothing is here that is not needed"])
        end = "deleted" if self.deleted else f"nothing is deleted yet: {command('clean', '--yes')} deletes this"
        return "\n".join([*lines, end])


def clean(*, delete: bool = False, hours: float = 24.0) -> Cleaning:
    """Find what is not needed: features of recordings that no data set or sweep of the home has any more, stores
    and tables of earlier versions, side files of earlier manifests, files that killed jobs did not finish.

    Models, trials, bundles, reports and MLflow's files are never touched.

    Parameters
    ----------
    delete
        Whether to delete it, too.
    hours
        Younger files are left alone: a job elsewhere may be writing them.

    Raises
    ------
    JobError
        If it is to be deleted while a job runs on this home.
    """
    if delete:
        _require_idle()
    notes: list[str] = []
    found = (*spare_features(HOUR * hours, notes), *_side_files(notes), *_temporary(HOUR * hours))
    if delete:
        for leftover in found:
            leftover.remove()
    return Cleaning(home.home(), found, tuple(notes), delete)


def _require_idle() -> None:
    running = [f"{job.job} (process {job.pid})" for job in find_jobs() if job.pid != os.getpid()]
    sweeps = storage.list_folders(home.trials_home())
    running += [f"sweep {s}" for s in sweeps if running_driver(storage.join(home.trials_home(), s))]
    if running:
        raise JobError(f"{', '.join(running)} runs on this home and may need what is deleted: wait until it has ended")


def _side_files(notes: list[str]) -> Iterator[Leftover]:
    for folder in _manifest_folders():
        try:
            leftovers = manifest_leftovers(storage.join(folder, "manifest.parquet"))
        except TonearmError as error:
            notes.append(str(error))
            continue
        for place in leftovers:
            yield Leftover("side files of earlier manifests", place, 1, max(0, storage.size(place)),
                           partial(storage.remove, place))  # fmt: skip


def _manifest_folders() -> list[str]:
    """The folders with a manifest: of data sets and of sweeps."""
    roots = (home.data_root(), home.trials_home())
    folders = [storage.join(root, name) for root in roots for name in storage.list_folders(root)]
    return [folder for folder in folders if storage.exists(storage.join(folder, "manifest.parquet"))]


def _temporary(seconds: float) -> Iterator[Leftover]:
    kind = "files that were not finished"
    for place, size, age in storage.list_temporary(home.home()):
        if age is None or age > seconds:
            yield Leftover(kind, place, 1, size, partial(storage.remove, place))
    for path in Path(tempfile.gettempdir()).glob("tonearm-*"):
        if not TEMPORARY.fullmatch(path.name):
            continue
        try:
            status = path.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime <= seconds:
                continue
            size = sum(p.stat().st_size for p in path.iterdir()) if path.is_dir() else status.st_size
        except OSError:  # it has just gone
            continue
        remove = (
            partial(shutil.rmtree, path, ignore_errors=True) if path.is_dir() else partial(path.unlink, missing_ok=True)
        )
        yield Leftover(f"{kind}, in {tempfile.gettempdir()}", str(path), 1, size, remove)


def _size(count: int) -> str:
    """Bytes for people."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
