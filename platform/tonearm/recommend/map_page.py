"""The page that shows a library's map: one file that needs nothing beside it, and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tonearm.core.text import printable
from tonearm.core.types import FloatArray
from tonearm.recommend.attributes import PREDICTED, numbers
from tonearm.recommend.library import ID, Library

SCRIPTS = ("map_draw.js", "map_use.js")
GRID = 65_535  # coordinates are written as whole numbers up to this: fewer characters
WIDTH = 160  # characters of a text that are shown
COLOURS = {"label": "label", PREDICTED: "predicted label", "era": "era", "place": "place", "artist": "artist"}
"""What rows can be coloured by, and what the page calls it."""


@dataclass(frozen=True)
class Groups:
    """Rows by what they share.

    Attributes
    ----------
    names
        The most frequent first; of equally frequent ones by the alphabet.
    of
        Of each row which name is its own; -1: not known.
    """

    names: Sequence[str]
    of: Sequence[int]


def groups_of(values: Sequence[str | None]) -> Groups:
    """Group rows by a text; what is None or empty is not known."""
    counts = Counter(value for value in values if value)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    number = {name: i for i, name in enumerate(names)}
    return Groups(names, [number[value] if value else -1 for value in values])


def library_groups(library: Library) -> dict[str, Groups]:
    """By what the rows of a library can be coloured: of :data:`COLOURS` those that a row says.

    Of several predicted labels the most probable counts; an era is a decade.
    """
    years = known_years(library)
    texts = {name: known_texts(library, name) for name in COLOURS if name != "era"}
    texts["era"] = [None if year is None else f"{year // 10 * 10}s" for year in years]
    return {name: groups_of(texts[name]) for name in COLOURS if any(texts[name])}


def known_texts(library: Library, name: str) -> list[str | None]:
    """A column as texts that can be shown, of cells with several values the first; None where it is not known."""
    column = library.column(name)
    if column is None:
        return [None] * len(library)
    return [_shown(value) for value in column.tolist()]


def known_years(library: Library) -> list[int | None]:
    """The years of rows; None where they are not known."""
    years = numbers(library, "year")
    if years is None:
        return [None] * len(library)
    return [int(year) if np.isfinite(year) else None for year in years]


def known_titles(library: Library) -> list[str]:
    """The titles of rows; the id of one that has none."""
    ids = known_texts(library, ID)
    return [title or track_id or "" for title, track_id in zip(known_texts(library, "title"), ids, strict=True)]


def _shown(value: Any) -> str | None:
    if isinstance(value, tuple | list):
        value = value[0] if value else None
    if value is None or value != value:
        return None
    return printable(f"{value:g}" if isinstance(value, float) else str(value), WIDTH)


def map_page(library: Library, coordinates: FloatArray, title: str, sentences: Sequence[str]) -> str:
    """The page.

    Parameters
    ----------
    coordinates
        (rows, 2) in 0..1.
    title
        Of the page.
    sentences
        What stands above the map.
    """
    import jinja2
    import markupsafe

    folder = Path(__file__).parent
    script = "".join((folder / name).read_text("utf-8") for name in SCRIPTS)
    strict = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )  # fmt: skip
    strict.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
    # A browser runs the script of this digest alone, and loads nothing: whatever a title says stays a title.
    policy = f"default-src 'none'; script-src 'sha256-{_sha256(script)}'; style-src 'unsafe-inline'"
    return strict.from_string((folder / "map_page.html").read_text("utf-8")).render(
        title=title, sentences=sentences, policy=policy, script=markupsafe.Markup(script),
        data=page_data(library, coordinates),
    )  # fmt: skip


def page_data(library: Library, coordinates: FloatArray) -> Mapping[str, Any]:
    """What the script draws, as plain values."""
    groups = library_groups(library)
    grid = np.round(coordinates.astype(np.float64) * GRID).astype(int)
    return {
        "grid": GRID, "x": grid[:, 0].tolist(), "y": grid[:, 1].tolist(),
        "titles": known_titles(library), "years": known_years(library),
        "groups": [{"name": COLOURS[name], "names": list(own.names), "of": list(own.of)}
                   for name, own in groups.items()],
    }  # fmt: skip


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
