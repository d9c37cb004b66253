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
                bases[_base(folded)].append((folded, file))
                stems[_base(_stem(folded))].append((_stem(folded), file))

    def find(self, name: str) -> tuple[list[str], Rank]:
        """The files that a text may mean, one if it is clear which; and how it names them.

        It names a file by the path, with backslashes, too; by the end of the path (``a.mp3`` for ``rock/a.mp3``), or
        by a longer one that ends in it (an absolute one, also of another machine); by either without the suffix.
        What is written just so counts before what differs in composed letters or in case.
        """
        name = name.removeprefix("./")
        if name in self._files:
            return [name], 0
        plain = unquote(name.removeprefix("file://")) if name.startswith("file://") else name
        plain = re.sub(r"/{2,}|/\./", "/", plain.replace("\\", "/")).removeprefix("./").rstrip("/")
        for fold, bases in zip(FOLDS, self._by_base, strict=True):
            if fitting := _fitting(fold(plain), bases):
                return fitting, 1
        for wanted in dict.fromkeys([plain, _stem(plain)]):  # a converted file has another suffix
            for fold, stems in zip(FOLDS, self._by_stem, strict=True):
                if fitting := _fitting(fold(wanted), stems):
                    return fitting, 2
        return [], 0


def _fitting(wanted: str, by_base: dict[str, list[tuple[str, str]]]) -> list[str]:
    """Files whose path ends in what is wanted; or else the longest that it ends in."""
    there = by_base.get(_base(wanted), []) if wanted else []
    ends = [file for folded, file in there if f"/{folded}".endswith(f"/{wanted}")]
    if ends:
        same = [file for folded, file in there if folded == wanted]
        return same or ends
    inside = [(folded, file) for folded, file in there if wanted.endswith(f"/{folded}")]
    longest = max((len(folded) for folded, _ in inside), default=0)
    return [file for folded, file in inside if len(folded) == longest]


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    """A path without the suffix of an audio file."""
    dot = path.rfind(".")
    return path[:dot] if dot > 0 and path[dot:].lower() in (*AUDIO_SUFFIXES, *OTHER_KINDS) else path
