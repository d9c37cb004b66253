"""Parameters as people read them in MLflow's tables: no code, and nothing cut in the middle of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MAX_PARAM_LENGTH = 500  # characters; databases of older servers take no more


def param_text(value: Any, most: int = MAX_PARAM_LENGTH) -> str:
    """A value as text of at most so many characters; of a list the first items that fit, and how many are left out."""
    if isinstance(value, Mapping):
        value = [f"{key}={_item(v)}" for key, v in value.items()]
    if isinstance(value, str) or not isinstance(value, Sequence):
        text = str(value)
        return text if len(text) <= most else text[: most - 1] + "…"
    items = [_item(item) for item in value]
    if not items:
        return "none"
    text = ", ".join(items)
    kept = len(items)
    while kept > 1 and len(text) > most:
        kept -= 1
        text = f"{', '.join(items[:kept])} ... and {len(items) - kept} more"
    return text if len(text) <= most else text[: most - 1] + "…"


def _item(value: Any) -> str:
    """An item of a list; fields of a mapping that are empty are left out."""
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_item(v)}" for key, v in value.items() if v not in ("", None, []))
    if isinstance(value, list | tuple):
        return f"({', '.join(_item(v) for v in value)})"
    return str(value)
