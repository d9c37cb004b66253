"""The text of a CSV file, as spreadsheets and programs write it: its encoding, its separator, an open quote."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from tonearm.core.errors import DatasetError

SEPARATORS = (",", ";", "\t")
SEP_LINE = re.compile(r'"?sep=(.)"?[,;\t]*\r?\n', re.IGNORECASE)
"""Excel's first line: which separator follows."""
BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
                    (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
FALLBACK = "cp1252"
"""What Excel's plain "CSV" is in Western Europe and the Americas."""


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
    """

    text: str
    separator: str
    encoding: str

    @property
    def guessed(self) -> bool:
        """Whether the encoding is a guess: nothing in the file says it, and it is not UTF-8."""
        return self.encoding == FALLBACK

    @property
    def spaced(self) -> bool:
        """Whether a space follows the separators, as people type; it is then no part of the fields."""
        header = self.text.partition("\n")[0]
        return self.separator != "\t" and f"{self.separator} " in header


def read_csv_text(path: Path) -> CsvText:
    """Decode a CSV file in UTF-8, UTF-16 or, if it is none of them, cp1252; a first line ``sep=;`` is obeyed.

    Raises
    ------
    OSError
        If it cannot be read.
    DatasetError
        If it is text in none of these.
    """
    raw = path.read_bytes()
    encoding = _encoding(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        raise DatasetError(f"{path} is no text in UTF-8, UTF-16 or Windows-1252: save it as UTF-8") from None
    if said := SEP_LINE.match(text):
        return CsvText(text[said.end() :], said[1], encoding)
    header = text.partition("\n")[0]
    return CsvText(text, max(SEPARATORS, key=header.count), encoding)


def _encoding(raw: bytes) -> str:
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return encoding
    head = raw[:1000]
    if b"\0" in head:  # Latin letters of UTF-16 without a mark have a zero byte each
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    try:
        raw.decode()
    except UnicodeDecodeError:
        return FALLBACK
    return "utf-8"
