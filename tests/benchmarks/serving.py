"""What the server costs beside the model: each route beside a route that does nothing, and beside the same in Python.

make bench NAME=serving                                       the champion of TONEARM_HOME; else a tiny model
make bench NAME=serving ARGS="--modes default --requests 50"  a quick look
make bench NAME=serving ARGS="--soak 30"                      mixed requests while processes are killed, two promotions

Ratios are what is to be looked at, all of one run: by id (GET) to the route that does nothing (1.5 or less, p50), a
recording to the same in Python and two hops (1 or less), eight clients to Python alone (0.8 or more); with 32 clients
the health (p99) to one recording (1 or less) and a refusal (p50) to the same (0.3 or less). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np

from tests.benchmarks.serving_runs import Asker, Running, as_new, running
from tests.builders import encode, music
from tonearm.core import home
from tonearm.core.errors import TonearmError
from tonearm.core.text import format_table
from tonearm.core.threads import limit_threads

CROWD, MOST_WAIT = 32, "1"  # clients; seconds that the server lets anybody wait: some of the crowd are refused
TARGETS = {"by id / nothing": "<= 1.5", "recording / (python + 2 hops)": "<= 1", "8 clients / python": ">= 0.8",
           "health p99 at 32 / recording": "<= 1", "refusal p50 at 32 / recording": "<= 0.3"}  # fmt: skip


def p50(values: list[float]) -> float:
    return float(np.median(values))


def together(count: int, seconds: float, ask: Callable[[], Any]) -> list[Any]:
    """What so many clients are answered within some seconds."""
    end, answers = time.monotonic() + seconds, list[Any]()

    def client() -> None:
        while time.monotonic() < end:
            answers.append(ask())

    threads = [threading.Thread(target=client) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def alone(model: str, mp3: bytes, count: int) -> list[float]:
    """Seconds of the model in this process, on one core."""
    limit_threads(1)
    import torch

    torch.set_num_threads(1)
    from tonearm.inference import load

    loaded = load(model)
    seconds = []
    for _ in range(count + 1):
        began = time.perf_counter()
        loaded.classify(as_new(mp3))
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


def measured(server: Running, mp3: bytes, python: list[float], requests: int, seconds: float) -> dict[str, float]:
    """The figures of a server."""
    asker = Asker(server.port)
    known = [t["track_id"] for word in "aeiou0" for t in json.loads(asker.ask("GET", f"/v1/search?q={word}")[1])
             .get("tracks", [])]  # fmt: skip
    nothing, by_id, posted, hops = [], [], [], []
    short = encode(music(0.1))
    for i in range(requests):  # in turn, so that all have the same neighbours
        nothing.append(asker.ask("GET", "/healthz")[2])
        if known:
            seed = known[i % len(known)]
            status, _, taken = asker.ask("GET", f"/v1/recommend?{urlencode({'like': seed, 'k': 5})}")
            assert status == 200, status
            by_id.append(taken)
            question = json.dumps({"like": [seed], "k": 5}).encode()
            status, _, taken = asker.ask("POST", "/v1/recommend", question, "application/json")
            assert status == 200, status
            posted.append(taken)
        if i % 4 == 0:
            hops.append(asker.ask("POST", "/v1/classify", short + os.urandom(8))[2])
    recordings = []
    for _ in range(len(python)):
        status, _, taken = asker.ask("POST", "/v1/classify", as_new(mp3))
        assert status == 200, status
        recordings.append(taken)
    hop = p50(hops) - p50(nothing)
    local = threading.local()

    def ask_anew() -> tuple[int, float]:
        local.asker = getattr(local, "asker", None) or Asker(server.port)
        status, _, taken = local.asker.ask("POST", "/v1/classify", as_new(mp3))
        if status == 503:
            time.sleep(0.2)
        return status, taken

    began = time.monotonic()
    eight = together(8, seconds, ask_anew)
    rate = sum(status == 200 for status, _ in eight) / (time.monotonic() - began)
    health, ended = list[float](), threading.Event()

    def watch() -> None:
        own = Asker(server.port)
        while not ended.is_set():
            health.append(own.ask("GET", "/healthz")[2])
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    crowd = together(CROWD, seconds, ask_anew)
    ended.set()
    watcher.join()
    refused = [taken for status, taken in crowd if status == 503]
    lost = sum(status not in (200, 503) for status, _ in [*eight, *crowd])
    return {
        "nothing_p50_ms": p50(nothing) * 1e3, "by_id_p50_ms": p50(by_id) * 1e3 if by_id else float("nan"),
        "posted_p50_ms": p50(posted) * 1e3 if posted else float("nan"),
        "hop_ms": hop * 1e3, "python_p50_ms": p50(python) * 1e3, "recording_p50_ms": p50(recordings) * 1e3,
        "eight_per_s": rate, "health_p99_ms": float(np.quantile(health, 0.99)) * 1e3, "health_probes": len(health),
        "refusal_p50_ms": p50(refused) * 1e3 if refused else float("nan"), "refused": len(refused), "lost": lost,
        "ready_s": server.ready, "pss_mib": server.memory(),
    }  # fmt: skip


def ratios(row: dict[str, float]) -> dict[str, float]:
    """The figures beside one another."""
    recording = row["recording_p50_ms"]
    return {
        "by id / nothing": row["by_id_p50_ms"] / row["nothing_p50_ms"],
        "recording / (python + 2 hops)": recording / (row["python_p50_ms"] + 2 * row["hop_ms"]),
        "8 clients / python": row["eight_per_s"] * row["python_p50_ms"] / 1e3,
        "health p99 at 32 / recording": row["health_p99_ms"] / recording,
        "refusal p50 at 32 / recording": row["refusal_p50_ms"] / recording,
    }


def model_of(given: str, folder: Path) -> str:
    """The model that is served: the one that was named, the last champion, or a tiny one."""
    from tests.serve.conftest import write_model
    from tonearm.workflows.classify import default_model

    if given:
        return given
    try:
        return default_model()
    except TonearmError as error:
        print(f"a tiny model is served: {error}", flush=True)
        return write_model(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="folder, URI or models:/NAME@ALIAS")
    parser.add_argument("--modes", default="default,fast")
    parser.add_argument("--requests", type=int, default=200, help="of each quick route")
    parser.add_argument("--recordings", type=int, default=15, help="that are heard one by one")
    parser.add_argument("--seconds", type=float, default=20.0, help="that eight and 32 clients ask")
    parser.add_argument("--soak", type=float, default=0.0, help="minutes; nothing else is measured then")
    args = parser.parse_args()
    os.environ["TONEARM_HOME"] = place = str(Path(home.home()).absolute())
    if args.soak:
        from tests.benchmarks.serving_soak import soak

        found = {mode: soak(args.soak * 60, mode == "fast") for mode in args.modes.split(",")}
        print(
            format_table(
                [
                    ("", *found),
                    *((k, *(f"{f[k]:.4g}" for f in found.values())) for k in found[args.modes.split(",")[0]]),
                ]
            )
        )
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        model, mp3 = model_of(args.model, Path(folder)), encode(music(32.0), container="MP3")
        print(f"{model}, load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores", flush=True)
        rows = {}
        for mode in args.modes.split(","):
            python = alone(model, mp3, args.recordings)
            with running(model, mode == "fast", place, "--most-wait", MOST_WAIT) as server:
                rows[mode] = measured(server, mp3, python, args.requests, args.seconds)
    figures = [(name, *(f"{row[name]:.4g}" for row in rows.values()), "") for name in next(iter(rows.values()))]
    beside = {mode: ratios(row) for mode, row in rows.items()}
    figures += [
        (name, *(f"{found[name]:.2f}" for found in beside.values()), wanted) for name, wanted in TARGETS.items()
    ]
    print(format_table([("", *rows, "wanted"), *figures]))
    print(
        json.dumps({"load": os.getloadavg()[0], **{m: {**_known(rows[m]), "ratios": _known(beside[m])} for m in rows}})
    )


def _known(row: dict[str, float]) -> dict[str, float]:
    """Without what could not be measured, which JSON has no number for."""
    return {name: value for name, value in row.items() if np.isfinite(value)}


if __name__ == "__main__":
    main()
