"""The text of a CSV file, as spreadsheets and programs write it: its encoding, its separator, an open quote."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tonearm.core.errors import DatasetError
from tonearm.core.remote_path import AnyPath
from tonearm.datasets.text_encodings import NAMES, guess_encoding

if TYPE_CHECKING:
    from _csv import Reader

SEPARATORS = (",", ";", "\t", "|")
SEP_LINE = re.compile(r'\s*"?sep *= *(\\t|\t|[^\s"])"?[,;| \t]*(?:\r\n|\n|\r)', re.IGNORECASE)
"""Excel's first line: which separator follows."""
BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
                    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
QUOTED = re.compile(r'"(?:[^"]|"")*"')
LOOKED_AT = 10
"""Lines by which the separator is found."""
LEAST_ZEROS = 0.1
"""Of the bytes of UTF-16 with Latin letters in its header; a text with a stray zero byte has fewer."""


@dataclass(frozen=True)
class CsvText:
    """The lines of a CSV file from its header on.

    Attributes
    ----------
    text
        Decoded.
    separator
        Between fields.
    encoding
        That was found.
    zeros
        Zero bytes that are no part of it and were left out.
    """

    text: str
    separator: str
    encoding: str
    zeros: int = 0

    @property
    def guessed(self) -> bool:
        """Whether the encoding is a guess: nothing in the file says it, and it is not UTF-8."""
        return self.encoding in NAMES

    @property
    def spaced(self) -> bool:
        """Whether a space follows the separators, as people type; it is then no part of the fields."""
        header = header_line(self.text)
        return self.separator != "\t" and f"{self.separator} " in header

    def header(self) -> list[str]:
        """The names of the columns as they are written, repeated ones too."""
        return next(csv_reader(self.text.lstrip("\r\n"), self.separator, self.spaced), [])


def header_line(text: str) -> str:
    """The first line that is not empty."""
    return next(iter(text.lstrip("\r\n")[:100_000].splitlines()), "")


def csv_reader(text: str, separator: str = ",", spaced: bool = False) -> Reader:
    """Python's reader of a CSV text, without its limit of 131 072 characters a field: lyrics may have more."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=spaced)


def read_csv_text(path: AnyPath) -> CsvText:
    """Decode a CSV file in UTF-8 or UTF-16, or in the encoding that is the likeliest.

    A first line ``sep=;`` is obeyed, lines that are each one quoted field (a CSV that was saved as CSV once more) are
    unpacked, zero bytes and the end-of-file mark of DOS are left out.

    Raises
    ------
    OSError
        If it cannot be read.
    DatasetError
        If it is no text.
    """
    raw = path.read_bytes()
    encoding = _encoding(raw)
    zeros = 0 if encoding.startswith(("utf-16", "utf-32")) else raw.count(b"\0")
    if not encoding or zeros > LEAST_ZEROS * len(raw):
        raise DatasetError(f"{path} is no text in UTF-8, UTF-16 or another known encoding: save it as UTF-8")
    try:
        text = (raw.replace(b"\0", b"") if zeros else raw).decode(encoding).strip("\ufeff").rstrip("\x1a")
    except UnicodeDecodeError:
        raise DatasetError(f"{path} is no text in UTF-8, UTF-16 or another known encoding: save it as UTF-8") from None
    if said := SEP_LINE.match(text):
        return CsvText(text[said.end() :], said[1].replace("\\t", "\t"), encoding, zeros)
    if (one := QUOTED.fullmatch(header_line(text))) and any(s in one[0] for s in SEPARATORS):
        text = "\n".join(fields[0] for fields in csv_reader(text) if fields)
    return CsvText(text, _separator(text), encoding, zeros)


def _separator(text: str) -> str:
    """What most of the first lines have as many of as the header; quoted fields do not count."""
    lines = [QUOTED.sub("", line) for line in text.lstrip("\r\n")[:100_000].splitlines()[:LOOKED_AT] if line.strip()]

    def fits(separator: str) -> tuple[int, int]:
        counts = [line.count(separator) for line in lines]
        return (sum(n == counts[0] for n in counts) if counts and counts[0] else 0, counts[0] if counts else 0)

    return max(SEPARATORS, key=fits)


def _encoding(raw: bytes) -> str:
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return encoding
    head = raw[:1000]
    if head.count(0) > LEAST_ZEROS * len(head):  # Latin letters of UTF-16 without a mark have a zero byte each
        if head.count(0) > len(head) / 2:
            return "utf-32-le" if head[:1] != b"\0" else "utf-32-be"
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    plain = raw.replace(b"\0", b"")
    try:
        plain.decode()
    except UnicodeDecodeError:
        return guess_encoding(plain)
    return "utf-8"
