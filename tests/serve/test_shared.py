"""A cluster whose Serve others use, too: what is ours is taken down, theirs stays."""

from __future__ import annotations

import httpx
import pytest

from serve import launch
from serve.settings import AppArgs
from tests.servers import wait_until
from tonearm.core.errors import JobError


def test_start_that_fails_leaves_the_applications_of_others(
    broken: str, server: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import serve

    before = set(serve.status().applications)
    monkeypatch.setattr(launch, "SECONDS_TO_ANSWER", 0.5)
    monkeypatch.setattr(launch, "SECONDS_OF_FAREWELL", 0.0)
    try:
        with pytest.raises((JobError, serve.exceptions.RayServeException)):
            launch.start(AppArgs(model=model, name="second"))
    finally:
        launch._shared.clear()  # the fixture takes its own Serve down
    wait_until(lambda: set(serve.status().applications) == before, "what was begun is gone")
    assert {"tonearm", "broken"} <= before
    assert httpx.get(f"{server}/healthz", timeout=10).status_code == 200
