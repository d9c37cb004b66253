"""The folders below one, as a person means them: links are followed once, trash and hidden folders are left out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tonearm.core import home, storage

#: Folders that systems, servers and archives make: trash, thumbnails, resource forks, snapshots.
SYSTEM_FOLDERS = frozenset({
    "@eadir", "@recycle", "#recycle", "$recycle.bin", "recycler", "recycled", "__macosx", "system volume information",
    "lost+found", "#snapshot", "@recently-snapshot", "@tmp", "@appdata", "network trash folder", "temporary items",
    "$trash", "trash-1000",
})  # fmt: skip


@dataclass
class FolderWalk:
    """The folders below one, each with the names of its files, links followed; each folder once, loops end.

    Attributes
    ----------
    folder
        Where it begins.
    skipped, unreadable
        After the walk: folders left out, and those that cannot be read, with the cause; relative to ``folder``.
    """

    folder: Path
    skipped: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[Path, list[str]]]:
        own = self.folder.resolve()
        seen = {(s.st_dev, s.st_ino) for s in map(Path.stat, own.parents)}  # a link to one of them is a loop
        pending, links = [self.folder], list[Path]()
        while pending or links:
            links.sort(reverse=True)  # real folders first: a link to one of them is its double
            base = pending.pop() if pending else links.pop()
            try:
                status = base.stat()
                with os.scandir(base) as entries:
                    inside = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self.unreadable.append((self._shown(base), error.strerror or str(error)))
                continue
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            names = []
            for entry in inside:
                if not _is_folder(entry):
                    names.append(entry.name)
                elif is_left_out(Path(entry.path)):
                    self.skipped.append(self._shown(Path(entry.path)))
                else:
                    (links if entry.is_symlink() else pending).append(Path(entry.path))
            yield base, names

    def _shown(self, path: Path) -> str:
        return os.fsencode(path.relative_to(self.folder)).decode("utf-8", "backslashreplace")


def is_hidden_name(name: str) -> bool:
    """Whether a folder of this name is hidden, trash or made by a system."""
    return name.startswith(".") or name.casefold() in SYSTEM_FOLDERS


def is_left_out(folder: Path) -> bool:
    """Whether a folder is none of the user's music: hidden, trash, made by a system, or Tonearm's own home."""
    name = folder.name
    if is_hidden_name(name):
        return True
    own = home.home()
    place = storage.local_path(own) if storage.is_local(own) else None
    return place is not None and place.name == name and place.absolute() == folder.absolute()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
