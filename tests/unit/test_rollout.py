"""From one version to the next: what is asked of the deployer, and who answers meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from serve.rollout import LINGER, Rollout, Route, State
from serve.versions import Version, challenger_uri, follows, resolve
from tonearm.core.errors import BundleError, ConfigError, TrackingError

ONE, TWO, THREE = (Version(f"models:/tonearm-x/{n}", "tonearm-x", str(n)) for n in (1, 2, 3))
TRIED = 10.0


class Held:
    """A deployer in memory, and a clock: a version is "starting" until it is said to be something else."""

    def __init__(self) -> None:
        self.states: dict[Version, tuple[State, str]] = {}
        self.unusable: dict[Version, str] = {}
        self.seconds = 0.0
        self.wanted: Version | Exception | None = ONE
        self.others: set[Version] = set()
        self.rollout = Rollout(self, self.resolve, 0.1, TRIED, lambda: self.seconds, lambda: self.others)

    def resolve(self) -> Version | None:
        if isinstance(self.wanted, Exception):
            raise self.wanted
        return self.wanted

    def deploy(self, version: Version) -> None:
        self.states.setdefault(version, ("starting", ""))

    def remove(self, version: Version) -> None:
        self.states.pop(version, None)

    def state(self, version: Version) -> tuple[State, str]:
        return self.states.get(version, ("absent", ""))

    def about(self, version: Version) -> dict[str, Any]:
        if version in self.unusable:
            return {"problem": "unusable", "detail": self.unusable[version]}
        return {"bundle": f"bundle of {version.number}"}

    def runs(self, *versions: Version) -> None:
        self.states.update(dict.fromkeys(versions, ("running", "")))

    def step(self, seconds: float = 0.0) -> tuple[str, str]:
        """Who answers, and who is tried, after a while."""
        self.seconds += seconds
        self.rollout.step()
        current, canary = self.rollout.current, self.rollout.canary
        return (current.version.number if current else "", canary.version.number if canary else "")


@pytest.fixture
def held() -> Held:
    """Version 1 answers, version 2 is wanted."""
    held = Held()
    assert held.step() == ("", "")
    held.runs(ONE)
    assert held.step() == ("1", ""), "the first one is not tried: nobody else would answer"
    held.wanted = TWO
    return held


def test_a_new_version_is_warmed_tried_and_takes_all_and_the_old_one_lingers(held: Held) -> None:
    assert held.step() == ("1", "") and held.state(TWO)[0] == "starting"
    held.runs(TWO)
    assert held.step() == ("1", "2")
    held.rollout.count(TWO, answered=5, failed=1)  # one failure may be chance
    assert held.step(TRIED - 1) == ("1", "2")
    assert held.step(1) == ("2", "") and ONE in held.states, "answers of the old one may be on their way"
    assert held.step(LINGER + 1) == ("2", "") and set(held.states) == {TWO}


def test_a_version_that_cannot_be_used_changes_nothing(held: Held) -> None:
    held.unusable[TWO] = "BundleError: /srv/model is damaged"
    held.step()
    held.runs(TWO)
    assert held.step() == ("1", "") and held.rollout.refused == {TWO: "it cannot be used"}, "no place is told"
    assert held.rollout.details == {TWO: "it cannot be used: BundleError: /srv/model is damaged"}
    assert held.step(100) == ("1", "") == held.step(100) and TWO not in held.states, "nor is it tried again"


def test_a_version_whose_processes_do_not_start_changes_nothing(held: Held) -> None:
    held.step()
    held.states[TWO] = ("failed", "no room")
    assert held.step() == ("1", "") and held.rollout.details == {TWO: "its processes do not start: no room"}
    assert held.step(LINGER + 1) == ("1", "") and set(held.states) == {ONE}


def test_a_canary_that_fails_more_often_is_taken_back(held: Held) -> None:
    held.step()
    held.runs(TWO)
    held.step()
    held.rollout.count(ONE, answered=100, failed=1)
    held.rollout.count(TWO, answered=8, failed=2)
    assert held.step() == ("1", "") and TWO in held.states, "who was told of it asks it for a while yet"
    assert held.step(LINGER + 1) == ("1", "") and set(held.states) == {ONE}
    assert held.rollout.refused[TWO].startswith("2 of 10 requests failed, 1 of 101")


def test_when_all_fail_alike_the_new_one_is_not_to_blame(held: Held) -> None:
    held.step()
    held.runs(TWO)
    held.step()
    held.rollout.count(ONE, answered=10, failed=10)
    held.rollout.count(TWO, answered=3, failed=3)
    assert held.step(TRIED) == ("2", "")


def test_a_version_that_fails_after_it_took_all_gives_way_to_the_one_before(held: Held) -> None:
    held.step()
    held.runs(TWO)
    held.step()
    assert held.step(TRIED) == ("2", "")
    held.states[TWO] = ("failed", "killed again and again")
    assert held.step(1) == ("1", "")
    assert "killed again and again" in held.rollout.details[TWO]
    assert held.step(LINGER + 1) == ("1", "") and set(held.states) == {ONE}


def test_a_promotion_that_is_taken_back_ends_the_trial(held: Held) -> None:
    held.step()
    held.runs(TWO)
    assert held.step() == ("1", "2")
    held.wanted = ONE
    assert held.step() == ("1", "") and held.step(LINGER + 1) == ("1", "") and set(held.states) == {ONE}
    held.wanted = TWO
    held.step()
    assert held.state(TWO)[0] == "starting", "and may be tried again"


def test_the_last_of_two_promotions_counts(held: Held) -> None:
    held.step()
    held.wanted = THREE
    held.step()
    assert held.step(LINGER + 1) == ("1", "") and set(held.states) == {ONE, THREE}
    held.runs(THREE)
    held.step()
    assert held.step(TRIED) == ("3", "")


def test_a_rollback_soon_after_finds_the_old_one_still_there(held: Held) -> None:
    held.step()
    held.runs(TWO)
    held.step()
    held.step(TRIED)
    held.wanted = ONE
    held.step(1)
    assert held.step() == ("2", "1"), "it runs still, and is tried at once"
    assert held.step(TRIED) == ("1", "")
    assert held.step(LINGER + 1) == ("1", "") and set(held.states) == {ONE}


def test_a_registry_that_is_away_changes_nothing_and_is_told(held: Held) -> None:
    held.wanted = TrackingError("no answer")
    assert held.step() == ("1", "") and held.rollout.problem.startswith("the registry cannot be asked")
    assert "no answer" not in held.rollout.problem, "it may name places"
    held.wanted = ONE
    assert held.step() == ("1", "") and held.rollout.problem == ""


def test_a_follower_that_is_begun_anew_goes_on_from_who_answers() -> None:
    held = Held()
    held.wanted = TWO
    held.runs(ONE)
    held.rollout.adopt(Route(THREE, {}))
    assert held.rollout.current is None, "it is not there"
    held.rollout.adopt(Route(ONE, {}))
    assert held.step() == ("1", "") and held.state(TWO)[0] == "starting"


def test_a_rollback_while_the_old_version_is_being_ended_begins_it_again(held: Held) -> None:
    held.step()
    held.runs(TWO)
    held.step()
    held.step(TRIED)
    held.states[ONE] = ("starting", "it is being deleted")
    held.wanted = ONE
    assert held.step(1) == ("2", "")
    del held.states[ONE]
    assert held.step(1) == ("2", "") and held.state(ONE)[0] == "starting" and not held.rollout.refused
    held.runs(ONE)
    held.step()
    assert held.step(TRIED) == ("1", "")


def test_a_version_whose_processes_die_again_and_again_is_neither_taken_nor_kept(held: Held) -> None:
    held.step()
    held.runs(TWO)
    assert held.step() == ("1", "2")
    held.states[TWO] = ("unhealthy", "killed")
    assert held.step(TRIED) == ("1", "2"), "once may be the machine's fault"
    held.runs(TWO)
    assert held.step(TRIED - 1) == ("1", "2"), "the trial has begun anew"
    assert held.step(1) == ("2", "")
    held.states[TWO] = ("unhealthy", "killed")
    assert held.step(1) == ("2", "")
    held.runs(TWO)
    assert held.step(1) == ("2", "")
    held.states[TWO] = ("unhealthy", "killed")
    assert held.step(1) == ("1", "") and "died" in held.rollout.refused[TWO]


def test_a_version_without_room_is_told(held: Held) -> None:
    held.step()
    held.step(61)
    assert "version 2 has been starting for 61 s" in held.rollout.problem


def test_names_of_versions() -> None:
    folder = resolve("/srv/private/bundle/")
    assert (folder.name, folder.number) == ("bundle", "")
    assert folder.signature("abc") == {"model": "bundle", "version": "", "bundle": "abc"}, "no place of the server's"
    assert resolve("models:/tonearm-x/2") == TWO and not follows("models:/tonearm-x/2")
    assert follows("models:/tonearm-x@champion") and not follows("/srv/a@b")
    assert TWO.application("tonearm") != THREE.application("tonearm")
    other = Version("/elsewhere/bundle", "bundle").application("tonearm")
    assert other != folder.application("tonearm") and other.startswith("tonearm-listener-bundle-")
    assert (TWO.to_type, folder.to_type) == ("models:/tonearm-x/2", "MODEL"), "what a message says to type"
    with pytest.raises(BundleError, match="no model named"):
        resolve("")


def test_what_somebody_else_needs_is_left_to_be_held(held: Held) -> None:
    held.step()
    held.runs(TWO)
    held.step()
    held.others = {ONE}
    assert held.step(TRIED) == ("2", "") and held.rollout.needed == {ONE, TWO}, "one may have to answer again"
    held.step(LINGER + 1)
    assert held.step(LINGER + 1) == ("2", "") and set(held.states) == {ONE, TWO} and held.rollout.needed == {TWO}
    held.others = set()
    assert held.step(2 * LINGER) == ("2", "") and set(held.states) == {ONE, TWO}, "whoever needed it last ends it"


def test_a_challenger_that_is_wanted_no_more_ends(held: Held) -> None:
    held.wanted = None
    assert held.step() == ("", "") and ONE in held.states, "answers may be on their way"
    held.step(LINGER + 1)
    assert held.states == {}
    held.wanted = TWO
    held.step()
    held.wanted = None
    assert held.step() == ("", "") and held.rollout.needed == set()
    held.step(LINGER + 1)
    assert held.states == {}, "nor is one held that was still starting"


def test_what_a_challenger_is_called() -> None:
    assert challenger_uri("models:/tonearm-x@champion", "challenger") == "models:/tonearm-x@challenger"
    assert challenger_uri("models:/tonearm-x/3", "next") == "models:/tonearm-x@next"
    assert challenger_uri("/srv/one", "/srv/two") == "/srv/two"
    with pytest.raises(ConfigError, match="not registered"):
        challenger_uri("/srv/one", "challenger")
