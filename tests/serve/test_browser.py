"""People's way through the page, in a real browser, of a real server on a tiny catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from serve.settings import AppArgs
from tests.browser.chromium import Watched, accessibility, until, watched_page
from tests.builders import CLASSES
from tests.serve.browsing import EACH, VERDICT, ask, recording, refreshed, write_catalogue

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def url(server: str, model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of an application beside the others, at a path of its own."""
    from ray import serve

    from serve.app import build
    from serve.launch import _wait_until_ready
    from serve.versions import resolve

    bundle = write_catalogue(model, tmp_path_factory.mktemp("page"))
    args = AppArgs(model=bundle, name="page", cpus=0.1, ingresses=1, tokens=False)
    serve.run(build(args), name=args.name, route_prefix="/with-a-page")
    _wait_until_ready(f"{server}/with-a-page", resolve(bundle), "page")
    yield f"{server}/with-a-page/"
    serve.delete(args.name)


@pytest.fixture
def seen(browser: Any, url: str) -> Iterator[Watched]:
    """A page that asked no other host, ran nothing that its policy forbids, and failed nowhere."""
    with watched_page(browser, viewport={"width": 1100, "height": 800}) as watched:
        watched.page.goto(url)
        yield watched
        assert watched.hosts == {urlsplit(url).netloc}
        assert watched.violations() == [] and watched.errors == []


def test_a_file_is_heard_shown_shifted_and_forgotten(seen: Watched) -> None:
    page = seen.page
    ask(page)
    assert page.locator(".verdict-card > .bars li").count() == 3 and "my flute.wav" in page.inner_text(".verdict-card")
    pixels = "document.querySelector('.spectrogram canvas').getContext('2d').getImageData(0, 0, 99, 99).data"
    until(page, f"new Set({pixels}).size > 20")
    told = page.inner_text(".attributes")
    assert "Loudness" in told and "softer than 92 %" in told and page.locator(".strip .hill").count() >= 2
    first = page.locator(".neighbour h4").all_text_contents()
    assert len(first) == 8 and "Song of" in first[0]

    page.locator(".neighbour .round").first.click()
    page.wait_for_selector("#player >> text=/0:0[0-9] \\/ 0:03/")
    page.locator(".spectrogram").click(position={"x": 300, "y": 20})
    page.wait_for_selector("#player >> text=my flute.wav")

    varied = refreshed(page, lambda: page.get_by_label("Variety").fill("1"))
    assert set(varied) != set(first) and "new" in page.inner_text(".changed")
    assert refreshed(page, lambda: page.get_by_role("button", name="Undo").click()) == first
    assert page.get_by_label("Variety").input_value() == "0"
    liked = refreshed(page, lambda: page.get_by_role("button", name="More like").first.click())
    assert first[0] not in liked and f"more like {first[0]}" in page.inner_text(".chip")
    assert page.evaluate("document.activeElement.classList.contains('changed')"), (
        "keys go on there, not from the page's top"
    )

    page.get_by_role("button", name="Why").first.click()
    page.wait_for_selector(".why-body img")
    page.get_by_text("Ask the same by curl").click()
    command = page.inner_text("pre")
    assert "-F 'like=" in command and "-F 'audio=@my flute.wav'" in command and page.url.rstrip("/") in command
    refreshed(page, lambda: page.get_by_role("button", name="Undo").click())
    assert "like=" not in page.inner_text("pre"), "the command is that of the question now"
    page.get_by_role("button", name="Forget my file").click()
    assert page.inner_text("#answer") == "" and page.locator("#choose").is_visible()


def test_a_thumb_is_kept_and_its_listener_forgotten(seen: Watched) -> None:
    page = seen.page
    with page.expect_response(lambda response: response.url.endswith("/v1/recommend")) as answered:
        ask(page)

    def like() -> dict[str, Any]:
        with page.expect_response(lambda response: response.url.endswith("/v1/feedback")) as kept:
            page.get_by_role("button", name=re.compile("^Like Song")).first.click()
        assert kept.value.ok, kept.value.text()
        return dict(kept.value.request.post_data_json)

    sent = like()
    assert (sent["kind"], sent["position"], sent["model"]) == ("like", 1, answered.value.json()["model"])
    assert sent["request_id"] == answered.value.headers["x-request-id"], "the answer that showed it"
    with page.expect_response(lambda response: response.url.endswith("/v1/recommend")) as shifted:
        refreshed(page, lambda: page.get_by_label("Variety").fill("1"))
    assert like()["request_id"] == shifted.value.headers["x-request-id"] != sent["request_id"]
    listener = page.evaluate("localStorage['tonearm listener']")
    assert sent["listener"] == listener and len(listener) == 32
    with page.expect_response(lambda response: response.url.endswith(f"/v1/feedback/{listener}")) as forgotten:
        page.get_by_role("button", name="Forget me").click()
    assert forgotten.value.json()["events"] >= 1
    until(page, "localStorage.length === 0")


def test_everything_is_done_by_keys(seen: Watched) -> None:
    page = seen.page
    page.wait_for_selector("#ours button")

    def focused() -> str:
        return str(
            page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent")
        )

    def press_until(wanted: str, key: str = "Tab", most: int = 60) -> None:
        for _ in range(most):
            page.keyboard.press(key)
            if wanted in focused():
                return
        raise AssertionError(f"{most} times {key}, and no {wanted}: at {focused()}")

    press_until("Skip to the content", most=1)
    press_until("Choose a file")
    press_until("Song of bass")
    page.keyboard.press("Enter")
    page.wait_for_selector(".attributes")
    assert page.evaluate("document.activeElement.id") == "verdict", "the answer is where one reads on"
    assert "Song of bass 0" not in page.locator(".neighbour h4").all_text_contents(), "it is not its own neighbour"
    press_until("Play Song of")
    page.keyboard.press("Enter")
    page.wait_for_selector("#player >> text=/ \\/ 0:0/")
    press_until("Map", "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("canvas.map")
    press_until("Map. Arrow keys")
    page.keyboard.press("Enter")
    page.wait_for_selector("#player b >> text=/Song of/")
    press_until("Path", "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".track-search input")
    page.get_by_label("To", exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("song noise 2")
    page.wait_for_selector(".found button")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(".steps-way li:last-child >> text=Song of noise 2")


def test_a_recording_of_the_microphone_is_heard(seen: Watched) -> None:
    page = seen.page
    page.get_by_role("button", name="Record").click()
    page.wait_for_selector("text=/Stop and listen .0:0[2-9]/")
    page.get_by_role("button", name="Stop and listen").click()
    page.wait_for_selector(VERDICT)
    assert "recording.webm" in page.inner_text(".verdict-card") and page.locator(".neighbour").count() == 8


def test_a_recording_lands_near_what_sounds_like_it_whatever_is_asked_beside(seen: Watched) -> None:
    page = seen.page
    ask(page)
    nearest = page.locator(".neighbour h4").first.inner_text()
    assert nearest not in refreshed(page, lambda: page.get_by_role("button", name="More like").first.click())
    page.goto(f"{page.url}#map")
    page.wait_for_selector(f"text=my flute.wav has landed near {nearest}")
    page.goto(f"{page.url.partition('#')[0]}#listen")
    page.get_by_role("button", name="Forget my file").click()
    page.goto(f"{page.url.partition('#')[0]}#map")
    assert page.locator("text=has landed").count() == 0


def test_the_map_plays_lists_and_shows_where_a_file_lands(seen: Watched) -> None:
    page = seen.page
    page.goto(f"{page.url}#map")
    page.wait_for_selector("canvas.map")
    assert page.locator(".legend button").all_text_contents() == [f"{label}{EACH}" for label in CLASSES]
    page.locator("#by").select_option(label="artist")
    assert "Artist 3" in page.inner_text(".legend")
    box = page.locator("canvas.map").bounding_box()
    right, below = box["width"] - 16, box["height"] - 16
    corners = [(right, 16), (right, below), (16, below)]
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 16, box["y"] + 16)
    page.mouse.down()
    for x, y in corners:
        page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert f"{EACH * len(CLASSES)} in the loop" in page.inner_text(".listed")
    page.get_by_label("Find").fill("flute 2")
    assert page.locator(".listed li").count() == 1
    page.get_by_role("button", name="Clear").click()
    assert page.locator(".listed li").count() == 0 and not page.get_by_role("button", name="Clear").is_visible()
    page.evaluate(
        """(bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "dropped.wav", { type: "audio/wav" }));
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        list(recording()["buffer"]),
    )
    page.wait_for_selector("text=dropped.wav has landed")
    page.goto(f"{page.url.partition('#')[0]}#listen")
    page.wait_for_selector(VERDICT)


def test_what_is_no_recording_is_told_with_what_to_do(browser: Any, url: str) -> None:
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(url)
        page.wait_for_selector("#ours button")  # what is asked for later than this fails offline, too
        page.set_input_files(
            "#file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no music at all " * 99}
        )
        alert = page.get_by_role("alert")
        alert.wait_for()
        assert alert.inner_text().startswith("notes.txt") and "no recording that can be read" in alert.inner_text()
        assert "begins as none of the known formats, MP3" in alert.inner_text()
        assert page.locator("#choose").is_visible() and page.locator("#answer *").count() == 0
        until(page, "document.activeElement.id === 'choose'")
        page.context.set_offline(True)
        page.set_input_files("#file", recording())
        page.get_by_role("alert").get_by_text("The server was not reached").wait_for()
        page.context.set_offline(False)
        until(page, "document.activeElement.textContent === 'Try again'")
        page.keyboard.press("Enter")
        page.wait_for_selector(VERDICT)
        assert watched.violations() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out_of_any_view(browser: Any, url: str, scheme: str) -> None:
    with watched_page(
        browser, color_scheme=scheme, reduced_motion="reduce", viewport={"width": 400, "height": 800}
    ) as watched:
        page, found = watched.page, {}

        def look(view: str) -> None:
            width = page.evaluate("document.documentElement.scrollWidth")
            found[view] = [*accessibility(page), *([f"it is {width} pixels wide"] if width > 400 else [])]

        page.goto(url)
        page.wait_for_selector("#ours button")
        look("start")
        ask(page, "a recording of which somebody has said much in its name.wav")
        page.get_by_role("button", name="Why").first.click()
        page.wait_for_selector(".why-body img")
        page.get_by_text("Ask the same by curl").click()
        look("answer")
        page.goto(f"{url}#map")
        page.wait_for_selector("canvas.map")
        look("map")
        page.goto(f"{url}#path")
        page.wait_for_selector(".steps-way li")
        look("path")
        assert {view: told for view, told in found.items() if told} == {}
