"""Text for people, and from them."""

from __future__ import annotations

import ast
import re
import shlex
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tonearm.core.errors import ConfigError

BIDIRECTIONAL_MARKS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def command(name: str, *arguments: str) -> str:
    """How a person calls a job, for hints and messages: ``command("compare", "demo-3f2a")`` is ``tonearm compare
    demo-3f2a``."""
    return shlex.join(["tonearm", name, *arguments])


def printable(text: str, width: int = 0, keep: str = "") -> str:
    """A text, such as a name out of a tag, with what would disturb a line written as Python writes it.

    Those are control characters (a new line, a tab, an escape sequence), marks that turn the direction of what follows,
    and bytes of a file's name that are no text.

    Parameters
    ----------
    width
        The most characters; what is longer ends in "…". 0: any length.
    keep
        Characters that stay as they are.
    """
    clean = text if text.isprintable() else "".join(c if c in keep or not _disturbs(c) else repr(c)[1:-1] for c in text)
    return clean if not width or len(clean) <= width else clean[: max(width - 1, 1)].rstrip() + "…"


def quoted(text: str, width: int = 60) -> str:
    """A user's text in quotes, for a line of a message: on one line, and cut where it is longer."""
    return repr(text if len(text) <= width else text[: width - 1] + "…")


def _disturbs(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in BIDIRECTIONAL_MARKS


def display_width(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese and Japanese letters and emoji take two, accents none."""
    return sum(
        0 if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me", "Cf")
        else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )  # fmt: skip


def format_table(rows: Sequence[tuple[str, ...]], indent: str = "  ") -> str:
    """Rows as aligned columns; a cell is one line, whatever a user's name has in it."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(display_width(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join(
        indent + "  ".join(c + " " * (w - display_width(c)) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def list_examples(texts: Sequence[str], between: str = ", ", most: int = 3) -> str:
    """The first few of many: ``a, b, c and 4 more``."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return between.join(texts[:most]) + more


def read_yaml(text: str, what: str) -> Any:
    """What a text in YAML says; ``what`` it is of, for the message.

    Raises
    ------
    ConfigError
        If it is no YAML.
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{what} is YAML: {where}{getattr(error, 'problem', None) or error}") from None


def slug(text: str) -> str:
    """A text as names of data sets are written: small letters of any script, digits and hyphens; "" if it has none."""
    plain = unicodedata.normalize("NFC", text).lower()
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else "-" for c in plain)  # letters, marks on them, numbers
    return re.sub("-+", "-", kept).strip("-")


def parse_fields(texts: Sequence[str]) -> dict[str, object]:
    """Fields from texts such as ``"optim.lr=1e-3"``: values are read as Python literals, and as texts otherwise.

    So are lists without brackets, ``"model.widths=16,32"``, which configs keep as text.

    Raises
    ------
    ConfigError
        If one has no equals sign, or names a field twice.
    """
    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name or name in found:
            raise ConfigError(f"{text!r} is no setting, or the second one of its field: write field=value")
        found[name] = value = value.strip()
        with suppress(ValueError, SyntaxError, TypeError):
            literal = ast.literal_eval(value)
            bare_list = isinstance(literal, tuple) and not value.startswith("(")
            odd_number = isinstance(literal, int) and str(literal) != value  # 0x10, 1_000: maybe no number at all
            if not bare_list and not odd_number:
                found[name] = literal
    return found


def format_size(count: int) -> str:
    """Bytes for people."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
