"""The manifests for KubeRay: each field is one that there is, references lead somewhere, jobs have such options."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml

from serve.settings import AppArgs
from tests import kuberay_fields
from tests.manifests import KUBERAY, ROOT, build, containers, kustomizations, pod_templates, problems, walk
from tests.pages import commands
from tonearm import __version__

BASE = KUBERAY / "base"
SCHEMAS = ROOT.parent / "shared" / "data" / "kuberay"
SECRETS = {"tonearm-storage", "tonearm-tracking", "tonearm-redis"}  # that infra/README.md has people make


def everything() -> list[dict[str, Any]]:
    return [thing for folder in kustomizations() for thing in build(folder)]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [thing for thing in everything() if thing["kind"] == kind]


@pytest.mark.parametrize("folder", kustomizations(), ids=lambda p: p.relative_to(KUBERAY).as_posix())
def test_what_is_applied_is_valid(folder: Path) -> None:
    assert {thing["metadata"]["name"]: problems(thing) for thing in build(folder) if problems(thing)} == {}
    assert all(
        thing["metadata"].get("namespace") == "tonearm" for thing in build(folder) if thing["kind"] != "Namespace"
    )


def misspell(thing: dict[str, Any], at: str, new: str) -> None:
    for mapping in list(walk(thing)):
        if at in mapping:
            mapping[new] = mapping.pop(at)
            return
    raise AssertionError(f"no {at}")


@pytest.mark.parametrize("field", ["rayVersion", "groupName", "minReplicas", "mode", "serveConfigV2", "backoffLimit",
                                   "policy", "ttlSeconds", "schedule", "stepSizePercent", "redisAddress",
                                   "readinessProbe", "runAsNonRoot", "envFrom", "podSelector", "minAvailable",
                                   "serviceName"])  # fmt: skip
def test_a_misspelt_field_is_found(field: str) -> None:
    holders = [t for t in everything() if any(field in m for m in walk(t)) and t["kind"] != "ConfigMap"]
    assert holders
    for thing in holders:
        misspell(thing, field, field + "s")
        assert any(field in problem for problem in problems(thing)), (thing["kind"], problems(thing))


def set_in(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(thing: Any) -> None:
        for name in path[:-1]:
            thing = thing[name]
        thing[path[-1]] = value

    return change


@pytest.mark.parametrize(("kind", "change", "says"), [
    ("RayCluster", set_in("spec", "rayVersion", value="2.51.0"), "2.52"),
    ("RayCluster", set_in("spec", "authOptions", "mode", value="tokens"), "not one of"),
    ("RayCluster", set_in("spec", "workerGroupSpecs", 0, "minReplicas", value="1"), "wrong type"),
    ("RayCluster", set_in("spec", "workerGroupSpecs", 0, "replicas", value=9), "between"),
    ("RayCluster", set_in("spec", "workerGroupSpecs", 0, "template", "spec", "restartPolicy", value="Always"), "v2"),
    ("RayCluster", set_in("spec", "gcsFaultToleranceOptions", "storage", value={"size": "1Gi"}), "storage"),
    ("RayJob", set_in("spec", "backoffLimit", value=-1), "negative"),
    ("RayJob", set_in("spec", "deletionStrategy", "deletionRules", 1, "condition", "ttlSeconds", value=1), "before"),
    ("RayJob", set_in("spec", "deletionStrategy", "deletionRules", 1, "policy", value="DeleteCluster"), "two rules"),
    ("RayService", set_in("spec", "upgradeStrategy", "clusterUpgradeOptions", "stepSizePercent", value=30), "more"),
    ("RayService", set_in("spec", "rayClusterConfig", "enableInTreeAutoscaling", value=False), "autoscaler"),
])  # fmt: skip
def test_what_the_operator_would_refuse_is_found(kind: str, change: Callable[..., None], says: str) -> None:
    thing = of_kind(kind)[0]
    assert problems(thing) == []
    change(thing)
    assert says in " ".join(problems(thing))


def check_facts(fields: Any, schema: dict[str, Any], place: str) -> None:
    names = {str: "string", int: "integer", bool: "boolean", dict: "object", (int, float): "number"}
    if isinstance(fields, dict):
        for key, inner in fields.items():
            assert key in schema.get("properties", {}), f"{place}.{key}"
            check_facts(inner, schema["properties"][key], f"{place}.{key}")
    elif isinstance(fields, list):
        check_facts(fields[0], schema["items"], place)
    elif isinstance(fields, set):
        assert schema.get("enum") is None or fields == set(schema["enum"]), (
            place
        )  # some are checked by the operator alone
    elif fields is not kuberay_fields.POD and "anyOf" not in schema:
        assert schema["type"] == names[fields], place


@pytest.mark.skipif(not SCHEMAS.exists(), reason="the schemas are not here; the fields are checked by our own list")
@pytest.mark.parametrize("kind", sorted(kuberay_fields.KINDS))
def test_our_list_of_fields_says_what_the_schemas_say(kind: str) -> None:
    schema = json.loads((SCHEMAS / f"{kind}-ray.io-v1.json").read_text())
    check_facts(kuberay_fields.KINDS[kind], schema["properties"]["spec"], kind)
    for thing in of_kind(kind):
        jsonschema.validate(thing, schema)


def test_images_are_ours_and_pinned_and_of_the_installed_ray() -> None:
    images = {c["image"] for thing in everything() for c in containers(thing)}
    assert images == {f"tonearm:{__version__}", f"tonearm-cuda:{__version__}", "redis:7.2.11-bookworm"}
    assert {m["rayVersion"] for thing in everything() for m in walk(thing) if "rayVersion" in m} == {
        importlib.metadata.version("ray")
    }


def test_secrets_and_settings_are_referred_to_by_names_that_are() -> None:
    settings = {t["metadata"]["name"] for t in of_kind("ConfigMap")}
    for thing in everything():
        for mapping in walk(thing):
            for key in ("secretRef", "secretKeyRef"):
                assert key not in mapping or mapping[key]["name"] in SECRETS, mapping
            assert "configMapRef" not in mapping or mapping["configMapRef"]["name"] in settings, mapping
    assert of_kind("Secret") == []
    assert all(name in (ROOT / "infra" / "README.md").read_text() for name in SECRETS)


def test_no_pod_runs_as_root_and_each_has_probes() -> None:
    for thing in everything():
        for template in pod_templates(thing):
            assert template["spec"]["securityContext"]["runAsNonRoot"] is True
            for container in template["spec"]["containers"]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                }
                assert {"readinessProbe", "livenessProbe", "resources"} <= set(container), container["name"]


def test_the_service_is_the_one_that_serve_config_describes() -> None:
    (service, *_) = of_kind("RayService")
    deployed = yaml.safe_load(service["spec"]["serveConfigV2"])
    assert deployed == yaml.safe_load((ROOT / "serve" / "config" / "cluster.yaml").read_text())
    AppArgs(**deployed["applications"][0]["args"])
    workers = service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]
    assert workers["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": deployed["http_options"]["port"]}


def test_what_the_proxies_call_is_there() -> None:
    (settings, *_) = of_kind("ConfigMap")
    module, name = settings["data"]["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"].rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), name))


def jobs() -> list[dict[str, Any]]:
    """What a RayJob is to do, those that come of a schedule included."""
    return [t["spec"] for t in of_kind("RayJob")] + [t["spec"]["jobTemplate"] for t in of_kind("RayCronJob")]


def test_readme_applies_folders_that_are_there() -> None:
    applied = [shlex.split(line)[-1] for line in commands(ROOT / "infra" / "README.md") if "kubectl apply" in line]
    assert applied
    assert {(ROOT / folder) for folder in applied} <= set(kustomizations())


def test_there_is_a_job_for_each_step() -> None:
    assert {t["metadata"]["name"] for t in of_kind("RayJob")} >= {
        f"tonearm-{s}" for s in ("extract", "sweep", "select", "index")
    }


@pytest.mark.parametrize("entrypoint", sorted({job["entrypoint"] for job in jobs()}))
def test_entrypoints_have_options_that_the_jobs_know(entrypoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    python, flag, module, *arguments = shlex.split(entrypoint)
    assert (python, flag) == ("python", "-m")
    app = typer.Typer(add_completion=False)
    app.command()(importlib.import_module(module).main)
    monkeypatch.setattr(sys, "argv", [module])
    typer.main.get_command(app).make_context(module, arguments)  # refuses what it does not know
