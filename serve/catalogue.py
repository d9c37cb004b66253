"""The catalogue as a whole: how its attributes are spread, tracks to begin with, and its map."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from serve.library import told

if TYPE_CHECKING:  # the driver, too, imports this, and needs no torch
    from tonearm.recommend.library import Library

STEPS = 20  # parts of a spread, of equally many tracks
MOST_LABELS = 30
MOST_ROWS_ASKED = 2_000  # of a large catalogue: rows among which tracks to begin with are looked for
PLACED = 2_000  # different vectors that t-SNE places, in some seconds; others lie amid the nearest of these
SHOWN = 20_000  # tracks of a map; of more a sample is told
LABELS = ("label", "predicted")  # by which tracks are told apart


def overview(library: Library) -> dict[str, Any]:
    """How many tracks there are, of which labels, and how numbers are spread over them."""
    sources = library.column("source")
    return {
        "tracks": len(library),
        "audible": 0 if sources is None else sum(bool(s) for s in sources),
        "labels": _labels(library),
        "attributes": _spreads(library),
    }


def _labels(library: Library) -> dict[str, int]:
    from tonearm.recommend.map_page import known_texts

    for name in LABELS:
        counts = Counter(text for text in known_texts(library, name) if text)
        if counts:
            return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_LABELS])
    return {}


def _spreads(library: Library) -> list[dict[str, Any]]:
    import numpy as np

    from tonearm.features.descriptors import DESCRIPTORS
    from tonearm.recommend.attributes import numbers
    from tonearm.recommend.sliders import COMPARATIVES

    found = []
    for name in (*DESCRIPTORS, "year"):
        column = numbers(library, name)
        finite = np.empty(0) if column is None else column[np.isfinite(column)]
        if len(finite):
            found.append({
                "name": name, "unit": DESCRIPTORS[name].unit if name in DESCRIPTORS else "",
                "less": COMPARATIVES.get((name, -1), ""), "more": COMPARATIVES.get((name, 1), ""),
                "known": len(finite), "quantiles": np.quantile(finite, np.linspace(0, 1, STEPS + 1)).tolist(),
            })  # fmt: skip
    return found


def samples(library: Library, k: int) -> list[dict[str, Any]]:
    """``k`` tracks that can be heard, of as many labels as there are; the same ones each time."""
    import numpy as np

    from tonearm.recommend.map_page import known_texts

    sources = library.column("source")
    if sources is None:
        return []
    audible = np.array([place for place, source in enumerate(sources) if source], dtype=np.int64)
    if len(audible) > MOST_ROWS_ASKED:
        audible = audible[np.linspace(0, len(audible) - 1, MOST_ROWS_ASKED).astype(np.int64)]
    labels = next((texts for name in LABELS if any(texts := known_texts(library, name))), [None] * len(library))
    taken: Counter[str | None] = Counter()
    order = []
    for place in audible.tolist():
        order.append((taken[labels[place]], place))  # the first of each label, then the second, …
        taken[labels[place]] += 1
    return [told(library.row(place)) for _, place in sorted(order)[:k]]


def catalogue_map(library: Library) -> dict[str, Any]:
    """Where the tracks lie in two dimensions, and what they can be coloured by.

    Raises
    ------
    BundleError
        If there are no rows, or a vector is not finite.
    """
    import numpy as np

    from tonearm.recommend.library import ID
    from tonearm.recommend.map import map_library
    from tonearm.recommend.map_page import page_data

    made = map_library(library, most=PLACED)
    data = dict(page_data(library, made.coordinates))
    ids = library.column(ID)
    data["ids"] = [] if ids is None else [str(track_id) for track_id in ids]
    if len(library) > SHOWN:
        shown = np.linspace(0, len(library) - 1, SHOWN).astype(np.int64).tolist()
        data["groups"] = [{**group, "of": [group["of"][i] for i in shown]} for group in data["groups"]]
        data |= {name: [data[name][i] for i in shown] for name in ("x", "y", "ids", "titles", "years")}
    kept = made.faithfulness
    return data | {
        "count": len(library),
        "trustworthiness": None if kept is None else kept.trustworthiness,
        "chance": None if kept is None else kept.chance,
    }
