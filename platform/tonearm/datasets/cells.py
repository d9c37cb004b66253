"""What a cell of a table, or a tag, says: a number, a year, or that a value is not known."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T", int, float)

YEARS = range(1, 10_000)
UNKNOWN = frozenset({
    "", "nan", "-nan", "none", "null", "nil", "nat", "n/a", "n.a.", "n.a", "n/d", "n / a", "#n/a", "#na", "#value!",
    "#ref!", "#name?", "<na>", "\\n", "undefined", "unknown", "unspecified", "not specified", "not available",
    "not set", "no genre", "unknown genre", "unknown album", "unknown title", "unknown label", "unbekannt", "inconnu",
    "desconocido", "desconhecido", "sconosciuto", "onbekend", "неизвестно",
})  # fmt: skip
NOTHING = re.compile(r"[\s\-\u2010-\u2015?_.\u2026\ufffd]*")
"""Marks that people write where there is nothing to say."""
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
"""Characters that nobody sees: zero-width spaces and joiners, a byte-order mark."""


def clean_text(text: str) -> str:
    """A text in Unicode's composed form (NFC), without spaces and invisible characters at its ends."""
    return unicodedata.normalize("NFC", text).strip().strip(INVISIBLE).strip()


def is_unknown(text: str | None) -> bool:
    """Whether a text says that a value is not known: it is empty, or ``nan``, ``None``, ``N/A`` and such in any case.

    ``NA`` is none of them: it is a name (of an artist, of Namibia).
    """
    plain = clean_text(text or "").casefold().replace("_", " ").strip()
    bare = plain.strip("()[]<> ")
    return plain in UNKNOWN or bare in UNKNOWN or bool(NOTHING.fullmatch(bare))


def to_number(text: str | None, kind: Callable[[float], T]) -> T | None:
    """A finite number that a text says, or None."""
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return kind(value) if math.isfinite(value) else None


def to_year(text: str | None) -> int | None:
    """A year that a text says, 1..9999, or None."""
    year = to_number(text, int)
    return year if year is not None and year in YEARS else None  # a range looks for None one by one
