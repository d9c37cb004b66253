"""Mixed requests to a server whose processes are killed and whose model is promoted twice: nothing may be wrong."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.serving_runs import Running, as_new, running
from tonearm.client import Client, ClientError

CLIENTS, NAME = 4, "soak"
SECONDS_TO_TRY = 120.0  # again, before a client gives up
EVERY = {"ray::ServeReplica:tonearm-listener": 20.0, "ray::ServeReplica:tonearm:Ingress": 60.0}
PROXIES = {False: "ray::ProxyActor", True: "ray::HAProxyManager"}
CLOSE = 1e-4  # of probabilities: a decoder that begins elsewhere is no other model


@dataclass
class Seen:
    """What the clients saw."""

    answers: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    longest: float = 0.0


def patient(seen: Seen, ask: Callable[[], Any]) -> dict[str, Any]:
    """The answer that our client has, as a caller sees it; ``{}`` if it gives up."""
    began = time.monotonic()
    try:
        found: dict[str, Any] = ask()
    except ClientError as error:
        seen.failed.append(f"{error}")
        return {}
    seen.longest = max(seen.longest, time.monotonic() - began)
    return found


def soak(seconds: float, fast: bool) -> dict[str, float]:
    """Let it run for so long; what came of it."""
    from tests.builders import CLASSES, encode, sounds_like
    from tests.serve.conftest import write_model
    from tests.tracking_database import put_database
    from tonearm.inference import PYFUNC_CODE, load
    from tonearm.tracking.log import RunWriter
    from tonearm.tracking.register import promote, register_candidate

    with tempfile.TemporaryDirectory() as folder:
        home = str(Path(folder) / "home")
        os.environ["TONEARM_HOME"] = home
        put_database(Path(home))
        clips = [encode(sounds_like(CLASSES[i % 3], i, 3.0), container="MP3") for i in range(12)]
        expected: dict[str, tuple[list[dict[str, float]], dict[str, list[str]]]] = {}
        versions = []
        for i in range(3):
            bundle = write_model(Path(folder) / str(i))
            version = register_candidate(bundle, RunWriter.open(NAME, f"run-{i}").run_id, NAME, CLASSES, PYFUNC_CODE)
            model = load(bundle)
            heard = [model.predict(clip) for clip in clips]
            near = {t: [n.track["track_id"] for n in model.recommend(like=(t,), k=5).neighbours]
                    for t in ("bass0", "flute1", "noise2")}  # fmt: skip
            expected[version] = [dict(zip(p.labels, map(float, p.probabilities), strict=True)) for p in heard], near
            versions.append(version)
        promote(NAME, versions[0])
        with running(f"models:/tonearm-{NAME}@champion", fast, home) as server:
            seen, memory = _run(server, seconds, fast, clips, expected, lambda i: promote(NAME, versions[i]))
    third = memory[len(memory) * 2 // 3 :]
    growth = np.median(third[len(third) // 2 :]) / np.median(third[: len(third) // 2]) - 1
    for line in [*seen.wrong[:5], *seen.failed[:5]]:
        print("  " + line)
    return {
        "answers": sum(seen.answers.values()), **{f"answers {k}": v for k, v in seen.answers.items()},
        **{f"of version {k}": seen.versions[k] for k in versions},
        "wrong or mixed": len(seen.wrong), "failed for our client": len(seen.failed),
        "longest_s": seen.longest, "pss_mib_first": memory[0], "pss_mib_last": memory[-1],
        "growth_of_last_third": float(growth), "load": os.getloadavg()[0],
    }  # fmt: skip


def _run(
    server: Running, seconds: float, fast: bool, clips: list[bytes], expected: dict[str, Any],
    promotion: Callable[[int], None],
) -> tuple[Seen, list[float]]:  # fmt: skip
    seen, memory, end = Seen(), list[float](), time.monotonic() + seconds

    def client(seed: int) -> None:
        drawn, asker = random.Random(seed), Client(f"http://127.0.0.1:{server.port}", seconds=SECONDS_TO_TRY)
        while time.monotonic() < end:
            if drawn.random() < 0.5:
                i = drawn.randrange(len(clips))
                told = patient(seen, partial(asker.classify, as_new(clips[i])))
                if told:
                    values = {p["label"]: p["probability"] for p in told["probabilities"]}
                    wanted = expected[told["version"]][0][i]
                    if any(abs(values[k] - wanted[k]) > CLOSE for k in wanted):
                        seen.wrong.append(f"clip {i}: version {told['version']} says {values}, Python {wanted}")
            else:
                track = drawn.choice(("bass0", "flute1", "noise2"))
                told = patient(seen, partial(asker.recommend, like=[track], k=5))
                if told and [n["track_id"] for n in told["neighbours"]] != expected[told["version"]][1][track]:
                    seen.wrong.append(f"{track}: version {told['version']} says {told['neighbours']}")
            if told:
                seen.answers["recordings" if "probabilities" in told else "by id"] += 1
                seen.versions[told["version"]] += 1

    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    due = {title: began + every for title, every in EVERY.items()}
    steps = [(began + seconds * at, PROXIES[fast], 0) for at in (0.15, 0.6)]
    steps += [(began + seconds * i / 4, "", i) for i in (1, 2)]  # before the last third, whose memory is looked at
    steps.sort()
    while time.monotonic() < end:
        now = time.monotonic()
        for title in [t for t, at in due.items() if now > at]:
            due[title] = now + EVERY[title]
            _kill(server, title)
        while steps and now > steps[0][0]:
            _, title, version = steps.pop(0)
            if title:
                _kill(server, title)
            else:
                promotion(version)
        memory.append(server.memory())
        time.sleep(2)
    for thread in threads:
        thread.join()
    return seen, memory


def _kill(server: Running, title: str) -> None:
    found = server.processes(title)
    if found:
        os.kill(random.choice(found).pid, signal.SIGKILL)
