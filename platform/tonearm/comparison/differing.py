"""The tracks to which two candidates give different classes, for who wants to hear them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tonearm.comparison.compare import agreement_pairs
from tonearm.comparison.document import Section, Table
from tonearm.comparison.predictions import Predictions
from tonearm.core.text import printable

MAX_TRACKS = 60
MAX_NAME = 60


def differing_section(predictions: Sequence[Predictions]) -> Section | None:
    """Of the first two candidates; None where a track has no one class, or no track differs.

    What several seeds predict is what their mean probabilities say, as where agreement is measured.
    """
    both = agreement_pairs(predictions[:2])
    if both is None:
        return None
    one, two = both
    said = [p.mean_predictions.argmax(axis=1) for p in both]
    right = [s == one.target for s in said]
    only_one, only_two = right[0] & ~right[1], right[1] & ~right[0]
    rows = np.flatnonzero(said[0] != said[1])
    if not len(rows):
        return None
    alone = [int(only_one.sum()), int(only_two.sum())]
    text = (
        f"{one.label} and {two.label} predict another class on {len(rows)} of {len(one.track_ids)} tracks: {one.label} "
        f"alone is right on {alone[0]}, {two.label} alone on {alone[1]}, neither on {len(rows) - sum(alone)}."
    )
    order = sorted(rows.tolist(), key=lambda i: (not only_one[i], not only_two[i], one.track_ids[i]))
    shown = order[:MAX_TRACKS]
    cells = [
        [printable(one.track_ids[i], MAX_NAME), _class(one, int(one.target[i])), _said(one, i), _said(two, i),
         one.label if only_one[i] else two.label if only_two[i] else "neither"]
        for i in shown
    ]  # fmt: skip
    rest = f"; {len(order) - len(shown)} more are left out" if len(order) > len(shown) else ""
    note = f"The largest mean probability over a candidate's seeds, and its class{rest}."
    table = Table(["track", "truth", one.label, two.label, "right"], cells, note, folded=f"{len(shown)} tracks")
    return Section("On which tracks", [text], [table])


def _class(predictions: Predictions, index: int) -> str:
    return printable(predictions.classes[index], MAX_NAME)


def _said(predictions: Predictions, track: int) -> str:
    values = predictions.mean_predictions[track]
    return f"{_class(predictions, int(values.argmax()))} {values.max():.2f}"
