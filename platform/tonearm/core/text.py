"""Text for people, and from them."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress

from tonearm.core.errors import ConfigError


def command(name: str, *arguments: str) -> str:
    """How a person calls a job, for hints and messages: ``command("compare", "demo-3f2a")`` is ``tonearm compare
    demo-3f2a``."""
    return shlex.join(["tonearm", name, *arguments])


def format_table(rows: Sequence[tuple[str, ...]], indent: str = "  ") -> str:
    """Rows as aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(indent + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def slug(text: str) -> str:
    """A text as names of data sets are written: lower-case letters, digits and hyphens; "" if it has none."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


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
