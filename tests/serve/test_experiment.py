"""Champion and challenger: a listener always gets the same one, answers and outcomes say which, failures fall back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import ray.serve

from serve.admission import Admission
from serve.answers_cache import AnswersCache
from serve.follower import Follower
from serve.front import Front
from serve.guards import Guards
from serve.ingress import api
from serve.launch import check_settings
from serve.problems import RefusedError
from serve.rollout import Route
from serve.settings import AppArgs
from serve.state import State
from serve.versions import Version
from tests.serve.asgi_server import listening
from tonearm.client import Client
from tonearm.core.errors import ConfigError, TrackingError
from tonearm.feedback.events import arm_of
from tonearm.feedback.store import FeedbackStore

ONE, TWO = (Version(f"models:/tonearm-x/{n}", "tonearm-x", str(n)) for n in (1, 2))
SALT = "spring"
LISTENERS = [f"listener-{i:08d}" for i in range(40)]
ANSWER = {"task": "single_label", "label": "flute", "probabilities": [{"label": "flute", "probability": 1.0}],
          "seconds": 0.1}  # fmt: skip


class Versions:
    """Listeners of two versions; one of them may fail."""

    def __init__(self) -> None:
        self.failing: set[Version] = set()
        self.said: dict[str, Any] = {
            "current": self.route(ONE), "canary": None, "share": 0.0, "serving": True, "problem": "", "refused": [],
            "challenger": self.route(TWO), "challenger_refused": [],
        }  # fmt: skip

    def route(self, version: Version) -> Route:
        about = {"bundle": f"bundle-{version.number}", "has_own_catalogue": False, "task": "single_label",
                 "classes": ["flute"], "networks": 1, "clip_seconds": 2.0, "scores": {}}  # fmt: skip
        return Route(version, about)

    def handle(self, version: Version) -> SimpleNamespace:
        async def classify(audio: bytes) -> dict[str, Any]:
            if version in self.failing:
                raise RefusedError(503, "unavailable", "its processes have died")
            return ANSWER | version.signature(f"bundle-{version.number}")

        return SimpleNamespace(classify=SimpleNamespace(remote=classify))


@pytest.fixture
def versions() -> Versions:
    return Versions()


@pytest.fixture
def client(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    front = Front(lambda *_: versions.said, versions.handle, Admission(), AnswersCache(0), share=0.3, salt=SALT)
    front.look()
    state = State(AppArgs(model="bundle"), Guards(front.admission), front)
    monkeypatch.setattr(ray.serve, "get_replica_context", lambda: SimpleNamespace(
        servable_object=SimpleNamespace(state=state)))  # fmt: skip
    with listening(api) as port, Client(f"http://127.0.0.1:{port}", seconds=20) as asking:
        asking.state = state  # type: ignore[attr-defined]
        yield asking


AUDIO = b"RIFF----WAVEfmt " + bytes(200)


def test_a_listener_always_gets_the_same_arm_and_each_outcome_says_it(client: Client) -> None:
    for listener in LISTENERS * 2:
        client.listener = listener
        found = client.classify(AUDIO)
        arm = arm_of(listener, SALT, 0.3)
        assert (found["arm"], found["version"]) == (arm, "2" if arm == "challenger" else "1")
    for listener in LISTENERS:
        client.listener = listener
        client.feedback("like", "a")
    kept = FeedbackStore().read(("listener", "arm", "version", "experiment", "share"))
    for listener, arm, version in zip(kept["listener"], kept["arm"], kept["version"], strict=True):
        assert (arm, version == "2") == (arm_of(listener, SALT, 0.3), arm == "challenger")
    assert set(kept["experiment"]) == {SALT} and set(kept["share"]) == {0.3}
    assert 2 < kept["arm"].count("challenger") < 25
    assert client.model()["challenger"] == "2" and client.model()["challenger_share"] == 0.3
    state: State = client.state  # type: ignore[attr-defined]
    assert 'arm="challenger",ingress=' in state.metrics.text().decode()


def test_nobody_is_in_an_experiment_who_does_not_say_who_he_is_or_saw_another_one(client: Client) -> None:
    client.listener = ""
    assert client.classify(AUDIO)["arm"] is None and client.classify(AUDIO)["version"] == "1"
    client.listener = next(one for one in LISTENERS if arm_of(one, SALT, 0.3) == "champion")
    client.feedback("like", "a", arm="challenger", version="9")
    client.feedback("like", "b", arm="champion", version="1")
    kept = FeedbackStore().read(("arm", "version", "experiment"))
    assert kept == {"arm": ["challenger", "champion"], "version": ["9", "1"], "experiment": ["", SALT]}


def test_what_was_shown_before_one_said_who_he_is_is_compared_with_nothing(client: Client) -> None:
    for arm in ("champion", "challenger"):
        client.listener = ""
        shown = client.classify(AUDIO)  # by the champion, to nobody: the page gives an id with the first thumb
        client.listener = next(one for one in LISTENERS if arm_of(one, SALT, 0.3) == arm)
        client.feedback("like", "a", version=shown["version"], arm=shown["arm"])
        client.feedback("like", "b", request_id="of-an-answer")
    kept = FeedbackStore().read(("arm", "experiment"))
    assert kept == {"arm": [""] * 4, "experiment": [""] * 4}, "in both arms, or their sizes would differ"


def test_a_challenger_that_fails_leaves_its_listeners_in_their_arm(client: Client, versions: Versions) -> None:
    versions.failing = {TWO}
    client.listener = next(one for one in LISTENERS if arm_of(one, SALT, 0.3) == "challenger")
    found = client.classify(AUDIO)
    assert (found["arm"], found["version"]) == ("challenger", "1"), "or the champion would get those whom it failed"
    client.feedback("skip", "a", seconds=3, arm=found["arm"], version=found["version"])
    assert FeedbackStore().read(("arm", "version", "experiment")) == {
        "arm": ["challenger"], "version": ["1"], "experiment": [SALT]}  # fmt: skip


def test_without_a_challenger_everybody_gets_the_champion(client: Client, versions: Versions) -> None:
    versions.said["challenger"], versions.said["challenger_refused"] = None, ["challenger x 2: it cannot be used"]
    state: State = client.state  # type: ignore[attr-defined]
    state.front.look()
    for client.listener in LISTENERS[:5]:
        assert (client.classify(AUDIO)["arm"], client.classify(AUDIO)["version"]) == (None, "1")
    assert client.model()["refused"] == ["challenger x 2: it cannot be used"] and client.model()["challenger"] is None


def test_a_canary_is_tried_by_the_champions_listeners_alone(versions: Versions) -> None:
    three = Version("models:/tonearm-x/3", "tonearm-x", "3")
    versions.said |= {"canary": versions.route(three), "share": 1.0}
    front = Front(lambda *_: versions.said, versions.handle, Admission(), AnswersCache(0), share=0.3, salt=SALT)
    front.look()
    for listener in LISTENERS:
        shelf, arm = asyncio.run(front.assign(b"key", listener))
        assert shelf.version.number == ("2" if arm == "challenger" else "3")


def test_a_follower_ends_the_challenger_when_its_alias_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.Thread.start", lambda self: None)
    args = AppArgs(model="models:/tonearm-x@champion", challenger="next", follow_seconds=0.001)
    assert args.challenger == "models:/tonearm-x@next"
    follower = Follower(args.model_dump(), ONE)
    wanted: list[Version | Exception | None] = [TWO, TrackingError("away"), None]

    def resolved(uri: str) -> Version | None:
        assert uri == "models:/tonearm-x@next"
        found = wanted.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("serve.follower.resolve_challenger", resolved)
    follower._deployer = follower._challenger.deployer = SimpleNamespace(  # type: ignore[assignment]
        deploy=lambda v: None, remove=lambda v: None, state=lambda v: ("running", ""), about=lambda v: {"bundle": "b"}
    )
    for expected in (TWO, TWO, None):
        follower._asked = -1e9  # it is due
        follower._challenger.step()
        current = follower.routes(None, {})["challenger"]
        assert (current.version if current else None) == expected
    assert "away" not in str(follower.routes(None, {}))


def test_a_challenger_is_looked_up_once_if_nothing_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.Thread.start", lambda self: None)
    asked: list[str] = []
    monkeypatch.setattr("serve.follower.resolve_challenger", lambda uri: asked.append(uri) or TWO)
    args = AppArgs(model="models:/tonearm-x@champion", challenger="next", follow_seconds=0)
    follower = Follower(args.model_dump(), ONE)
    assert [follower._wanted_challenger() for _ in range(3)] == [TWO] * 3 and len(asked) == 1


def test_settings_that_cannot_be_are_told() -> None:
    with pytest.raises(ConfigError, match=r"challenger: .*not registered"):
        check_settings(model="/srv/bundle", challenger="next")
    with pytest.raises(ConfigError, match="share"):
        check_settings(model="/srv/bundle", share=1.0)
