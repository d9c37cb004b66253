"""The audio files below a folder: what is looked at, and what is not, with a word on it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tonearm.audio.decode import AUDIO_SUFFIXES
from tonearm.core import home, storage
from tonearm.core.errors import DatasetError
from tonearm.datasets.manifest import Reject

#: Folders that systems, servers and archives make: trash, thumbnails, resource forks, snapshots.
SYSTEM_FOLDERS = frozenset({
    "@eadir", "@recycle", "#recycle", "$recycle.bin", "recycler", "recycled", "__macosx", "system volume information",
    "lost+found", "#snapshot", "@recently-snapshot", "@tmp", "@appdata", "network trash folder", "temporary items",
    "$trash", "trash-1000",
})  # fmt: skip
#: Music, or sound with a picture, of kinds that are counted where they are not read.
OTHER_KINDS = (
    ".wma", ".m4b", ".m4p", ".m4r", ".mp4", ".m4v", ".mp2", ".mp1", ".mpga", ".mpa", ".ape", ".wv", ".tta", ".tak",
    ".mpc", ".ofr", ".mka", ".mkv", ".webm", ".weba", ".caf", ".au", ".snd", ".w64", ".rf64", ".dsf", ".dff", ".ra",
    ".rm", ".ram", ".amr", ".3gp", ".3ga", ".ac3", ".dts", ".aifc", ".aa", ".aax", ".spx", ".mid", ".midi", ".mod",
    ".xm", ".s3m", ".it", ".avi", ".mov", ".wmv", ".flv", ".mpg", ".mpeg", ".ogv", ".ogx", ".shn", ".voc", ".alac",
)  # fmt: skip


@dataclass(frozen=True)
class FoundRecordings:
    """What lies below a folder.

    Attributes
    ----------
    files
        Paths of the audio files by their name relative to the folder, sorted.
    rejects
        Those whose name is no text (``bad_name``).
    notes
        What was not looked at: other kinds of files, folders that cannot be read, hidden ones, second links.
    """

    files: dict[str, Path]
    rejects: list[Reject]
    notes: tuple[str, ...] = ()


def find_recordings(root: str) -> FoundRecordings:
    """The audio files below a folder, to any depth, also through links; each folder and each file once.

    Hidden folders, trash and what systems keep for themselves are left out, and so is Tonearm's own home.

    Raises
    ------
    DatasetError
        If the folder is absent or holds no audio file.
    """
    folder = Path(root)
    if not root or not folder.is_dir():
        raise DatasetError(f"AUDIO {root!r} is no folder: give the folder that holds your recordings")
    walk = FolderWalk(folder)
    found, links, other_kinds = list[Path](), list[Path](), Counter[str]()
    for base, names in walk:
        for name in names:
            lower = name.lower()
            if name.startswith("."):
                continue
            if lower.endswith(AUDIO_SUFFIXES):
                path = base / name
                (links if path.is_symlink() else found).append(path)
            elif lower.endswith(OTHER_KINDS):
                other_kinds[Path(lower).suffix] += 1
    kept, doubles = _without_doubles(found, links)
    notes = _notes(walk, other_kinds, doubles)
    paths = sorted([*found, *kept])
    if not paths:
        raise DatasetError("; ".join([f"no audio below {root!r}: looked for {', '.join(AUDIO_SUFFIXES)}", *notes]))
    files, rejects = {}, []
    for path in paths:
        relative = path.relative_to(folder).as_posix()
        if _is_text(relative):
            files[relative] = path
        else:
            shown = os.fsencode(relative).decode("utf-8", "backslashreplace")
            rejects.append(Reject(track_id=shown, source=shown, stage="scan", reason="bad_name",
                                  detail="its name is not UTF-8: rename it"))  # fmt: skip
    return FoundRecordings(files, rejects, notes)


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


def is_left_out(folder: Path) -> bool:
    """Whether a folder is none of the user's music: hidden, trash, made by a system, or Tonearm's own home."""
    name = folder.name
    if name.startswith(".") or name.casefold() in SYSTEM_FOLDERS:
        return True
    own = home.home()
    place = storage.local_path(own) if storage.is_local(own) else None
    return place is not None and place.name == name and place.absolute() == folder.absolute()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _without_doubles(found: list[Path], links: list[Path]) -> tuple[list[Path], list[Path]]:
    """The links to files that are not found anyway, and the others."""
    if not links:
        return [], []
    seen = {(s.st_dev, s.st_ino) for s in map(Path.stat, found)}
    kept, doubles = list[Path](), list[Path]()
    for link in sorted(links):
        try:
            status = link.stat()
        except OSError:  # it leads nowhere: set aside as missing later
            kept.append(link)
            continue
        (doubles if (status.st_dev, status.st_ino) in seen else kept).append(link)
        seen.add((status.st_dev, status.st_ino))
    return kept, doubles


def _notes(walk: FolderWalk, other_kinds: Counter[str], doubles: list[Path]) -> tuple[str, ...]:
    notes = []
    if other_kinds:
        kinds = ", ".join(f"{suffix} {n}" for suffix, n in other_kinds.most_common())
        notes.append(f"{other_kinds.total()} file(s) not read, of kinds that are not: {kinds}")
    if walk.unreadable:
        place, cause = min(walk.unreadable)
        notes.append(f"{len(walk.unreadable)} folder(s) cannot be read, e.g. {place!r}: {cause}")
    if walk.skipped:
        notes.append(f"{len(walk.skipped)} hidden or system folder(s) not looked at, e.g. {min(walk.skipped)!r}")
    if doubles:
        notes.append(f"{len(doubles)} link(s) to files that are found anyway, e.g. {doubles[0].name!r}: left out")
    return tuple(notes)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of another encoding, which Python keeps as surrogates
        return False
    return True
