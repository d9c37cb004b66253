"""What no node has is refused at once, or waited for where nodes are started on demand."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tonearm.core.errors import ConfigError, JobError
from tonearm.sweeps import scheduling


class Group:
    """A placement group on a cluster to which a node comes, or none."""

    asked: list[list[dict[str, float]]]
    removed: int

    def __init__(self, comes: bool) -> None:
        self.comes, self.asked, self.removed = comes, [], 0

    def __call__(self, bundles: list[dict[str, float]]) -> Group:
        self.asked.append(bundles)
        return self

    def wait(self, timeout_seconds: float) -> bool:
        return self.comes

    def remove(self, group: Group) -> None:
        self.removed += 1


def on(monkeypatch: pytest.MonkeyPatch, comes: bool, seconds: str) -> Group:
    group = Group(comes)
    nodes: list[dict[str, Any]] = [
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": False, "Resources": {"GPU": 8}},
    ]
    monkeypatch.setattr(scheduling.ray, "nodes", lambda: nodes)
    monkeypatch.setattr(scheduling, "placement_group", group)
    monkeypatch.setattr(scheduling, "remove_placement_group", group.remove)
    monkeypatch.setenv(scheduling.WAIT, seconds)
    return group


def test_what_no_node_has_is_refused_at_once_with_how_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    group = on(monkeypatch, True, "")
    scheduling.require_resources(4, 0)
    with pytest.raises(JobError, match=r"1 GPU\(s\), the nodes have 4 core.* set TONEARM_NODE_SECONDS=900") as caught:
        scheduling.require_resources(1, 1)
    assert not group.asked and "8 GPU" not in str(caught.value)


def test_a_node_that_is_started_on_demand_is_asked_for_and_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tonearm")
    group = on(monkeypatch, True, "60")
    scheduling.require_resources(2, 0)
    assert not group.asked
    scheduling.require_resources(1, 0.25)
    assert group.asked == [[{"CPU": 1, "GPU": 0.25}]] and group.removed == 1 and "up to 60 s" in caplog.text
    group = on(monkeypatch, False, "60")
    with pytest.raises(JobError, match="none came in 60 s"):
        scheduling.require_resources(8, 0)
    assert group.asked == [[{"CPU": 8}]] and group.removed == 1


@pytest.mark.parametrize("given", ["soon", "-1", "inf", "nan"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    on(monkeypatch, True, given)
    with pytest.raises(ConfigError, match=f"TONEARM_NODE_SECONDS is '{given}': seconds to wait"):
        scheduling.require_resources(1, 0)
