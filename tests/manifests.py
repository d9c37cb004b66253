"""The manifests of infra/kuberay as ``kubectl apply -k`` would send them, and what is wrong with each.

Of kustomize this does what they use, and refuses the rest: resources, images, namespace, nameSuffix, JSON patches that
replace what is there, and patches that delete an object.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from tests import kuberay_fields

ROOT = Path(__file__).parents[1]
KUBERAY = ROOT / "infra" / "kuberay"
KUBERNETES = "1.37"  # whose schemas the core kinds are held to
KNOWN = {"apiVersion", "kind", "namespace", "nameSuffix", "resources", "images", "patches"}
NO_NAMESPACE = {"Namespace"}

Object = dict[str, Any]


def documents(path: Path) -> list[Object]:
    return [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document is not None]


def kustomizations() -> list[Path]:
    """The folders that can be applied."""
    return sorted(path.parent for path in KUBERAY.rglob("kustomization.yaml"))


@cache
def _built(folder: Path) -> str:
    (layer,) = documents(folder / "kustomization.yaml")
    assert set(layer) <= KNOWN, f"{folder}: {set(layer) - KNOWN} is nothing that these tests know"
    objects: list[Object] = []
    for name in layer["resources"]:
        place = (folder / name).resolve()
        # kustomize: a base may not lie above what is built on it, a file not outside
        assert not folder.resolve().is_relative_to(place), f"{folder}: {name} is above it"
        assert place.is_dir() or place.is_relative_to(folder.resolve()), f"{folder}: {name} lies elsewhere"
        objects += build(place) if place.is_dir() else documents(place)
    for patch in layer.get("patches", ()):
        objects = patched(objects, patch)
    tags = {image["name"]: image["newTag"] for image in layer.get("images", ())}
    for thing in objects:
        if "namespace" in layer and thing["kind"] not in NO_NAMESPACE:
            thing["metadata"]["namespace"] = layer["namespace"]
        thing["metadata"]["name"] += layer.get("nameSuffix", "")
        for container in containers(thing):
            if container["image"] in tags:
                container["image"] += f":{tags[container['image']]}"
    return json.dumps(objects)


def build(folder: Path) -> list[Object]:
    """The objects that ``kubectl apply -k folder`` would send."""
    objects: list[Object] = json.loads(_built(folder))  # each time its own, which a test may spoil
    return objects


def patched(objects: list[Object], patch: Object) -> list[Object]:
    assert set(patch) <= {"target", "patch"}, patch
    change = yaml.safe_load(patch["patch"])
    if isinstance(change, dict):
        assert change["$patch"] == "delete", change
        kept = [
            o for o in objects if (o["kind"], o["metadata"]["name"]) != (change["kind"], change["metadata"]["name"])
        ]
        assert len(kept) == len(objects) - 1, f"nothing there to delete: {change}"
        return kept
    assert set(patch["target"]) == {"kind"}, patch["target"]
    chosen = [o for o in objects if o["kind"] == patch["target"]["kind"]]
    assert chosen, f"no object of the kind {patch['target']}"
    for thing in chosen:
        for step in change:
            assert step["op"] == "replace", step
            replace(thing, step["path"].strip("/").split("/"), step["value"])
    return objects


def replace(thing: Any, path: list[str], value: Any) -> None:
    """As JSON Patch does: what is replaced must be there."""
    *way, last = path
    for name in way:
        thing = thing[int(name)] if isinstance(thing, list) else thing[name]
    assert last in thing, f"nothing at {'/'.join(path)}"
    thing[last] = value


def walk(thing: Any) -> Iterator[Object]:
    """Every mapping within a document, the outer ones first."""
    if isinstance(thing, dict):
        yield thing
    for inner in thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list) else ():
        yield from walk(inner)


def containers(thing: Any) -> Iterator[Object]:
    for mapping in walk(thing):
        for key in ("containers", "initContainers"):
            yield from mapping.get(key, ())


def pod_templates(thing: Any) -> list[Object]:
    return [
        m["template"] for m in walk(thing) if "spec" in m.get("template", {}) and "containers" in m["template"]["spec"]
    ]


def problems(thing: Object) -> list[str]:
    """What Kubernetes or KubeRay would refuse of an object: unknown fields, wrong types, what excludes another."""
    found = []
    if thing["apiVersion"] == "ray.io/v1":
        found += kuberay_fields.unknown(thing)
        for template in pod_templates(thing):
            found += _core({"apiVersion": "v1", "kind": "PodTemplate", "template": template})
        return found if found else kuberay_fields.excluded(thing)
    return _core(thing)


def _core(thing: Object) -> list[str]:
    try:
        kubernetes_validate.validate(thing, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{thing['kind']}: {error.message} at {'/'.join(map(str, error.path))}"]
    return []
