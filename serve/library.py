"""What is said of the tracks of a library; never where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from serve.problems import RefusedError
from serve.questions import PRIVATE
from tonearm.core.errors import UnknownNameError

if TYPE_CHECKING:  # the driver, too, imports this, and needs no torch
    from tonearm.recommend.library import Library

SEARCHED = ("title", "artist", "album", "track_id")


def row_of(library: Library, track_id: str) -> dict[str, Any]:
    """What is known of a track.

    Raises
    ------
    RefusedError
        404 if there is none of this id.
    """
    try:
        return library.row(library.place(track_id))
    except UnknownNameError as error:
        raise RefusedError(404, "unknown_track", str(error)) from None


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is the server's business."""
    return {name: value for name, value in row.items() if name not in PRIVATE}


def whole_row(library: Library, track_id: str) -> dict[str, Any]:
    """What is told of a track, its descriptors as ``attributes`` beside those of all.

    Raises
    ------
    RefusedError
        404 if there is none of this id.
    """
    from tonearm.features.descriptors import DESCRIPTORS

    row = told(row_of(library, track_id))
    return row | {"attributes": measured(library, {name: row.pop(name) for name in DESCRIPTORS if name in row})}


def measured(library: Library | None, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Descriptors with unit and usual range, and the share of a library's tracks that are below."""
    import numpy as np

    from tonearm.features.descriptors import DESCRIPTORS

    found = []
    for name, value in values.items():
        known = DESCRIPTORS.get(name)
        column = library.column(name) if library is not None and known is not None else None
        finite = np.empty(0) if column is None else column[np.isfinite(column.astype(np.float64))]
        found.append({
            "name": name, "value": value, "unit": known.unit if known else "",
            "low": known.low if known else None, "high": known.high if known else None,
            "quantile": float((finite < value).mean()) if len(finite) else None,
        })  # fmt: skip
    return found


def found_tracks(library: Library, words: str, k: int, skipped: int = 0) -> tuple[int, list[dict[str, Any]]]:
    """How many tracks hold all words, and ``k`` of them behind those ``skipped``: those first whose title begins with
    the words."""
    from tonearm.recommend.text_search import rows_with_words

    places = rows_with_words(library, SEARCHED, words).tolist()
    return len(places), [told(library.row(place)) for place in places[skipped : skipped + k]]
