"""The audio files below a folder: what is looked at, and what is not, with a word on it."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tonearm.audio.decode import AUDIO_SUFFIXES
from tonearm.core.errors import DatasetError
from tonearm.core.folder_walk import FolderWalk
from tonearm.datasets.manifest import Reject

#: Music, or sound with a picture, of kinds that are counted where they are not read.
OTHER_KINDS = (
    ".wma", ".m4b", ".m4p", ".m4r", ".mp4", ".m4v", ".mp2", ".mp1", ".mpga", ".mpa", ".ape", ".wv", ".tta", ".tak",
    ".mpc", ".ofr", ".mka", ".mkv", ".webm", ".weba", ".caf", ".au", ".snd", ".w64", ".rf64", ".dsf", ".dff", ".ra",
    ".rm", ".ram", ".amr", ".3gp", ".3ga", ".ac3", ".dts", ".aifc", ".aa", ".aax", ".spx", ".mid", ".midi", ".mod",
    ".xm", ".s3m", ".it", ".avi", ".mov", ".wmv", ".flv", ".mpg", ".mpeg", ".ogv", ".ogx", ".shn", ".voc", ".alac",
)  # fmt: skip
TABLES = (".csv", ".tsv", ".xlsx", ".xls", ".ods", ".numbers")


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
    tables
        Names, relative to the folder, of what may be tables on them.
    """

    files: dict[str, Path]
    rejects: list[Reject]
    notes: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


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
    found, links, other_kinds, tables = list[Path](), list[Path](), Counter[str](), list[str]()
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
            elif lower.endswith(TABLES):
                tables.append((base / name).relative_to(folder).as_posix())
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
    return FoundRecordings(files, rejects, notes, tuple(filter(_is_text, sorted(tables))))


def _without_doubles(found: list[Path], links: list[Path]) -> tuple[list[Path], list[Path]]:
    """The links to files that are not found anyway, and the others."""
    if not links:
        return [], []
    seen = set[tuple[int, int]]()
    for path in found:
        with suppress(OSError):  # it is gone meanwhile
            seen.add(_identity(path))
    kept, doubles = list[Path](), list[Path]()
    for link in sorted(links):
        try:
            identity = _identity(link)
        except OSError:  # it leads nowhere: set aside as missing later
            kept.append(link)
            continue
        (doubles if identity in seen else kept).append(link)
        seen.add(identity)
    return kept, doubles


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _notes(walk: FolderWalk, other_kinds: Counter[str], doubles: list[Path]) -> tuple[str, ...]:
    notes = []
    if other_kinds:
        kinds = ", ".join(f"{suffix} {n}" for suffix, n in other_kinds.most_common())
        notes.append(f"{other_kinds.total()} file(s) of kinds that are not read: {kinds}")
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
