"""The page before other models than that of classes with a catalogue, and before a server that asks for a token.

The application runs in this process, behind a socket of its own, and Chromium asks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs import train
from search_spaces.recipes import RECIPES
from serve.access import Tokens, new_token
from serve.guards import Guards
from serve.ingress import api
from serve.state import current_state
from tests.browser.chromium import accessibility, until, watched_page
from tests.builders import encode, music, sounds_like
from tests.commands import run_job
from tests.extract_in_process import extract_in_process
from tests.integration.test_recipes import settings
from tests.musical import musical_model, strange
from tests.serve.asgi_server import listening
from tests.serve.browsing import VERDICT, ask, refreshed, write_catalogue
from tests.serve.in_process import serve_in_process
from tests.tiny_data import SECONDS, make_recordings, write_playlists

pytestmark = pytest.mark.integration


def wav(samples: Any, name: str = "mine.wav") -> dict[str, Any]:
    return {"name": name, "mimeType": "audio/wav", "buffer": encode(samples)}


@pytest.fixture(scope="module")
def playlists(one_home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that has learned playlists: "party" has high notes, "sleep" low ones, "morning" half of both."""
    root = tmp_path_factory.mktemp("playlists")
    write_playlists(root, make_recordings())
    small = dict(text.split("=", 1) for text in settings(RECIPES["playlist_cnn"]()))
    small |= {"playlist_cnn.optim.epochs": "40", "playlist_cnn.optim.lr": "0.003"}
    changes = [text for path, value in small.items() for text in ("--set", f"{path}={value}")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        patch.setenv("TONEARM_CACHE", str(root / "cache"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(one_home)
        patch.setattr(torch, "set_num_threads", lambda n: None)
        extract_in_process(patch)
        code, told = run_job(train.main, "--recipe", "playlist_cnn", "--data", str(root), *changes)
    assert code == 0, told
    served = re.search(r"serve it: .* --model (\S+)", told)
    assert served, told
    return served[1]


def test_playlists_have_bars_of_fitness(browser: Any, playlists: str, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_in_process(playlists, monkeypatch)
    sounds = {"party": music(SECONDS, seed=77, low=700.0), "sleep": music(SECONDS, seed=78, low=80.0)}
    with listening(api) as port, watched_page(browser) as watched:
        page = watched.page
        page.goto(f"http://127.0.0.1:{port}/")
        for best, samples in sounds.items():
            page.set_input_files("#file", wav(samples, f"{best}.wav"))
            page.wait_for_selector(f".verdict-card >> text={best}.wav")
            assert re.fullmatch(rf"(Fits|May fit) {best}", page.inner_text(VERDICT)), page.inner_text(VERDICT)
            names = page.locator(".verdict-card .bars .name").all_text_contents()
            assert sorted(names) == ["morning", "party", "sleep"] and names[0] == best
            shown = [int(text.rstrip(" %")) for text in page.locator(".bars .value").all_text_contents()]
            widths = [float(style.removeprefix("width: ").rstrip("%;")) for style in page.evaluate(
                "[...document.querySelectorAll('.bars .filled')].map((one) => one.getAttribute('style'))")]  # fmt: skip
            assert shown == sorted(shown, reverse=True) and widths == pytest.approx(shown, abs=0.51)
            page.wait_for_selector(".attributes")
        assert watched.violations() == [] and watched.errors == []


def test_what_was_never_heard_is_told_in_a_banner(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_in_process(musical_model(tmp_path).folder, monkeypatch)
    with listening(api) as port, watched_page(browser) as watched:
        page = watched.page
        page.goto(f"http://127.0.0.1:{port}/")
        page.set_input_files("#file", wav(strange()["siren"]))
        banner = page.get_by_role("note")
        banner.wait_for()
        assert "nothing that the model has learned from" in banner.inner_text()
        assert page.inner_text(VERDICT).endswith(", if anything"), "the answer stays, and is not called sure"
        page.wait_for_selector(".attributes")
        told = page.inner_text("#answer")
        assert "has no catalogue to compare with" in told and "catalogue's tracks were not measured" not in told
        assert accessibility(page) == []
        page.set_input_files("#file", wav(sounds_like("bass", 99, 2.0), "music.wav"))
        page.wait_for_selector(".verdict-card >> text=music.wav")
        assert banner.count() == 0 and re.match("Bass, (very|fairly) sure", page.inner_text(VERDICT))
        assert watched.violations() == [] and watched.errors == []


@pytest.fixture
def catalogued(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a model with a catalogue that can be heard."""
    monkeypatch.setenv("TONEARM_HOME", str(tmp_path / "home"))
    serve_in_process(write_catalogue(model, tmp_path), monkeypatch)
    with listening(api) as port:
        yield port


def test_a_server_with_tokens_asks_for_one_and_says_who_makes_it(
    browser: Any, catalogued: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, uri = current_state(), str(tmp_path / "tokens.json")
    token = new_token("anna", uri)
    monkeypatch.setitem(state.__dict__, "guards", Guards(state.guards.admission, tokens=Tokens(uri)))
    with watched_page(browser, viewport={"width": 400, "height": 800}) as watched:
        page = watched.page
        page.goto(f"http://127.0.0.1:{catalogued}/")
        field = page.locator("#token")
        field.wait_for()
        assert "tonearm serve --new-token" in page.inner_text(".token")
        assert page.evaluate("document.activeElement.id") == "token" and field.get_attribute("type") == "password"
        assert accessibility(page) == []
        field.fill(token[:-1])
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Nobody has this token")
        field.fill(f" {token} ")
        page.get_by_role("button", name="Use it").click()
        page.wait_for_selector("#ours button")
        assert page.locator(".token").count() == 0
        ask(page)
        page.locator(".neighbour .round").first.click()
        page.wait_for_selector("#player >> text=/0:0[0-9] \\/ 0:03/")
        page.reload()
        page.wait_for_selector("#ours button")
        kept = page.evaluate("JSON.stringify([{...localStorage}, document.cookie])")
        assert token not in kept, "it lasts as long as the tab"
        assert watched.violations() == [] and not [one for one in watched.errors if "401" not in one]


def test_a_recording_that_the_server_forgot_is_sent_again(browser: Any, catalogued: int) -> None:
    sent = []

    def forgotten(route: Any) -> None:
        """What a server that began anew is asked: for a recording of which it knows nothing."""
        if route.request.headers["content-type"] == "application/json":
            route.continue_(post_data=route.request.post_data_json | {"recording": "0" * 32})
        else:
            route.continue_()

    with watched_page(browser) as watched:
        page = watched.page
        page.goto(f"http://127.0.0.1:{catalogued}/")
        ask(page)
        page.on("response", lambda answer: sent.append((answer.status, answer.request.headers["content-type"][:19])))
        page.route("**/v1/recommend", forgotten)
        page.get_by_label("Variety").fill("1")
        page.wait_for_selector(".changed >> text=/new|order/")
        assert sent == [(404, "application/json"), (200, "multipart/form-data")]
        page.unroute("**/v1/recommend")
        refreshed(page, lambda: page.get_by_role("button", name="Undo").click())
        until(page, "document.querySelector('.changed').textContent !== 'Asking again …'")
        assert not page.get_by_role("alert").count()
