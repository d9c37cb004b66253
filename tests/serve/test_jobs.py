"""Starting the server: what cannot work is said in a line."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from starlette.requests import Request

from jobs.common import require_free_port
from serve.ingress import unexpected
from serve.settings import AppArgs
from tonearm.core.errors import JobError

ROOT = Path(__file__).parents[2]


def test_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(JobError, match=rf"port {port} .* in use.*--port"):
            require_free_port("127.0.0.1", port)


def test_nothing_promoted_yet() -> None:
    done = subprocess.run([sys.executable, "-m", "jobs.serve", "--port", "0"], cwd=ROOT, env=dict(os.environ),
                          text=True, capture_output=True, timeout=120)  # fmt: skip
    assert done.returncode == 1
    assert "no model has been promoted yet" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "serve" / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_configs(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    for application in config["applications"]:
        assert application["import_path"] == "serve.app:build"
        AppArgs(**application["args"])
    assert config["http_options"]["host"] == "127.0.0.1"


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="max_minutes"):
        AppArgs.model_validate({"model": "m", "max_minutes": 3})


def test_our_own_faults_have_a_reference_and_no_traceback() -> None:
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []})
    answer = asyncio.run(unexpected(request, RuntimeError("secret detail")))
    body = json.loads(bytes(answer.body))
    assert answer.status_code == 500 and body["error"] == "internal"
    assert "secret" not in body["detail"] and "Traceback" not in body["detail"]
