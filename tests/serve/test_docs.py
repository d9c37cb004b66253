"""The pages that describe the interface load nothing of other hosts, and say so to the browser."""

from __future__ import annotations

import asyncio
import re
from importlib.util import find_spec
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from serve.access import Tokens
from serve.docs import FILES, PATHS
from serve.guards import Guards
from serve.ingress import api
from serve.state import current_state
from tests.serve.in_process import serve_in_process

BASE = "http://here/some/prefix"
INSTALLED = pytest.mark.skipif(find_spec("fastapi_offline") is None, reason="it is in constraints.txt: install it")


@pytest.fixture(autouse=True)
def served(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_in_process(model, monkeypatch)


def get(path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(api, root_path="/some/prefix")
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(path if "://" in path else BASE + path)

    return asyncio.run(ask())


@INSTALLED
@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_a_page_loads_what_we_serve_and_nothing_else(page: str) -> None:
    html = get(page)
    assert html.status_code == 200 and html.headers["content-type"].startswith("text/html")
    loaded = [urljoin(BASE + page, link) for link in re.findall(r'(?:src|href)="([^"]+)"', html.text)]
    assert len(loaded) >= 3 and {urlsplit(link).hostname for link in loaded} == {"here"}
    for link in loaded:
        assert get(link).status_code == 200, link
    (start,) = (get(link).text for link in loaded if link.endswith("start.js"))
    (described,) = re.findall(r'"([^"]*openapi[^"]*)"', start)
    assert get(urljoin(BASE + page, described)).json()["openapi"].startswith("3.1")
    assert "<script>" not in html.text and "http" not in html.text + start


@INSTALLED
def test_every_file_is_there_with_its_type() -> None:
    for name, kind in FILES.items():
        answer = get(f"/docs/files/{name}")
        assert answer.headers["content-type"].startswith(kind) and len(answer.content) > 1000


def test_the_policy_names_no_other_host() -> None:
    for page in ("/docs", "/redoc", "/docs/start.js"):
        policy = dict(part.split(" ", 1) for part in get(page).headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'", "no inline script, no eval"
        assert not re.search(r"https?:|\*|\w\.\w", " ".join(policy.values()))


def test_other_files_of_the_machine_are_not_given() -> None:
    for name in ("../core.py", "%2e%2e/core.py", "..%2fcore.py", "core.py", "swagger-ui.css.map"):
        assert get(f"/docs/files/{name}").status_code == 404


def test_the_pages_need_no_token_and_what_they_describe_does(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    state = current_state()
    monkeypatch.setitem(state.__dict__, "guards", Guards(state.guards.admission, tokens=Tokens(f"{tmp_path}/tokens")))
    assert [get(path).status_code for path in sorted(PATHS)].count(401) == 0
    assert get("/v1/model").status_code == 401 and get("/metrics").status_code == 401
