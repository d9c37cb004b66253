"""Starting the server: what cannot work is said in a line."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError
from starlette.requests import Request

from serve.access import new_token, tokens_uri
from serve.app import build
from serve.handlers import unexpected
from serve.holding import listener_target
from serve.launch import check_settings, require_cpus, start
from serve.listener import Listener
from serve.settings import AppArgs
from serve.versions import Version, resolve
from tests.builders import CLASSES, encode, sounds_like
from tonearm.core.errors import BundleError, ConfigError, JobError
from tonearm.core.processes import require_free_port
from tonearm.inference import load

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "serve" / "config").glob("*.yaml"))


def test_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(JobError, match=rf"port {port} .* in use.*choose another port, by --port N, .*ARGS"):
            require_free_port("127.0.0.1", port)


def test_nothing_promoted_yet() -> None:
    done = subprocess.run([sys.executable, "-m", "jobs.serve", "--port", "0"], cwd=ROOT, env=dict(os.environ),
                          text=True, capture_output=True, timeout=300)  # fmt: skip
    assert done.returncode == 1
    assert "no model has been promoted yet" in done.stderr and "Traceback" not in done.stderr


def test_start_on_a_port_in_use(model: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(JobError, match="in use"):
            start(AppArgs(model=model), port=taken.getsockname()[1])


def test_model_that_is_not_there_is_found_before_anything_is_deployed(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no-such-model"):
        start(AppArgs(model=str(tmp_path / "no-such-model")), port=0)


@pytest.mark.integration
def test_more_replicas_than_cpus(server: str, model: str, caplog: pytest.LogCaptureFixture) -> None:
    require_cpus(check_settings(model=model, replicas=3))
    with pytest.raises(JobError, match=r"4 replicas .* need 2\.2 CPUs, this machine has 2: .*--replicas"):
        require_cpus(check_settings(model=model, replicas=4))
    for stays in ({"model": "models:/m@champion"}, {"model": "models:/m/3", "replicas": 3}):
        require_cpus(check_settings(**stays))
    assert caplog.text == ""
    require_cpus(check_settings(model="models:/m@champion", replicas=3))
    assert "a promotion will not be followed: two versions at a time need 3.2 CPUs, this machine has 2;" in caplog.text


def test_all_impossible_settings_are_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(model="m", replicas=0, max_seconds=-1.0)
    assert len(caught.value.problems) == 2
    assert any("replicas" in p and "got 0" in p for p in caught.value.problems)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_shipped_configs_build(path: Path) -> None:
    """As ``serve run`` goes about it; the builder is called through Ray, which reads its annotations."""
    from ray._common.utils import import_attr
    from ray.serve._private.api import call_user_app_builder_with_args_if_necessary
    from ray.serve.schema import ServeDeploySchema

    config = ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    for application in config.applications:
        args = AppArgs(**application.args)
        assert config.http_options.host == "127.0.0.1" or args.tokens, "who reaches it from elsewhere needs a token"
        builder = import_attr(application.import_path)
        built = call_user_app_builder_with_args_if_necessary(builder, application.args)
        assert type(built).__name__ == "Application"
        listener = listener_target(args, Version("/models/m", "m")).target._bound_deployment
        scale = listener._deployment_config.autoscaling_config
        assert (scale.max_replicas if scale else 0) == args.most_replicas
        with pytest.raises(ValidationError, match="max_minutes"):
            call_user_app_builder_with_args_if_necessary(builder, {**application.args, "max_minutes": 3})


def test_a_deployment_is_asked_with_tokens_unless_it_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tokens_of(**args: Any) -> bool:
        settings: dict[str, Any] = build(AppArgs(model="models:/m@champion", **args))._bound_deployment.init_args[1]
        return bool(settings["tokens"])

    monkeypatch.setenv("TONEARM_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"nobody has a token: make one with .* tokens: false"):
        tokens_of()
    assert not tokens_of(tokens=False)
    new_token("anna", tokens_uri())
    assert tokens_of() and tokens_of(tokens=True)


def test_a_model_answers_and_explains_where_it_is_put(model: str) -> None:
    """``cpu:0`` takes a card's way: features in a batch, inputs brought to where each network is."""
    for label in CLASSES:
        song = encode(sounds_like(label, 5, 2.0))
        wanted, found = load(model).classify(song), load(model, device="cpu:0").classify(song)
        np.testing.assert_allclose(found.prediction.probabilities, wanted.prediction.probabilities, atol=2e-3)
        np.testing.assert_allclose(found.embedding, wanted.embedding, atol=2e-3)
        ours, theirs = ([m.log_odds for m in c.explanation.members] for c in (found, wanted) if c.explanation)
        assert ours == pytest.approx(theirs, abs=0.05)


def test_a_copy_with_a_share_of_a_card_says_where_there_is_none(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = Listener(resolve(model), 60, gpus=0.25).about()
    assert said["problem"] == "unusable" and "0.25 of a GPU, but torch sees none" in said["detail"]


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="max_minutes"):
        AppArgs.model_validate({"model": "m", "max_minutes": 3})


def test_our_own_faults_have_a_reference_and_no_traceback() -> None:
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []})
    answer = asyncio.run(unexpected(request, RuntimeError("secret detail")))
    body = json.loads(bytes(answer.body))
    assert answer.status_code == 500 and body["error"] == "internal"
    assert "secret" not in body["detail"] and "Traceback" not in body["detail"]
