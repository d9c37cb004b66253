"""The catalogue as a whole: spreads, tracks to begin with, and what a map tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serve import catalogue
from serve.catalogue import overview, samples
from tonearm.recommend.memory import MemoryLibrary


def library(**columns: list[Any]) -> MemoryLibrary:
    """Rows with an id and these values."""
    count = len(next(iter(columns.values())))
    rows = [{"track_id": f"t{i}", **{name: values[i] for name, values in columns.items()}} for i in range(count)]
    return MemoryLibrary(np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32), rows)


def test_a_spread_is_of_the_tracks_that_have_the_number() -> None:
    tempo = [*(60.0 + i for i in range(41)), None]
    found = overview(library(tempo=tempo, label=["jazz"] * 30 + ["folk"] * 12, source=["a"] * 7 + [None] * 35))
    (spread,) = found["attributes"]
    assert (spread["name"], spread["unit"], spread["known"]) == ("tempo", "BPM", 41)
    assert (spread["less"], spread["more"]) == ("slower", "faster")
    assert spread["quantiles"] == pytest.approx(np.linspace(60, 100, 21))
    assert found["labels"] == {"jazz": 30, "folk": 12} and (found["tracks"], found["audible"]) == (42, 7)


def test_a_catalogue_that_knows_nothing_says_so() -> None:
    found = overview(library(title=["a", "b", "c"]))
    assert found == {"tracks": 3, "audible": 0, "labels": {}, "attributes": []}
    assert samples(library(title=["a", "b", "c"]), 4) == []


def test_tracks_to_begin_with_can_be_heard_and_are_of_many_labels() -> None:
    one = library(label=["a", "a", "a", "b", "c"], source=["", "s", "s", "s", "s"])
    assert [row["track_id"] for row in samples(one, 4)] == ["t1", "t3", "t4", "t2"]
    assert "source" not in samples(one, 1)[0]


def test_labels_of_the_model_tell_tracks_apart_where_there_are_no_others() -> None:
    one = library(predicted=[["x", "y"], ["x"], ["z"]], source=["s"] * 3)
    assert [row["track_id"] for row in samples(one, 2)] == ["t0", "t2"] and overview(one)["labels"] == {"x": 2, "z": 1}


def test_a_large_map_tells_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "SHOWN", 10)
    found = catalogue.catalogue_map(library(label=[f"l{i % 3}" for i in range(40)], year=[1900 + i for i in range(40)]))
    (labels,) = [group for group in found["groups"] if group["name"] == "label"]
    assert found["count"] == 40 and {len(found[n]) for n in ("x", "y", "ids", "titles", "years")} == {10}
    for place, track_id in enumerate(found["ids"]):
        row = int(track_id[1:])
        assert labels["names"][labels["of"][place]] == f"l{row % 3}" and found["years"][place] == 1900 + row
