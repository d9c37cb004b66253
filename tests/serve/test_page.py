"""The page's files: all are ours, none may be fetched from elsewhere, and a browser that has one is told so."""

from __future__ import annotations

import asyncio
import gzip
import re
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from serve.access import Tokens
from serve.guards import Guards
from serve.ingress import api
from serve.page import FOLDER, names, paths
from serve.state import current_state
from tests.serve.in_process import serve_in_process

BASE = "http://here/some/prefix/"
NAMESPACES = ("http://www.w3.org/2000/svg",)  # names of languages, which nobody loads
MOST_BYTES = 150_000  # of all that the page may load before any audio


@pytest.fixture(autouse=True)
def served(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_in_process(model, monkeypatch)


def get(path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(api, root_path="/some/prefix")
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(urljoin(BASE, path), headers=headers)

    return asyncio.run(ask())


def test_all_that_the_page_names_is_there() -> None:
    html = get("")
    assert html.status_code == 200 and html.headers["content-type"].startswith("text/html")
    loaded = [urljoin(BASE, link) for link in re.findall(r'(?:src|href)="([^"#]+)"', html.text)]
    assert len(loaded) >= 5 and {urlsplit(link).hostname for link in loaded} == {"here"}
    assert {link: get(link).status_code for link in loaded} == dict.fromkeys(loaded, 200)
    imported = {name for file in FOLDER.glob("*.js") for name in re.findall(r'from "\./([^"]+)"', file.read_text())}
    assert imported <= names() and "page.js" in names() and "types.d.ts" not in names()


def test_no_file_names_another_host_or_runs_what_stands_in_the_page() -> None:
    for file in FOLDER.iterdir():
        found = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"']*", file.read_text()))
        assert found <= set(NAMESPACES), file.name
    html = (FOLDER / "index.html").read_text()
    assert not re.search(r"<style|style=|\son[a-z]+=|<script>", html)


def test_the_policy_lets_in_what_is_ours_alone() -> None:
    for path in ("", "page/page.js", "page/page.css", "page/tonearm.svg"):
        policy = dict(part.split(" ", 1) for part in get(path).headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'" and "unsafe" not in str(policy)
        assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert not re.search(r"https?:|\*|\w\.\w", str(policy))


def test_what_a_browser_has_is_not_sent_again() -> None:
    first = get("page/page.css", **{"accept-encoding": "identity"})
    again = get("page/page.css", **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"") and again.headers["etag"] == first.headers["etag"]
    packed = get("page/page.css", **{"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and packed.content == first.content
    assert int(packed.headers["content-length"]) < len(first.content)


def test_the_whole_page_is_small() -> None:
    assert sum(len(gzip.compress((FOLDER / name).read_bytes())) for name in names()) < MOST_BYTES


def test_other_files_of_the_machine_are_not_given() -> None:
    for name in ("../page.py", "%2e%2e/page.py", "..%2fpage.py", "types.d.ts", "none.js"):
        assert get(f"page/{name}").status_code == 404


def test_the_page_needs_no_token_and_what_it_asks_does(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    state = current_state()
    monkeypatch.setitem(state.__dict__, "guards", Guards(state.guards.admission, tokens=Tokens(f"{tmp_path}/tokens")))
    assert {get(path.lstrip("/")).status_code for path in paths()} == {200}
    assert get("v1/catalogue").status_code == get("v1/map").status_code == 401
