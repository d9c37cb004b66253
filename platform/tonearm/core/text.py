"""Text for people, and from them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from contextlib import suppress

from tonearm.core.errors import ConfigError


def format_table(rows: Sequence[tuple[str, ...]], indent: str = "  ") -> str:
    """Rows as aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(indent + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


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
