"""Conditions on texts look at each different cell once, and give what looking at every row gave."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.libraries import PlainLibrary
from tonearm.recommend import text_codes
from tonearm.recommend.attributes import texts
from tonearm.recommend.catalogue import Catalogue
from tonearm.recommend.catalogue_changes import Space, change_catalogue
from tonearm.recommend.filters import where_conditions
from tonearm.recommend.text_codes import TextCodes, having

CELLS: list[Any] = ["Folk", "folk ", None, ("Jazz", "FOLK"), "", ("jazz",), "Café", "Cafe\u0301", True, 1, "1", ("",)]


def looked_at(column: list[Any], wanted: set[str]) -> list[bool]:
    """Every row by itself."""
    return [not wanted.isdisjoint(texts(cell)) for cell in column]


@pytest.mark.parametrize("words", ["folk", "jazz café", "1", "true", "none", " ", ""])
def test_masks_are_those_of_looking_at_every_row(words: str) -> None:
    wanted = {""} if words == " " else set(words.split())
    rng = np.random.default_rng(0)
    column = [CELLS[i] for i in rng.integers(0, len(CELLS), 500)]
    library = PlainLibrary(np.ones((500, 2)), label=column)
    assert having(library, "label", wanted).tolist() == looked_at(column, wanted)
    assert TextCodes.of([]).mask(wanted).shape == (0,)
    assert not having(library, "absent", wanted).any()


def test_a_cell_is_read_once_and_forgotten_with_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[Any]()
    monkeypatch.setattr(text_codes, "texts", lambda cell: (read.append(cell), texts(cell))[1])
    library = PlainLibrary(np.ones((3000, 2)), label=["a", "b", ("a", "c")] * 1000)
    for wanted in ("a", "b", "c", "d"):
        (condition,), _ = where_conditions(library, {"label": wanted})
        assert condition.mask.sum() == {"a": 2000, "b": 1000, "c": 1000, "d": 0}[wanted]
    assert read == ["a", "b", ("a", "c")]
    held = len(text_codes._CODES)
    del library
    gc.collect()
    assert len(text_codes._CODES) == held - 1


def test_rows_at_once_are_rows_one_by_one_and_conditions_follow_a_catalogue(tmp_path: Path) -> None:
    """Through a delta, rows that were replaced and removed, and the next state."""
    uri, space, rng = str(tmp_path / "made"), Space("model", 4), np.random.default_rng(1)

    def rows(first: int, last: int, label: str) -> list[dict[str, Any]]:
        known = {"label": label, "labels": [label, "all"]}
        return [{"track_id": f"t{i}", "year": 1900 + i, **known} for i in range(first, last)]

    change_catalogue(uri, space, rows(0, 30, "old"), rng.normal(size=(30, 4)).astype(np.float32))
    change_catalogue(uri, space, rows(25, 40, "new"), rng.normal(size=(15, 4)).astype(np.float32), remove=["t3"])
    library = Catalogue.open(uri)
    places = rng.permutation(len(library))
    assert library.rows(places) == [library.row(int(place)) for place in places]
    assert {row["track_id"] for row in library.rows(places)} == set(library.ids) and library.rows(places[:0]) == []
    assert having(library, "labels", {"new"}).sum() == 15 and having(library, "label", {"old"}).sum() == 24
    change_catalogue(uri, space, remove=["t26"])
    later = library.refresh()
    assert having(later, "label", {"new"}).sum() == 14 and having(library, "label", {"new"}).sum() == 15
