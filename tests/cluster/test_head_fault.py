"""A server on a cluster while a node, and then the head with all its processes, are killed; a job whose client is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from serve.proxy import VARIABLES
from tests.builders import CLASSES, encode, sounds_like
from tests.cluster.conftest import extraction, fresh_home, values
from tests.cluster.network import ROOT, Machine
from tests.cluster.nodes import QUICK, Cluster, cluster
from tests.serve.clients import Asked, Clients, asking
from tests.serve.conftest import write_model
from tests.servers import missing, wait_until
from tonearm.inference import load

pytestmark = [pytest.mark.integration, pytest.mark.long]

PORT = 8000
CLIPS = [encode(sounds_like(CLASSES[i % 3], i)) for i in range(6)]
SECONDS_WITHOUT_HEAD = 40.0
SERVE = str(Path(sys.executable).parent / "serve")


@pytest.fixture(scope="module")
def made(short_folder: Path) -> Iterator[Cluster]:
    """A head that remembers, and two nodes; a proxy on each."""
    folder = short_folder / "head"
    remembers = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(folder / "gcs"),
                 "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
                 **VARIABLES}  # fmt: skip
    with cluster(folder, **QUICK, **remembers) as found:
        if not found.network.isolated:
            missing("root's right to make network namespaces, and iproute2: apt-get install iproute2")
        head = found.add("head", "--dashboard-host=127.0.0.1", "--dashboard-port=8265", cpus=0)
        found.wait_for(head)
        nodes = [found.add(name, cpus=2) for name in ("one", "two")]
        found.wait_for(head, *nodes)
        yield found


@pytest.fixture(scope="module")
def expected_answers(short_folder: Path) -> list[dict[str, float]]:
    """Of the served model, for each clip, as Python answers."""
    model = load(write_model(short_folder / "model"))
    each = [model.predict(clip) for clip in CLIPS]
    return [dict(zip(p.labels, map(float, p.probabilities), strict=True)) for p in each]


def check(asked: list[Asked], expected: list[dict[str, float]]) -> None:
    """No answer is wrong, whoever lives: who cannot answer says so."""
    for a in asked:
        if a.status == 200:
            given = {p["label"]: p["probability"] for p in a.answer["probabilities"]}
            assert given == pytest.approx(expected[a.clip], abs=1e-5)
        else:
            assert a.status in (0, 500, 503, 504), a


def told(name: str, clients: Clients, since: float) -> None:
    """What was seen, for people: pytest -s."""
    later = [a for a in clients.asked if a.began >= since]
    good = [a.began for a in later if a.status == 200]
    longest = max((b - a for a, b in zip([since, *good], good, strict=False)), default=float("inf"))
    print(f"\n  {name}: {len(later)} requests, {len(later) - len(good)} not answered, statuses "
          f"{sorted({a.status for a in later})}, longest without an answer {longest:.1f} s")  # fmt: skip


def test_a_node_and_then_the_head_are_killed_while_it_serves(
    made: Cluster, short_folder: Path, expected_answers: list[dict[str, float]]
) -> None:
    head, one, two = made.network.machines
    fresh_home(made, "served")
    document = yaml.safe_load((ROOT / "serve" / "config" / "cluster.yaml").read_text())
    (application,) = document["applications"]
    application["args"] = {
        "model": str(short_folder / "model" / "bundle"),
        "cpus": 0.2,
        "replicas": 2,
        "cache_bytes": 0,
        "tokens": False,
        "hosts": [machine.address for machine in (head, one, two)],
    }
    config = made.network.folder / "serve.yaml"
    config.write_text(yaml.safe_dump(document))
    head.do(SERVE, "deploy", str(config), "--address", "http://127.0.0.1:8265")
    wait_until(lambda: ready(head) and ready(one) and ready(two), "the proxies of all nodes answer")

    with asking(f"http://{one.address}:{PORT}", CLIPS, 2) as clients:
        clients.wait_for(10)
        since = time.monotonic()
        two.kill()
        clients.wait_for(40)
        told("a node is killed", clients, since)
    check(clients.asked, expected_answers)
    assert clients.asked[-1].status == 200
    made.start(two)
    made.wait_for(head, one, two)

    workers = {p.pid for p in one.processes("ray::ServeReplica")}
    with asking(f"http://{one.address}:{PORT}", CLIPS, 2) as clients:
        clients.wait_for(10)
        since = time.monotonic()
        head.kill()
        time.sleep(SECONDS_WITHOUT_HEAD)
        told("the head is off", clients, since)
        back = time.monotonic()
        made.start(head)
        made.wait_for(head, one, two)
        print(f"  the head knows its nodes again after {time.monotonic() - back:.1f} s")
        clients.wait_for(20)
        told("the head is back", clients, back)
    check(clients.asked, expected_answers)
    assert any(a.status == 200 for a in clients.asked if since + 10 < a.began < back), "nobody was answered meanwhile"
    assert clients.asked[-1].status == 200
    assert workers & {p.pid for p in one.processes("ray::ServeReplica")}, "the node's replicas did not survive"
    wait_until(lambda: ready(head), "the new head's proxy answers")


def ready(machine: Machine) -> bool:
    try:
        return httpx.get(f"http://{machine.address}:{PORT}/readyz", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_killed_client_of_a_job_ends_nothing(
    made: Cluster, recordings: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    home = fresh_home(made, "submitted")
    client = made.head.start(sys.executable, "-m", "jobs.submit", "--address", "http://127.0.0.1:8265",
                             "--patience", "60", "--home", str(home), "--", *extraction(recordings))  # fmt: skip
    wait_until(lambda: client.poll() is not None or (home / "features").exists(), "the job works")
    assert client.poll() is None, client.stdout.read() if client.stdout else ""
    for process in made.head.processes("jobs.submit"):
        process.kill()
    os.killpg(client.pid, signal.SIGKILL)
    client.wait(60)
    wait_until(lambda: (home / "reports" / "music" / "extraction.json").exists(), "the job ended without its client")
    assert values(home) == expected


def test_nothing_runs_when_all_is_off(made: Cluster) -> None:
    names = [m.namespace for m in made.network.machines]
    for machine in made.network.machines:
        machine.kill()
    found = subprocess.run(["ip", "netns", "pids", names[0]], capture_output=True, text=True, check=True).stdout.split()
    assert found == []
