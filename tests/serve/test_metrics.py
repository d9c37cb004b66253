"""What an ingress counts, as Prometheus reads it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from ray.exceptions import ActorDiedError

from serve.front import Front
from serve.ingress import api
from serve.metrics import MEDIA_TYPE
from serve.state import current_state
from tests.builders import encode, sounds_like
from tests.serve.in_process import Ask, serve_in_process

AUDIO = encode(sounds_like("flute", 0))


@pytest.fixture
def asked(model: str, monkeypatch: pytest.MonkeyPatch) -> Ask:
    return serve_in_process(model, monkeypatch)


def get(path: str, method: str = "GET", **request: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(api, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path, **request)

    return asyncio.run(ask())


def counted() -> dict[tuple[str, ...], float]:
    """Values by name and labels, the ingress's left out."""
    answer = get("/metrics")
    assert answer.headers["content-type"] == MEDIA_TYPE
    return {
        (sample.name, *(v for k, v in sorted(sample.labels.items()) if k != "ingress")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name != "tonearm_request_seconds_bucket"
    }


def test_requests_are_counted_by_route_and_status(asked: Ask) -> None:
    for path in ("/v1/tracks/flute0", "/v1/tracks/flute1", "/v1/tracks/nobody", "/v1/tracks/flute0/clip", "/nowhere"):
        get(path)
    get("/v1/classify", "POST", content=b"no audio" * 100)
    found = counted()
    assert found["tonearm_requests_total", "/v1/tracks/{track_id:path}", "200"] == 2
    assert found["tonearm_requests_total", "/v1/tracks/{track_id:path}", "404"] == 1
    assert found["tonearm_requests_total", "/v1/tracks/{track_id:path}/clip", "404"] == 1
    assert found["tonearm_requests_total", "/v1/classify", "415"] == 1, "the guards refused it"
    assert found["tonearm_requests_total", "other", "404"] == 1
    assert found["tonearm_request_seconds_count", "/v1/tracks/{track_id:path}"] == 3
    assert counted()["tonearm_requests_total", "/metrics", "200"] == 1


def test_the_model_and_what_is_remembered_are_told(asked: Ask) -> None:
    for _ in range(3):
        asked("POST", "/v1/classify", content=AUDIO)
    found = counted()
    assert (found["tonearm_cache_misses_total",], found["tonearm_cache_hits_total",]) == (1, 2)
    health = asked("GET", "/healthz")
    assert found["tonearm_model_info", health["bundle"], health["model"], "current", health["version"]] == 1
    current_state().front.admission.waiting = 3
    assert counted()["tonearm_waiting",] == 3 and counted()["tonearm_held_bytes",] == 0


def test_faults_of_ours_and_resends_are_counted(asked: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying:
        async def remote(self, *arguments: Any) -> Any:
            raise ActorDiedError()

    shelf = current_state().front.routes.current
    assert shelf is not None
    monkeypatch.setattr("serve.front.SECONDS_BEFORE_RESEND", 0.0)
    shelf.handle.classify = Dying()
    assert get("/v1/classify", "POST", content=AUDIO).status_code == 503
    assert counted()["tonearm_resends_total",] == 3

    async def broken(*arguments: Any) -> Any:
        raise OSError

    monkeypatch.setattr(Front, "ask", broken)
    assert get("/v1/classify", "POST", content=AUDIO).status_code == 500
    assert counted()["tonearm_requests_total", "/v1/classify", "500"] == 1
    assert counted()["tonearm_requests_total", "/v1/classify", "503"] == 1


def test_each_ingress_counts_under_its_own_name(asked: Ask, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ingress() -> set[str]:
        families = text_string_to_metric_families(get("/metrics").text)
        return {sample.labels["ingress"] for family in families for sample in family.samples}

    first = ingress()
    serve_in_process(model, monkeypatch)
    assert len(first) == len(ingress()) == 1 and first != ingress()
