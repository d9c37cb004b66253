"""The catalogue as a whole: spreads, tracks to begin with, and a map that is made once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from serve import catalogue
from serve.catalogue import KEPT, Maps, overview, samples
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


def test_a_map_is_made_once_for_all_who_wait_and_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    made, fails, gate = list[int](), [True], threading.Event()

    def make(one: Any) -> dict[str, Any]:
        gate.wait(10)
        made.append(1)
        if fails.pop() if fails else False:
            raise RuntimeError("of the first")
        return {"count": len(made)}

    async def ask() -> list[Any]:
        maps = Maps()
        asked = [asyncio.create_task(maps.of("a", None)) for _ in range(3)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        gate.set()
        failed = await asyncio.gather(*asked, return_exceptions=True)
        others = [await maps.of(str(key), None) for key in ("a", "a", *range(KEPT + 1))]  # type: ignore[arg-type]
        return [failed, others, len(maps._made)]

    monkeypatch.setattr(catalogue, "catalogue_map", make)
    failed, others, kept = asyncio.run(ask())
    assert [type(error) for error in failed] == [RuntimeError] * 3
    assert [other["count"] for other in others] == [2, 2, *range(3, 4 + KEPT)] and kept == KEPT
