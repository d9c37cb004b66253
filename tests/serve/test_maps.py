"""A map is made once for each state of the catalogue, by a listener, and asked for once by an ingress."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve import maps
from serve.catalogue import catalogue_map
from serve.maps import KEPT, MapMaker, Maps
from tests.serve.in_process import serve_in_process
from tonearm.recommend.memory import MemoryLibrary


def library(count: int = 6) -> MemoryLibrary:
    rows = [{"track_id": f"t{i}", "title": f"Song {i}"} for i in range(count)]
    return MemoryLibrary(np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32), rows)


def test_threads_wait_for_the_map_that_is_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made, maker = list[int](), MapMaker()

    def counted(one: Any) -> dict[str, Any]:
        made.append(len(one))
        return catalogue_map(one)

    monkeypatch.setattr(maps, "catalogue_map", counted)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(maker.of, [library()] * 8))
    assert made == [6] and all(one == found[0] for one in found) and found[0]["ids"][0] == "t0"
    monkeypatch.setattr(maps, "state_of", lambda one: f"#{len(one)}")
    assert [maker.of(library(n))["state"] for n in (6, 7, 7)] == ["#6", "#7", "#7"] and made == [6, 6, 7]


def test_an_ingress_asks_once_and_again_after_a_failure() -> None:
    asked, fails = list[str](), [RuntimeError("of the first")]

    async def test() -> tuple[list[Any], list[int]]:
        told, gate = Maps(), asyncio.Event()

        async def ask() -> dict[str, Any]:
            await gate.wait()
            asked.append("map")
            if fails:
                raise fails.pop()
            return {"state": "1", "count": len(asked)}

        waiting = [asyncio.create_task(told.of("m", "1", ask)) for _ in range(3)]
        await asyncio.sleep(0)
        gate.set()
        failed = await asyncio.gather(*waiting, return_exceptions=True)
        counts = [(await told.of(model, "1", ask))["count"] for model in ("m", "m", *"abcd"[:KEPT], "m")]
        counts += [(await told.of("m", state, ask))["count"] for state in ("2", "2", "1")]
        return failed, counts

    failed, counts = asyncio.run(test())
    assert [type(error) for error in failed] == [RuntimeError] * 3
    assert counts[:2] == [2, 2] and counts[2 : 2 + KEPT] == [3, 4, 5, 6] and counts[2 + KEPT] == 7, "the oldest went"
    assert counts[-3:] == [8, 9, 7], "one of another state than was asked for is not kept"


def test_the_route_tells_the_catalogue_that_counts(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place / "home"))
    asked = serve_in_process(str(place / "model" / "bundle"), monkeypatch)
    found = asked("GET", "/v1/map")
    assert found["count"] == len(found["x"]) == 6 and "flute 0.wav" in found["ids"] and found["model"] == "bundle"
    assert found == asked("GET", "/v1/map") and "state" not in found
