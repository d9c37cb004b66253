"""Debian's Chromium, a page in it that is watched, and axe, which looks for what keeps people out."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.servers import missing

#: A microphone that beeps and is allowed; sound that plays without a click.
FLAGS = ("--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
         "--autoplay-policy=no-user-gesture-required", "--mute-audio")  # fmt: skip
PATIENCE = 60_000  # milliseconds, on a slow machine with other work
AXE = Path(sys.prefix) / "browser" / "node_modules" / "axe-core" / "axe.min.js"
VIOLATIONS = """window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@contextmanager
def running_chromium() -> Iterator[Any]:
    """The browser; where it is missing the test is skipped, but fails in CI."""
    program = shutil.which("chromium") or missing("chromium: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright: pip install playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """A page, and what it did that nobody should.

    Attributes
    ----------
    page
        As Playwright has it.
    hosts
        That were asked, with their ports.
    errors
        Exceptions of scripts, and what the console calls an error.
    """

    page: Any
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """What the content security policy has kept from happening."""
        found: list[str] = self.page.evaluate("window.violations")
        return found


@contextmanager
def watched_page(browser: Any, **options: Any) -> Iterator[Watched]:
    """A fresh page with options of a context, such as ``color_scheme``."""
    context = browser.new_context(**options)
    context.add_init_script(VIOLATIONS)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    watched = Watched(page)

    def asked(request: Any) -> None:
        if urlsplit(request.url).scheme not in ("blob", "data"):
            watched.hosts.add(urlsplit(request.url).netloc)

    page.on("request", asked)
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on("console", lambda said: watched.errors.append(said.text) if said.type == "error" else None)
    try:
        yield watched
    finally:
        context.close()


def until(page: Any, expression: str) -> None:
    """Wait until an expression is true; Playwright's own waiting would need eval, which the page's policy forbids."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"not within {PATIENCE / 1000:g} s: {expression}"
        page.wait_for_timeout(50)


def accessibility(page: Any) -> list[str]:
    """What axe finds on a page as it is now: the rule, what it wants, and where."""
    if not AXE.exists():
        missing("axe-core: make page installs it, by npm")
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes']][:3]}" for one in found]
