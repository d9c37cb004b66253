"""Who reaches which port under the network policies of infra/kuberay: outsiders the port of the service alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.manifests import KUBERAY, build, kustomizations, pod_templates

EVERY = "every port"
CODE = {8265, 10001, 8404, 9101, 8080, 6379, 52365}  # that execute code, or tell of it


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, selector
    return selector.get("matchLabels", {}).items() <= labels.items()


def comes_from(peer: dict[str, Any], labels: dict[str, str], here: bool) -> bool:
    assert set(peer) <= {"podSelector", "namespaceSelector"}, peer
    if "namespaceSelector" not in peer and not here:
        return False
    assert peer.get("namespaceSelector", {}) == {}, peer
    return selects(peer.get("podSelector", {}), labels)


def open_ports(pod: dict[str, str], policies: list[dict[str, Any]], caller: dict[str, str], here: bool) -> set[Any]:
    """The ports of a pod that a caller reaches; ``here``: it is in the same namespace."""
    mine = [
        p["spec"] for p in policies if selects(p["spec"]["podSelector"], pod) and "Ingress" in p["spec"]["policyTypes"]
    ]
    if not mine:
        return {EVERY}  # what no policy selects is open
    rules = [
        r
        for spec in mine
        for r in spec["ingress"]
        if "from" not in r or any(comes_from(f, caller, here) for f in r["from"])
    ]
    return {port["port"] for r in rules for port in r.get("ports", ())} | {EVERY for r in rules if "ports" not in r}


def policies() -> list[dict[str, Any]]:
    return [t for t in build(KUBERAY / "base") if t["kind"] == "NetworkPolicy"]


def pods() -> list[dict[str, str]]:
    return [
        t["metadata"]["labels"] for folder in kustomizations() for thing in build(folder) for t in pod_templates(thing)
    ]


@pytest.mark.parametrize("here", [True, False], ids=["same namespace", "elsewhere"])
def test_outsiders_reach_the_service_alone(here: bool) -> None:
    assert len(pods()) > 10
    rules = policies()
    for pod in pods():
        answers = pod.get("app.kubernetes.io/component") == "service"
        assert open_ports(pod, rules, {"app": "other"}, here) == ({8000} if answers else set()), pod


def test_the_operator_and_prometheus_reach_what_they_need_and_no_more() -> None:
    for pod in pods():
        if pod["app.kubernetes.io/name"] == "tonearm":
            seen = open_ports(pod, policies(), {"app.kubernetes.io/name": "kuberay-operator"}, False)
            assert seen == {8265, 52365, 8000}
            seen = open_ports(pod, policies(), {"app.kubernetes.io/name": "prometheus"}, False)
            assert seen - {8000} == {8080}


def test_rays_pods_reach_each_other_and_redis() -> None:
    caller = {"app.kubernetes.io/name": "tonearm"}
    for pod in pods():
        assert open_ports(pod, policies(), caller, True) & {EVERY, 6379}, pod
        assert (
            not open_ports(pod, policies(), caller, False) & CODE
        )  # the same label in another namespace is an outsider


def test_an_opened_port_would_be_noticed() -> None:
    opened = policies()
    opened[0]["spec"]["ingress"].append({"ports": [{"port": 8265}]})
    assert 8265 in open_ports({"app.kubernetes.io/name": "tonearm"}, opened, {"app": "other"}, False)
    assert open_ports({"app.kubernetes.io/name": "tonearm"}, [], {"app": "other"}, False) == {EVERY}


def test_without_redis_its_policy_is_gone_and_the_rest_stays() -> None:
    kinds = {(t["kind"], t["metadata"]["name"]) for t in build(KUBERAY / "overlays" / "rocksdb")}
    base = {(t["kind"], t["metadata"]["name"]) for t in build(KUBERAY / "base")}
    gone = {("Service", "tonearm-redis"), ("StatefulSet", "tonearm-redis"), ("NetworkPolicy", "tonearm-redis")}
    assert kinds == base - gone


def test_each_disruption_budget_is_of_pods_that_there_are() -> None:
    budgets = [t for t in build(KUBERAY / "base") if t["kind"] == "PodDisruptionBudget"]
    assert len(budgets) == 2
    for budget in budgets:
        assert any(selects(budget["spec"]["selector"], pod) for pod in pods()), budget["metadata"]["name"]
        assert isinstance(budget["spec"]["minAvailable"], int)
