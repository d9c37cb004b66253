"""Requests that are made of the description, sensible and not: no fault of ours, and answers as they are described."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from serve.ingress import api
from tests.serve.in_process import serve_in_process

schemathesis = pytest.importorskip("schemathesis", reason="it is in constraints.txt: install it")
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
FEW = settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck),
               phases=[Phase.explicit, Phase.generate])  # fmt: skip
ROUTES = [(path, method, op) for path, methods in api.openapi()["paths"].items() for method, op in methods.items()]
ASKED = [
    (path, method, mode)
    for path, method, op in ROUTES
    for mode in ("POSITIVE", "NEGATIVE")  # the latter is only where there is something to do wrong
    if mode == "POSITIVE" or "requestBody" in op or any(p["in"] == "query" for p in op.get("parameters", []))
]


@pytest.fixture(scope="module")
def described(place: Path) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(place / "home"))
        serve_in_process(str(place / "model" / "bundle"), patch)
        yield schemathesis.openapi.from_asgi("/openapi.json", api)


@pytest.mark.parametrize(("path", "method", "mode"), ASKED)
def test_whatever_is_asked_is_answered_as_described(path: str, method: str, mode: str, described: Any) -> None:
    from schemathesis import checks as known

    checks = [known.CHECKS.get_one(name) for name in CHECKS]
    operation = described[path][method]

    @FEW
    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=checks)

    ask()
