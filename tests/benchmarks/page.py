"""How soon the page is there, and how much of it is loaded before any audio, on a CPU that is four times slower.

make bench NAME=page                                       the champion of TONEARM_HOME; else a tiny model
make bench NAME=page ARGS="--url http://127.0.0.1:8000"    a server that runs
make bench NAME=page ARGS="--visits 20 --slowdown 1"

Each visit is a browser profile of its own, with nothing kept. Beside it a bare page of one line, from the same browser
and machine, which says what the machine itself takes now. First paint is Chromium's first-contentful-paint; bytes are
those of the network, headers included. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.serving import model_of
from tests.benchmarks.serving_runs import running
from tests.browser.chromium import running_chromium, until
from tonearm.core import home
from tonearm.core.text import format_table

MOST_SECONDS, MOST_KILOBYTES = 1.0, 150.0
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
READY = "document.querySelector('#served').textContent !== ''"  # scripts run, and the server has said who it is


def visit(browser: Any, url: str, slowdown: float, is_ours: bool) -> dict[str, float]:
    """Seconds to the first paint and until it is ready, kilobytes and requests, of one visit."""
    context = browser.new_context()
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    network.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(url)
    until(page, f"({PAINT}) !== null")
    if is_ours:
        until(page, READY)
    ready = page.evaluate("performance.now()") / 1000
    page.wait_for_load_state("networkidle")
    found = {"first paint [s]": page.evaluate(PAINT) / 1000, "ready [s]": ready,
             "loaded [kB]": sum(sizes) / 1000, "requests": float(len(sizes))}  # fmt: skip
    context.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="", help="of a running server; by default one is started")
    parser.add_argument("--model", default="", help="folder, URI or models:/NAME@ALIAS")
    parser.add_argument("--visits", type=int, default=9)
    parser.add_argument("--slowdown", type=float, default=4.0, help="of the browser's CPU")
    args = parser.parse_args()
    os.environ["TONEARM_HOME"] = place = str(Path(home.home()).absolute())
    with ExitStack() as stack:
        url = args.url
        if not url:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            url = f"http://127.0.0.1:{stack.enter_context(running(model_of(args.model, folder), False, place)).port}"
        browser = stack.enter_context(running_chromium())
        bare = "data:text/html,<p>one line"
        visit(browser, f"{url}/", 1.0, True)  # what the server reads once is not the page's
        ours = [visit(browser, f"{url}/", args.slowdown, True) for _ in range(args.visits)]
        base = [visit(browser, bare, args.slowdown, False) for _ in range(args.visits)]
    rows, figures = [], {}
    for name in ours[0]:
        values, beside = [one[name] for one in ours], [one[name] for one in base]
        figures[name] = {"median": float(np.median(values)), "worst": max(values), "one line": float(np.median(beside))}
        rows.append((name, *(f"{value:.3g}" for value in figures[name].values())))
    print(format_table([(f"{args.visits} visits, {args.slowdown:g} x slower", "median", "worst", "one line"), *rows]))
    paint, size = figures["first paint [s]"]["median"], figures["loaded [kB]"]["worst"]
    print(f"wanted: first paint <= {MOST_SECONDS:g} s: {'yes' if paint <= MOST_SECONDS else 'no'}; "
          f"<= {MOST_KILOBYTES:g} kB: {'yes' if size <= MOST_KILOBYTES else 'no'}; "
          f"load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores")  # fmt: skip
    print(json.dumps({"load": os.getloadavg()[0], **figures}))


if __name__ == "__main__":
    main()
