"""The fields of ray.io/v1 in KubeRay 1.7 that the manifests use, and what KubeRay's operator refuses beyond them.

A mapping has these keys and no others; a type is that of a value; a set holds the values that can be; a list is one of
such things. Pod templates are Kubernetes' own and checked by its schema.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

Fields = Any
POD: Fields = object  # checked elsewhere
SECRET = {"valueFrom": {"secretKeyRef": {"name": str, "key": str}}}
AMOUNTS = {"requests": dict, "limits": dict}

CLUSTER: Fields = {
    "rayVersion": str,
    "authOptions": {"mode": {"token", "disabled"}, "secretName": str},
    "enableInTreeAutoscaling": bool,
    "autoscalerOptions": {"version": {"v1", "v2"}, "idleTimeoutSeconds": int, "resources": AMOUNTS,
                          "upscalingMode": {"Default", "Aggressive", "Conservative"}},
    "gcsFaultToleranceOptions": {
        "backend": {"redis", "rocksdb"}, "redisAddress": str, "redisPassword": SECRET, "externalStorageNamespace": str,
        "storage": {"size": str, "storageClassName": str, "claimName": str}},
    "headGroupSpec": {"rayStartParams": dict, "template": POD},
    "workerGroupSpecs": [{
        "groupName": str, "replicas": int, "minReplicas": int, "maxReplicas": int, "idleTimeoutSeconds": int,
        "rayStartParams": dict, "template": POD}],
}  # fmt: skip
JOB: Fields = {
    "entrypoint": str, "entrypointNumCpus": (int, float),
    "submissionMode": {"K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"},
    "backoffLimit": int, "preRunningDeadlineSeconds": int, "activeDeadlineSeconds": int,
    "deletionStrategy": {"deletionRules": [{
        "condition": {"jobStatus": {"SUCCEEDED", "FAILED"}, "jobDeploymentStatus": {"Failed"}, "ttlSeconds": int},
        "policy": {"DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone"}}]},
    "rayClusterSpec": CLUSTER,
}  # fmt: skip
SERVICE: Fields = {
    "upgradeStrategy": {
        "type": {"NewClusterWithIncrementalUpgrade", "NewCluster", "None"},
        "clusterUpgradeOptions": {"gatewayClassName": str, "maxSurgePercent": int, "stepSizePercent": int,
                                  "intervalSeconds": int}},
    "rayClusterDeletionDelaySeconds": int, "excludeHeadPodFromServeSvc": bool, "serveConfigV2": str,
    "rayClusterConfig": CLUSTER,
}  # fmt: skip
KINDS: dict[str, Fields] = {
    "RayCluster": CLUSTER,
    "RayJob": JOB,
    "RayService": SERVICE,
    "RayCronJob": {"schedule": str, "timeZone": str, "jobTemplate": JOB},
}


def unknown(thing: dict[str, Any]) -> list[str]:
    """Fields of an object that there are not, and values that cannot be."""
    whole = {"apiVersion": str, "kind": str, "metadata": dict, "spec": KINDS[thing["kind"]]}
    return list(_unknown(thing, whole, thing["kind"]))


def _unknown(value: Any, fields: Fields, place: str) -> list[str]:
    if isinstance(fields, dict):
        if not isinstance(value, dict):
            return [f"{place} is {value!r}, not a mapping"]
        found = [f"{place}.{key}: there is no such field" for key in value if key not in fields]
        return found + [p for k, v in value.items() if k in fields for p in _unknown(v, fields[k], f"{place}.{k}")]
    if isinstance(fields, list):
        if not isinstance(value, list):
            return [f"{place} is {value!r}, not a list"]
        return [p for i, v in enumerate(value) for p in _unknown(v, fields[0], f"{place}[{i}]")]
    if isinstance(fields, set):
        return [] if value in fields else [f"{place} is {value!r}, not one of {sorted(fields)}"]
    fits = isinstance(value, fields) and (fields is bool or not isinstance(value, bool) or fields is object)
    return [] if fits else [f"{place} is {value!r}, of the wrong type"]


def excluded(thing: dict[str, Any]) -> list[str]:
    """What the operator refuses of an object whose fields are all right one by one."""
    spec = thing["spec"]["jobTemplate"] if thing["kind"] == "RayCronJob" else thing["spec"]
    cluster = spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or spec
    found = _cluster(cluster)
    if "entrypoint" in spec:
        found += _job(spec)
    if "upgradeStrategy" in spec:
        found += _upgrade(spec["upgradeStrategy"], cluster)
    return found


def _cluster(spec: dict[str, Any]) -> list[str]:
    found = []
    if spec["authOptions"]["mode"] == "token" and tuple(map(int, spec["rayVersion"].split("."))) < (2, 52, 0):
        found.append("tokens need Ray 2.52 or newer")
    found += [
        f"replicas of the group {group['groupName']} are not between its least and most"
        for group in spec["workerGroupSpecs"]
        if not 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    ]
    if spec["autoscalerOptions"]["version"] == "v2":
        templates = [spec["headGroupSpec"]["template"], *(g["template"] for g in spec["workerGroupSpecs"])]
        if any(t["spec"].get("restartPolicy", "Never") != "Never" for t in templates):
            found.append("with version v2 of the autoscaler the restartPolicy is Never, or none")
    tolerance = spec.get("gcsFaultToleranceOptions", {})
    redis = {"redisAddress", "redisPassword", "externalStorageNamespace"} & set(tolerance)
    if tolerance.get("backend", "redis") == "rocksdb" and redis:
        found.append(f"rocksdb takes no {sorted(redis)}")
    if tolerance.get("backend", "redis") == "redis" and "storage" in tolerance:
        found.append("redis takes no storage")
    return found


def _job(spec: dict[str, Any]) -> list[str]:
    found = []
    if "rayClusterSpec" not in spec:
        found.append("a job needs a cluster")
    if spec["activeDeadlineSeconds"] <= 0 or spec["preRunningDeadlineSeconds"] <= 0 or spec["backoffLimit"] < 0:
        found.append("deadlines are positive, backoffLimit is not negative")
    rules: dict[str, dict[str, int]] = {}
    for rule in spec["deletionStrategy"]["deletionRules"]:
        condition = rule["condition"]
        states = [s for s in ("jobStatus", "jobDeploymentStatus") if s in condition]
        if len(states) != 1:
            found.append("a condition has either jobStatus or jobDeploymentStatus")
            continue
        seconds = rules.setdefault(f"{states[0]} {condition[states[0]]}", {})
        if rule["policy"] in seconds:
            found.append(f"two rules of {rule['policy']} in one state")
        if rule["policy"] == "DeleteWorkers":
            found.append("an autoscaler is there: workers cannot be deleted by a rule")
        seconds[rule["policy"]] = condition["ttlSeconds"]
    for state, seconds in rules.items():
        in_order = [seconds[p] for p in ("DeleteWorkers", "DeleteCluster", "DeleteSelf") if p in seconds]
        if any(later < earlier for earlier, later in pairwise(in_order)):
            found.append(f"{state}: the job itself goes before its cluster")
    return found


def _upgrade(strategy: dict[str, Any], cluster: dict[str, Any]) -> list[str]:
    if strategy["type"] != "NewClusterWithIncrementalUpgrade":
        return []
    options, found = strategy["clusterUpgradeOptions"], []
    if not cluster["enableInTreeAutoscaling"]:
        found.append("an upgrade in steps needs the autoscaler")
    if not 0 < options["stepSizePercent"] <= options["maxSurgePercent"] <= 100:
        found.append("stepSizePercent is more than maxSurgePercent, or one is no share")
    if options["intervalSeconds"] <= 0:
        found.append("intervalSeconds is not positive")
    return found
