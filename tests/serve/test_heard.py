"""A recording that was heard lately is named instead of sent: the same answer, without its bytes and without ears."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.heard import LONGEST, MOST, Heard
from tests.builders import encode, sounds_like
from tests.serve.conftest import SECONDS
from tests.serve.in_process import Ask, serve_in_process
from tonearm.inference import described
from tonearm.inference.model import Model

AUDIO = encode(sounds_like("flute", 7, SECONDS))
NOBODY = "0" * 32


@pytest.fixture
def listens(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the model listened: its own method, counted."""
    counted, listen = list[int](), Model.listen

    def counting(self: Model, *arguments: Any, **named: Any) -> Any:
        counted.append(1)
        return listen(self, *arguments, **named)

    monkeypatch.setattr(Model, "listen", counting)
    return counted


@pytest.fixture
def begin(place: Path, listens: list[int], monkeypatch: pytest.MonkeyPatch) -> Callable[[], Ask]:
    """Starts a server, which remembers nothing."""
    monkeypatch.setenv("TONEARM_HOME", str(place / "home"))
    return lambda: serve_in_process(str(place / "model" / "bundle"), monkeypatch)


@pytest.fixture
def asked(begin: Callable[[], Ask]) -> Ask:
    return begin()


def refused(asked: Ask, path: str, **request: Any) -> tuple[int, str, str]:
    with pytest.raises(httpx.HTTPStatusError) as error:
        asked("POST", path, **request)
    told = error.value.response.json()
    return error.value.response.status_code, told["error"], told["detail"]


def said(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("seconds", "recording")}


def test_a_name_is_answered_as_the_recording_is(begin: Callable[[], Ask], listens: list[int]) -> None:
    asked = begin()
    first = asked("POST", "/v1/recommend", files={"audio": AUDIO}, data={"k": "3"})
    named = {"recording": first["recording"], "k": 3}
    assert said(asked("POST", "/v1/recommend", json=named)) == said(first)
    shifted = {"sliders": {"brightness": 1.0}, "diversity": 0.5, "like": ["bass 0.wav"]}
    by_name = asked("POST", "/v1/recommend", json={**named, **shifted})
    assert len(listens) == 1 and by_name["recording"] == first["recording"]
    form = {"k": "3", "sliders": '{"brightness": 1.0}', "diversity": "0.5", "like": "bass 0.wav"}
    by_bytes = begin()("POST", "/v1/recommend", files={"audio": AUDIO}, data=form)
    assert said(by_bytes) == said(by_name) and by_name["neighbours"] != first["neighbours"]


def test_what_was_measured_is_not_measured_again(begin: Callable[[], Ask], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = begin()
    named = asked("POST", "/v1/recommend", files={"audio": AUDIO})["recording"]
    heard = described.measured
    monkeypatch.setattr(described, "measured", lambda *of: pytest.fail("it is measured again"))
    by_name = asked("POST", "/v1/attributes", json={"recording": named})
    monkeypatch.setattr(described, "measured", heard)
    assert said(by_name) == said(begin()("POST", "/v1/attributes", content=AUDIO))
    assert by_name["attributes"][0]["name"] == "key"


def test_one_that_nobody_remembers_is_to_be_sent(asked: Ask) -> None:
    for path in ("/v1/recommend", "/v1/attributes"):
        status, error, detail = refused(asked, path, json={"recording": NOBODY})
        assert (status, error) == (404, "not_remembered") and "send the recording itself" in detail
    for bad in ("../x", "A" * 32, "0" * 31):
        assert refused(asked, "/v1/recommend", json={"recording": bad})[:2] == (422, "invalid")
    assert refused(asked, "/v1/classify", json={"recording": NOBODY})[:2] == (422, "invalid")


def test_what_says_two_things_is_refused(asked: Ask) -> None:
    named = {"recording": asked("POST", "/v1/recommend", files={"audio": AUDIO})["recording"]}
    assert refused(asked, "/v1/recommend", files={"audio": AUDIO}, data=named)[0] == 422
    assert refused(asked, "/v1/recommend", json={**named, "uri": "https://there/a.wav"})[0] == 422
    assert refused(asked, "/v1/attributes", json={**named, "uri": "https://there/a.wav"})[0] == 422
    status, _, detail = refused(asked, "/v1/recommend", json={**named, "windows": True, "k": 3})
    assert status == 422 and "windows" in detail


def test_seeds_alone_have_no_name(asked: Ask) -> None:
    assert asked("POST", "/v1/recommend", json={"like": ["bass 0.wav"]})["recording"] is None


def test_the_oldest_make_room() -> None:
    heard, names = Heard(), list[str]()
    for number in range(MOST + 1):
        names.append(heard.keep(number == 4, {"number": number})["name"])
        if number:
            heard.find(names[1], False)
    assert heard.find(names[0], False) is None and heard.find(names[1], False) == {"number": 1, "name": names[1]}
    assert heard.find(names[2], False) and heard.find(names[3], True) is None, "its descriptors were not wanted then"
    assert heard.find(names[4], True) == heard.find(names[4], False), "who knows more knows less, too"


def test_nobody_is_remembered_for_long_and_where_nobody_wants_it_not_at_all() -> None:
    seconds = [0.0]
    heard = Heard(clock=lambda: seconds[0])
    name = heard.keep(True, {})["name"]
    seconds[0] = LONGEST
    assert heard.find(name, True) == {"name": name}
    seconds[0] += 1
    assert heard.find(name, True) is None and heard.find(name, False) is None
    assert Heard(0).keep(True, {"a": 1}) == {"a": 1, "name": None}


def test_who_has_the_same_file_does_not_learn_who_sent_it(begin: Callable[[], Ask]) -> None:
    asked = begin()
    names = {asked("POST", "/v1/recommend", files={"audio": AUDIO}, data={"k": k})["recording"] for k in ("3", "4")}
    assert len(names) == 2 and hashlib.blake2b(AUDIO, digest_size=16).hexdigest() not in names
