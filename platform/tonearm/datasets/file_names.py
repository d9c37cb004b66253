"""Which file a table's text means: by its path, or by what else names it alone."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import unquote

from tonearm.audio.decode import AUDIO_SUFFIXES
from tonearm.datasets.find_files import OTHER_KINDS

Rank = Literal[0, 1, 2]
"""How a text names a file: 0 by its path, 1 by a part or another spelling of it, 2 by its stem."""
ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
"""A drive letter, or the scheme of a URI."""
SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")
QUOTES = "'\"\u2018\u2019\u201c\u201d\u201e\xab\xbb` "
FOLDS: tuple[Callable[[str], str], ...] = (
    lambda text: text,
    lambda text: unicodedata.normalize("NFC", text),
    lambda text: unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()),
)
"""Ever laxer: as written, composed and decomposed letters alike, capital and small letters alike."""


class FileNames:
    """Files by what tables call them: their path, its end, or their stem.

    Parameters
    ----------
    files
        Paths relative to their common folder, with slashes.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._files = frozenset(files)
        self.example = min(self._files, default="")
        self._indices: dict[tuple[int, bool], _Index] = {}
        self._last_parts: frozenset[str] = frozenset()

    def find(self, name: str) -> tuple[Sequence[str], Rank]:
        """The files that a text may mean, one if it is clear which; and how it names them.

        It names a file by the path, with backslashes, too; by the end of the path (``a.mp3`` for ``rock/a.mp3``), or
        by a longer one that ends in it (an absolute one, also of another machine); by either without the suffix.
        What is written just so counts before what differs in composed letters or in case, and that before what is
        in quotes or has ``%20`` for spaces.
        """
        name = name.removeprefix("./")
        if name in self._files:
            return [name], 0
        if name.startswith("file://"):
            name = unquote(name.removeprefix("file://"))
        if not self._last_parts:
            self._last_parts = frozenset(part for file in self._files for part in _last_parts(file))
        for plain in dict.fromkeys(map(plain_path, (name, name.strip(QUOTES), unquote(name)))):
            if self._last_parts.isdisjoint(_last_parts(plain)):  # no index has it: a line of lyrics is told at once
                continue
            for fold in range(len(FOLDS)):
                if fitting := self._index(fold, False).fitting(FOLDS[fold](plain)):
                    same = fold < len(FOLDS) - 1 and any(
                        FOLDS[fold](file) == FOLDS[fold](plain) for file in fitting[:2]
                    )
                    return fitting, 0 if same else 1
            for wanted in dict.fromkeys([plain, _stem(plain), _without_suffix(plain)]):  # converted, or of features
                for fold in range(len(FOLDS)):
                    if fitting := self._index(fold, True).fitting(FOLDS[fold](wanted)):
                        return fitting, 2
        return [], 0

    def _index(self, fold: int, of_stems: bool) -> _Index:
        """Made when it is first needed: most tables write all paths as they are."""
        if (fold, of_stems) not in self._indices:
            change = FOLDS[fold]
            known = {file: _stem(change(file)) if of_stems else change(file) for file in sorted(self._files)}
            self._indices[fold, of_stems] = _Index(known)
        return self._indices[fold, of_stems]


class _Index:
    """Files by their whole path, and by each end of it, so that no row looks at all namesakes."""

    def __init__(self, path_of: Mapping[str, str]) -> None:
        self._whole: dict[str, list[str]] = defaultdict(list)
        self._ends: dict[str, list[str]] = defaultdict(list)
        for file, path in path_of.items():
            self._whole[path].append(file)
            for end in _ends(path):
                self._ends[end].append(file)

    def fitting(self, wanted: str) -> Sequence[str]:
        """Files whose path is what is wanted, or ends in it; or else the longest that it ends in."""
        if not wanted:
            return []
        for there, ends in ((self._whole, [wanted]), (self._ends, [wanted]), (self._whole, _ends(wanted))):
            if found := next((there[end] for end in ends if end in there), None):
                return found
        return []


def _ends(path: str) -> list[str]:
    """``b/c`` and ``c`` of ``a/b/c``, the longest first."""
    parts = path.split("/")
    return ["/".join(parts[n:]) for n in range(1, len(parts))]


def _last_parts(path: str) -> set[str]:
    """The last part of a path, with and without its suffix, in the laxest form: those that mean one file share one."""
    return {FOLDS[-1](form).rpartition("/")[2] for form in (path, _stem(path), _without_suffix(path))}


def plain_path(name: str) -> str:
    """A path with slashes, single ones, without ``./``."""
    return re.sub(r"/{2,}|/\./", "/", name.replace("\\", "/")).removeprefix("./").rstrip("/")


def relative_prefix(name: str, file: str) -> str:
    """What a relative path has in front of the file that it ends in: "" where nothing, or where it is absolute."""
    plain = plain_path(name)
    if plain.startswith("/") or ABSOLUTE.match(plain):
        return ""
    return "/".join(plain.split("/")[: -1 - file.count("/")])


def _stem(path: str) -> str:
    """A path without the suffix of an audio file."""
    dot = path.rfind(".")
    return path[:dot] if dot > 0 and path[dot:].lower() in (*AUDIO_SUFFIXES, *OTHER_KINDS) else path


def _without_suffix(path: str) -> str:
    """A path without a suffix of any kind, such as ``.npy`` of features or ``.png`` of a picture of them."""
    return SUFFIX.sub("", path)
