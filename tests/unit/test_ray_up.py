"""infra/cluster: what ``ray up`` reads fits Ray's own schema, and ``ray start`` takes what nodes are started with."""

from __future__ import annotations

import copy
import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from ray.scripts.scripts import cli

from tests.manifests import ROOT

FILES = sorted((ROOT / "infra" / "cluster").glob("*.yaml"))
SCHEMA = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())


def read(file: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(file.read_text())
    return config


def test_there_is_one_for_a_cloud_and_one_for_machines_that_are_there() -> None:
    assert {read(file)["provider"]["type"] for file in FILES} == {"aws", "local"}


@pytest.mark.parametrize("file", FILES, ids=lambda p: p.stem)
def test_ray_reads_it(file: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    jsonschema.validate(read(file), SCHEMA)
    validate_config(prepare_config(copy.deepcopy(read(file))))  # what the schema cannot say, such as kinds of nodes


@pytest.mark.parametrize("file", FILES, ids=lambda p: p.stem)
@pytest.mark.parametrize("field", ["cluster_name", "upscaling_speed", "head_start_ray_commands", "file_mounts"])
def test_a_misspelt_field_is_found(file: Path, field: str) -> None:
    config = read(file)
    config[field + "s"] = config.pop(field)
    with pytest.raises(jsonschema.ValidationError, match=field):
        jsonschema.validate(config, SCHEMA)


@pytest.mark.parametrize("file", FILES, ids=lambda p: p.stem)
def test_nodes_are_started_with_options_that_there_are_and_behind_a_token(file: Path) -> None:
    config, started = read(file), []
    for line in config["head_start_ray_commands"] + config["worker_start_ray_commands"]:
        words = shlex.split(line)
        if "start" in words:
            given = cli.commands["start"].make_context("start", words[words.index("start") + 1 :]).params
            started.append(given["head"])
            assert given["dashboard_host"] in ("127.0.0.1", None, "localhost"), line
            assert "RAY_AUTH_MODE=token" in line + " ".join(config.get("docker", {}).get("run_options", ()))
    assert started == [True, False]
    assert any(place.endswith(".ray/auth_token") for place in config["file_mounts"])
