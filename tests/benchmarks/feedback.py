"""Feedback under kills: requests a second that are acknowledged, and none of them lost.

make bench NAME=feedback                    two ingresses, of which one is killed every few seconds; half a minute
make bench NAME=feedback ARGS="--seconds 5 --kills 0"

Ingresses are the server's own application, each in a process with uvicorn, without Ray's proxy in front, on one SQLite
database. Clients send one event a request over connections that they keep, and send again, with the same id, what was
not acknowledged. At the end every acknowledged event must be in the database, once. Beside it: events a second that one
thread keeps with a commit each, and a thousand a commit. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from tests.servers import free_port
from tonearm.core.text import format_table
from tonearm.feedback.events import Event
from tonearm.feedback.store import FeedbackStore

ROOT = Path(__file__).parents[2]
CONNECTIONS, INGRESSES = 128, 2
SECONDS_BETWEEN_KILLS = 4.0


def serve(port: int) -> None:
    """One ingress that has no model."""
    import ray.serve
    import uvicorn

    from serve.admission import Admission
    from serve.answers_cache import AnswersCache
    from serve.front import Front
    from serve.guards import Guards
    from serve.ingress import api
    from serve.settings import AppArgs
    from serve.state import State

    front = Front(lambda *_: {}, lambda version: None, Admission(), AnswersCache())
    state = State(AppArgs(model="none"), Guards(front.admission), front)
    ray.serve.get_replica_context = lambda: SimpleNamespace(servable_object=SimpleNamespace(state=state))
    uvicorn.run(api, port=port, log_level="critical", lifespan="off")


class Ingress:
    """A process that is killed and begun again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.feedback", "--serve", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    async def ready(self) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(0.05)


async def send(port: int, ids: Iterator[int], until: float, acknowledged: dict[str, int], again: list[int]) -> None:
    """One connection's worth of clients: one event after the other."""
    reader = writer = None
    event_id = ""
    while time.monotonic() < until or event_id:
        if not event_id:
            number = next(ids)
            event_id = f"event-{os.getpid()}-{number:012d}"
        body = json.dumps({"event_id": event_id, "listener": f"listener-{hash(event_id) % 5000:012d}", "kind": "skip",
                           "track_id": "track", "seconds": 3.5, "position": 1}).encode()  # fmt: skip
        head = (f"POST /v1/feedback HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()  # fmt: skip
        try:
            if writer is None or reader is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line[15:]) for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length:")
            )
            await reader.readexactly(length)
            if answer.split(b" ", 2)[1] == b"200":
                acknowledged[event_id], event_id = int(time.monotonic()), ""
                continue
        except (OSError, asyncio.IncompleteReadError):
            if writer is not None:
                writer.close()
            reader = writer = None
            await asyncio.sleep(0.2)
        again[0] += 1


async def under_kills(seconds: float, kills: int) -> tuple[dict[str, int], int, int]:
    """Acknowledged events with the second of each, how often one was sent again, and how many processes were killed."""
    ingresses = [Ingress() for _ in range(INGRESSES)]
    killed = 0
    try:
        await asyncio.gather(*(ingress.ready() for ingress in ingresses))
        ids, acknowledged, again = itertools.count(), dict[str, int](), [0]
        until = time.monotonic() + seconds
        clients = [
            asyncio.create_task(send(ingresses[i % INGRESSES].port, ids, until, acknowledged, again))
            for i in range(CONNECTIONS)
        ]
        for _ in range(kills):
            await asyncio.sleep(random.uniform(0.5, 1.5) * SECONDS_BETWEEN_KILLS)
            if time.monotonic() > until:
                break
            one = random.choice(ingresses)
            one.kill()
            killed += 1
            one.start()
        await asyncio.gather(*clients)
        return acknowledged, again[0], killed
    finally:
        for ingress in ingresses:
            ingress.kill()


def by_one_thread(folder: str, at_once: int, seconds: float = 2.0) -> float:
    """Events a second that a store keeps, so many a commit."""
    store, ids, began = FeedbackStore(f"sqlite:///{folder}/{at_once}.db"), itertools.count(), time.monotonic()
    store.add([Event("first", "listener", "like", "track")])
    while time.monotonic() - began < seconds:
        store.add([Event(f"{next(ids):012d}", "listener", "like", "track") for _ in range(at_once)])
    store.close()
    return next(ids) / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    with tempfile.TemporaryDirectory(prefix="tonearm-bench-", dir=os.environ.get("TMPDIR")) as folder:
        os.environ["TONEARM_HOME"] = folder
        single, thousand = by_one_thread(folder, 1), by_one_thread(folder, 1000)
        began = time.monotonic()
        acknowledged, again, killed = asyncio.run(under_kills(options.seconds, options.kills))
        spent = time.monotonic() - began
        kept = FeedbackStore().read(("event_id",))["event_id"]
    lost, twice = len(set(acknowledged) - set(kept)), len(kept) - len(set(kept))
    by_second = sorted(list(acknowledged.values()).count(s) for s in set(acknowledged.values()))
    rate = len(acknowledged) / options.seconds
    found = {
        "acknowledged": len(acknowledged), "per_second": rate, "median_second": by_second[len(by_second) // 2],
        "lost": lost, "twice": twice, "killed": killed, "sent_again": again, "wall_s": spent,
        "one_a_commit_per_second": single, "thousand_a_commit_per_second": thousand, "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }  # fmt: skip
    print(format_table([("", "value"), *((name, f"{value:,.1f}") for name, value in found.items())]))
    print(json.dumps({"benchmark": "feedback", **found}))
    sys.exit(1 if lost or twice else 0)


if __name__ == "__main__":
    main()
