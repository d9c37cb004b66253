"""Extraction in this process, by the workers' own code, where a test needs no Ray."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tonearm.pipelines import extract
from tonearm.pipelines.extractor import Extractor
from tonearm.workflows import prepare, prepare_catalogue, sweep_plan, training_runs


def extract_in_process(monkeypatch: pytest.MonkeyPatch, batch: int = 16) -> None:
    """Let recordings be extracted here, so many at a time, and no Ray be started for them."""

    def results(items: list[dict[str, str]], job: dict[str, Any], device: str) -> Iterator[dict[str, Any]]:
        for some in (items[i : i + batch] for i in range(0, len(items), batch)):
            columns = Extractor(**job)({name: [i[name] for i in some] for name in some[0]})
            yield from ({name: values[i] for name, values in columns.items()} for i in range(len(some)))

    monkeypatch.setattr(extract, "_worker_results", results)
    for module in (prepare, prepare_catalogue):
        monkeypatch.setattr(module, "start_ray", lambda: None)
    for module in (training_runs, sweep_plan):
        monkeypatch.setattr(module, "stop_ray", lambda: None)  # that of other tests goes on
