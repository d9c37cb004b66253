"""A cluster whose Serve others use, too: what is ours is taken down, theirs stays."""

from __future__ import annotations

import httpx
import pytest

from serve import launch
from serve.settings import AppArgs
from tonearm.core.errors import JobError


def test_start_that_fails_leaves_the_applications_of_others(
    broken: str, server: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import serve

    before = set(serve.status().applications)
    monkeypatch.setattr(launch, "APPLICATION", "second")
    monkeypatch.setattr(launch, "SECONDS_TO_ANSWER", 0.5)
    monkeypatch.setattr(launch, "SECONDS_OF_FAREWELL", 0.0)
    try:
        with pytest.raises((JobError, serve.exceptions.RayServeException)):
            launch.start(AppArgs(model=model))
    finally:
        launch._shared.clear()  # the fixture takes its own Serve down
    assert set(serve.status().applications) == before >= {"tonearm", "broken"}
    assert httpx.get(f"{server}/healthz", timeout=10).status_code == 200
