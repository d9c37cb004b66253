"""The interface behind Ray Serve's proxy: a batch is streamed and ends, all is counted, pages are there."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
import pytest

from tests.builders import encode, music, sounds_like
from tests.serve.clients import processes_of
from tonearm.client import Client

pytestmark = pytest.mark.integration


def test_a_batch_is_streamed_and_counted(server: str, tmp_path: Path) -> None:
    names = [tmp_path / f"{i}.wav" for i in range(6)]
    for i, name in enumerate(names):
        name.write_bytes(encode(sounds_like("flute", i)) if i != 4 else b"no audio" * 100)
    with Client(server, seconds=120) as client:
        found = {answer.file: answer for answer in client.batch(names)}
        assert set(found) == set(map(str, names))
        assert [found[str(n)].problem is None for n in names] == [True] * 4 + [False, True]
        assert client.health()["status"] == "ok" and client.track("flute0")["track_id"] == "flute0"
    counted = ""
    for _ in range(20):  # either ingress may answer
        counted += httpx.get(f"{server}/metrics", timeout=30).text
    assert re.search(r'tonearm_requests_total\{ingress="\w+",route="/v1/batch",status="200"\} 1', counted)
    assert re.search(r'tonearm_model_info\{.*model="bundle",role="current",version=""\} 1', counted)


def test_who_hangs_up_leaves_the_model_to_others(server: str) -> None:
    files = [("audio", (f"{i}.wav", encode(music(1.0 + i / 10)))) for i in range(6)]
    with httpx.stream("POST", f"{server}/v1/batch", files=files, timeout=120) as stream:
        assert len(list(stream.iter_raw())) > 1, "lines come when they are ready, not all together"
    files = [("audio", (f"{i}.wav", encode(music(2.0 + i / 10)))) for i in range(6)]
    with httpx.stream("POST", f"{server}/v1/batch", files=files, timeout=120) as stream:
        next(stream.iter_lines())
    until = time.monotonic() + 60
    while time.monotonic() < until:
        waiting = [re.findall(r"tonearm_waiting\{.*\} (\S+)", httpx.get(f"{server}/metrics").text) for _ in range(6)]
        if not any(float(value) for (value,) in waiting):
            break
        time.sleep(0.2)
    else:
        raise AssertionError(waiting)


def test_pages_and_players_are_answered(server: str) -> None:
    assert "Content-Security-Policy" in httpx.get(f"{server}/docs", timeout=30).headers
    described = httpx.get(f"{server}/openapi.json", timeout=30).json()
    assert "example" in described["paths"]["/readyz"]["get"]["responses"]["200"]["content"]["application/json"]
    answer = httpx.get(f"{server}/rest/getSonicSimilarTracks.view?id=flute0&count=2&f=json", timeout=30).json()
    assert len(answer["subsonic-response"]["sonicMatch"]) == 2


def test_a_map_is_made_by_a_listener_alone(server: str) -> None:
    """What makes it, scikit-learn, stays out of the ingresses, each of which would hold it."""
    found = [httpx.get(f"{server}/v1/map", timeout=120).raise_for_status().json() for _ in range(6)]
    assert all(one == found[0] for one in found) and found[0]["count"] == 9
    holding = {deployment: [any("/sklearn/" in place.path for place in process.memory_maps()) for process in
                            processes_of("tonearm", deployment)] for deployment in ("Ingress", "Listener")}  # fmt: skip
    assert holding["Listener"] == [True] and set(holding["Ingress"]) == {False}, holding
