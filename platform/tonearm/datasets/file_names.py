"""Which file a table's text means: by its path, or by what else names it alone."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Literal
from urllib.parse import unquote

from tonearm.audio.decode import AUDIO_SUFFIXES
from tonearm.datasets.find_files import OTHER_KINDS

Rank = Literal[0, 1, 2]
"""How a text names a file: 0 by its path, 1 by a part or another spelling of it, 2 by its stem."""
ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
"""A drive letter, or the scheme of a URI."""
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
        self._by_base: tuple[dict[str, list[tuple[str, str]]], ...] = tuple(defaultdict(list) for _ in FOLDS)
        self._by_stem: tuple[dict[str, list[tuple[str, str]]], ...] = tuple(defaultdict(list) for _ in FOLDS)
        for file in sorted(self._files):
            for fold, bases, stems in zip(FOLDS, self._by_base, self._by_stem, strict=True):
                folded = fold(file)
                _add(bases, folded, file)
                _add(stems, _stem(folded), file)

    def find(self, name: str) -> tuple[list[str], Rank]:
        """The files that a text may mean, one if it is clear which; and how it names them.

        It names a file by the path, with backslashes, too; by the end of the path (``a.mp3`` for ``rock/a.mp3``), or
        by a longer one that ends in it (an absolute one, also of another machine); by either without the suffix.
        What is written just so counts before what differs in composed letters or in case.
        """
        name = name.removeprefix("./")
        if name in self._files:
            return [name], 0
        plain = plain_path(unquote(name.removeprefix("file://")) if name.startswith("file://") else name)
        for fold, bases in zip(FOLDS, self._by_base, strict=True):
            if fitting := _fitting(fold(plain), bases):
                return fitting, 1
        for wanted in dict.fromkeys([plain, _stem(plain)]):  # a converted file has another suffix
            for fold, stems in zip(FOLDS, self._by_stem, strict=True):
                if fitting := _fitting(fold(wanted), stems):
                    return fitting, 2
        return [], 0


def plain_path(name: str) -> str:
    """A path with slashes, single ones, without ``./``."""
    return re.sub(r"/{2,}|/\./", "/", name.replace("\\", "/")).removeprefix("./").rstrip("/")


def relative_prefix(name: str, file: str) -> str:
    """What a relative path has in front of the file that it ends in: "" where nothing, or where it is absolute."""
    plain = plain_path(name)
    if plain.startswith("/") or ABSOLUTE.match(plain):
        return ""
    return "/".join(plain.split("/")[: -1 - file.count("/")])


def _add(there: dict[str, list[tuple[str, str]]], folded: str, file: str) -> None:
    """Enter a file by its last part, and by its last two, so that few of many namesakes are looked at."""
    there[_base(folded)].append((folded, file))
    there[_last_two(f"/{folded}")].append((folded, file))


def _fitting(wanted: str, there: dict[str, list[tuple[str, str]]]) -> list[str]:
    """Files whose path ends in what is wanted; or else the longest that it ends in."""
    if not wanted:
        return []
    if "/" not in wanted:
        near = there.get(wanted, [])
        return [file for folded, file in near if folded == wanted] or [file for _, file in near]
    near = there.get(_last_two(wanted), [])
    ends = [file for folded, file in near if f"/{folded}".endswith(f"/{wanted}")]
    if ends:
        same = [file for folded, file in near if folded == wanted]
        return same or ends
    alone = f"/{_base(wanted)}"  # a file in the folder itself
    inside = [(f, file) for f, file in [*near, *there.get(alone, [])] if wanted.endswith(f"/{f}")]
    longest = max((len(folded) for folded, _ in inside), default=0)
    return list(dict.fromkeys(file for folded, file in inside if len(folded) == longest))


def _last_two(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    """A path without the suffix of an audio file."""
    dot = path.rfind(".")
    return path[:dot] if dot > 0 and path[dot:].lower() in (*AUDIO_SUFFIXES, *OTHER_KINDS) else path
