"""The tracks to which two candidates give different classes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.builders import CLASSES
from tests.unit.comparison_runs import answers, tracks
from tonearm.comparison import differing
from tonearm.comparison.differing import differing_section
from tonearm.comparison.predictions import Predictions
from tonearm.tasks import MultiLabel

OF = tracks(8, 3)


def saying(label: str, *changed: tuple[int, int]) -> Predictions:
    """All right but for these tracks, of which each has another class: so many further than its own."""
    said = OF.target.copy()
    for track, further in changed:
        said[track] = (said[track] + further) % 3
    probabilities = np.full((len(said), 3), 0.15, np.float32)
    probabilities[np.arange(len(said)), said] = 0.7
    return dataclasses.replace(answers(OF, [OF.right(1.0)], label), seeds=((probabilities, OF.target),))


ONE, TWO = saying("A", (3, 1), (4, 1), (5, 1), (7, 1)), saying("B", (4, 2), (6, 1), (7, 1))


def test_the_tracks_on_which_two_differ_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = differing_section([ONE, TWO, saying("C")])
    assert found is not None and list(found.text) == [
        "A and B predict another class on 4 of 24 tracks: A alone is right on 1, B alone on 2, neither on 1."
    ]
    (table,) = found.tables
    assert [(row[0], row[4]) for row in table.rows] == [
        ("track0006", "A"), ("track0003", "B"), ("track0005", "B"), ("track0004", "neither")
    ]  # fmt: skip
    assert table.rows[0][1:4] == [CLASSES[0], f"{CLASSES[0]} 0.70", f"{CLASSES[1]} 0.70"]
    assert table.folded == "4 tracks"
    monkeypatch.setattr(differing, "MAX_TRACKS", 3)
    cut = differing_section([ONE, TWO])
    assert cut is not None and len(cut.tables[0].rows) == 3 and "; 1 more are left out" in cut.tables[0].note


def test_only_common_tracks_are_listed() -> None:
    found = differing_section([ONE, TWO.take(TWO.track_ids[:5])])
    assert found is not None and "on 2 of 5 tracks" in found.text[0]


def test_where_nothing_differs_or_a_track_has_no_one_class_there_is_no_list() -> None:
    assert differing_section([ONE, dataclasses.replace(ONE, label="B")]) is None
    several = [dataclasses.replace(p, task=MultiLabel()) for p in (ONE, TWO)]
    assert differing_section(several) is None
