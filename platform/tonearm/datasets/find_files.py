"""The audio files below a folder: what is looked at, and what is not, with a word on it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tonearm.audio.decode import AUDIO_SUFFIXES
from tonearm.core import home, storage
from tonearm.core.errors import DatasetError
from tonearm.core.folder_walk import FolderWalk, is_hidden_name
from tonearm.core.remote_path import AnyPath, RemotePath, list_remote, name_below
from tonearm.datasets.manifest import Reject

#: Music, or sound with a picture, of kinds that are counted where they are not read.
OTHER_KINDS = (
    ".wma", ".m4b", ".m4p", ".m4r", ".mp4", ".m4v", ".mp2", ".mp1", ".mpga", ".mpa", ".ape", ".wv", ".tta", ".tak",
    ".mpc", ".ofr", ".mka", ".mkv", ".webm", ".weba", ".caf", ".au", ".snd", ".w64", ".rf64", ".dsf", ".dff", ".ra",
    ".rm", ".ram", ".amr", ".3gp", ".3ga", ".ac3", ".dts", ".aifc", ".aa", ".aax", ".spx", ".mid", ".midi", ".mod",
    ".xm", ".s3m", ".it", ".avi", ".mov", ".wmv", ".flv", ".mpg", ".mpeg", ".ogv", ".ogx", ".shn", ".voc", ".alac",
)  # fmt: skip
TABLES = (".csv", ".tsv", ".xlsx", ".xls", ".ods", ".numbers")
Kind = Literal["audio", "other", "table"]
KINDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (("audio", AUDIO_SUFFIXES), ("other", OTHER_KINDS), ("table", TABLES))


@dataclass(frozen=True)
class FoundRecordings:
    """What lies below a folder.

    Attributes
    ----------
    files
        Paths of the audio files by their name relative to the folder, sorted; those elsewhere as they were listed.
    rejects
        Those whose name is no text (``bad_name``).
    notes
        What was not looked at: other kinds of files, folders that cannot be read, hidden ones, second links.
    tables
        Names, relative to the folder, of what may be tables on them.
    """

    files: Mapping[str, AnyPath]
    rejects: list[Reject]
    notes: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


def find_recordings(root: str) -> FoundRecordings:
    """The audio files below a folder, to any depth, also through links; each folder and each file once.

    Hidden folders, trash and what systems keep for themselves are left out, and so is Tonearm's own home.

    Parameters
    ----------
    root
        A folder, or the URI of one, which is listed once.

    Raises
    ------
    DatasetError
        If the folder is absent, cannot be listed or holds no audio file.
    """
    if not storage.is_local(root):
        return _find_elsewhere(root)
    folder = storage.local_path(root)
    if not root or not folder.is_dir():
        raise DatasetError(f"AUDIO {root!r} is no folder: give the folder that holds your recordings")
    walk = FolderWalk(folder)
    found, links, other_kinds, tables = list[Path](), list[Path](), Counter[str](), list[str]()
    for base, names in walk:
        for name in names:
            kind = _kind(name)
            if kind == "audio":
                path = base / name
                (links if path.is_symlink() else found).append(path)
            elif kind == "other":
                other_kinds[Path(name.lower()).suffix] += 1
            elif kind == "table":
                tables.append((base / name).relative_to(folder).as_posix())
    kept, doubles = _without_doubles(found, links)
    notes = _notes(walk.unreadable, walk.skipped, other_kinds, doubles)
    paths = sorted([*found, *kept])
    if not paths:
        raise _nothing_found(root, notes)
    files, rejects = dict[str, Path](), []
    for path in paths:
        relative = path.relative_to(folder).as_posix()
        if _is_text(relative):
            files[relative] = path
        else:
            shown = os.fsencode(relative).decode("utf-8", "backslashreplace")
            rejects.append(Reject(track_id=shown, source=shown, stage="scan", reason="bad_name",
                                  detail="its name is not UTF-8: rename it"))  # fmt: skip
    return FoundRecordings(files, rejects, notes, tuple(filter(_is_text, sorted(tables))))


def _find_elsewhere(root: str) -> FoundRecordings:
    """As :func:`find_recordings`, of a folder elsewhere: there are no links."""
    listed, unlisted = list_remote(root)
    if not listed and not unlisted:
        raise DatasetError(f"AUDIO {root!r} holds no files: give the URI of the folder that holds your recordings")
    files, tables, other_kinds = dict[str, RemotePath](), list[str](), Counter[str]()
    own = name_below(home.home(), root)
    skipped = {left_out for name, _ in unlisted if (left_out := _left_out(name, own))}
    for name, path in listed.items():
        if left_out := _left_out(name.rpartition("/")[0], own):
            skipped.add(left_out)
            continue
        kind = _kind(path.name)
        if kind == "audio":
            files[name] = path
        elif kind == "other":
            other_kinds[Path(name.lower()).suffix] += 1
        elif kind == "table":
            tables.append(name)
    notes = _notes([(n, why) for n, why in unlisted if not _left_out(n, own)], skipped, other_kinds, [])
    if not files:
        raise _nothing_found(root, notes)
    if unmarked := [name for name, path in files.items() if not path.mark and path.written is None]:
        notes += (f"{len(unmarked)} file(s) whose storage tells neither a mark nor a time of what they hold, e.g. "
                  f"{unmarked[0]!r}: fetched anew every time",)  # fmt: skip
    return FoundRecordings(files, [], notes, tuple(sorted(tables)))


def _left_out(folder: str, own: str) -> str:
    """The first on the way to a folder that is hidden or the home; "" if none is."""
    names = folder.split("/")
    above = ("/".join(names[: n + 1]) for n in range(len(names)))
    return next((f for f in above if is_hidden_name(f.rpartition("/")[2]) or (own and f == own)), "")


def _kind(name: str) -> Kind | Literal[""]:
    """What a file is by its name: a recording, one of a kind that is not read, maybe a table; "": nothing."""
    lower = name.lower()
    if lower.startswith("."):
        return ""
    for kind, suffixes in KINDS:
        if lower.endswith(suffixes):
            return kind
    return ""


def _nothing_found(root: str, notes: Sequence[str]) -> DatasetError:
    return DatasetError("; ".join([f"no audio below {root!r}: looked for {', '.join(AUDIO_SUFFIXES)}", *notes]))


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


def _notes(
    unreadable: Collection[tuple[str, str]], skipped: Collection[str], other_kinds: Counter[str], doubles: list[Path]
) -> tuple[str, ...]:
    notes = []
    if other_kinds:
        kinds = ", ".join(f"{suffix} {n}" for suffix, n in other_kinds.most_common())
        notes.append(f"{other_kinds.total()} file(s) of kinds that are not read: {kinds}")
    if unreadable:
        place, cause = min(unreadable)
        notes.append(f"{len(unreadable)} folder(s) cannot be read, e.g. {place!r}: {cause}")
    if skipped:
        notes.append(f"{len(skipped)} hidden or system folder(s) not looked at, e.g. {min(skipped)!r}")
    if doubles:
        notes.append(f"{len(doubles)} link(s) to files that are found anyway, e.g. {doubles[0].name!r}: left out")
    return tuple(notes)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of another encoding, which Python keeps as surrogates
        return False
    return True
