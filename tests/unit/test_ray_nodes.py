"""What is said of a node that has other things installed than the process that would give it work."""

from __future__ import annotations

from typing import Any

import pytest

from tonearm.core import home
from tonearm.workflows.ray_nodes import PACKAGES, _asking, _compare_clocks, _differences, _elsewhere, _seconds_ahead


def changed(found: dict[str, Any], part: str, name: str, value: str) -> dict[str, Any]:
    return {**found, part: {**found[part], name: value}}


def test_this_process_has_all_that_is_asked_for() -> None:
    found = _asking()()
    assert all(found["versions"].values()) and all(found["code"].values()) and list(found["versions"]) == list(PACKAGES)
    assert "+" not in found["versions"]["torch"], "torch 2.11.0+cpu and 2.11.0+cu130 are one version"
    assert list(_differences(found, _asking()())) == []


def test_differences_are_named() -> None:
    own = _asking()()
    node = changed(changed(own, "versions", "torch", ""), "code", "serve", "")
    assert list(_differences(own, node)) == ["lacks torch, serve"]
    node = changed(own, "versions", "numpy", "1.26.4")
    assert list(_differences(own, node)) == [f"has numpy 1.26.4 (here {own['versions']['numpy']})"]
    node = {**changed(own, "code", "tonearm", "ab"), "commit": "0123456789ab"}
    (said,) = _differences(own, node)
    assert said.startswith("has other code of tonearm, commit 0123456789ab (here ")


def test_what_this_process_lacks_itself_is_not_asked_for() -> None:
    node = _asking()()
    assert list(_differences(changed(node, "versions", "av", ""), node)) == []


def test_a_password_that_a_node_does_not_have_is_named_and_does_not_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.TRACKING, "postgresql://me:hush@host/runs")
    own, ask = _asking()(), _asking()
    assert "hush" not in str(own) and "hush" not in str([cell.cell_contents for cell in ask.__closure__ or ()])
    assert _elsewhere(own, ask()) == []
    for value in ("postgresql://me:other@host/runs", ""):
        monkeypatch.setenv(home.TRACKING, value)
        assert _elsewhere(own, ask()) == [home.TRACKING]


def test_clocks_that_are_off_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """By no less than they are off for certain: a node may take two minutes to answer."""
    assert [_seconds_ahead(clock, 100.0, 200.0) for clock in (100.0, 150.0, 200.0)] == [0.0, 0.0, 0.0]
    with caplog.at_level("WARNING"):
        _compare_clocks({"10.0.0.2": 30.0})
        assert not caplog.records
        _compare_clocks({"10.0.0.2": 30.0, "10.0.0.3": _seconds_ahead(3800.0, 100.0, 200.0), "10.0.0.4": -3600.0})
    (said,) = [r.getMessage() for r in caplog.records]
    assert "10.0.0.3 is 60 minutes ahead" in said and "10.0.0.4 is 60 minutes behind" in said and "10.0.0.2" not in said
