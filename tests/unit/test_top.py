"""What ``tonearm top`` makes of figures that nodes and servers export."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from tests.servers import free_port
from tonearm.core import metrics
from tonearm.core.errors import JobError
from tonearm.workflows.read_metrics import Exported, ServerReader, cluster_addresses, rates, read_nodes
from tonearm.workflows.top import Top, fit

NODE = b"""# HELP ray_node_cpu_count Total CPUs available on a ray node
# TYPE ray_node_cpu_count gauge
ray_node_cpu_count{ip="10.0.0.1"} 2.0
# HELP ray_tonearm_tracks_decoded_total Tracks
# TYPE ray_tonearm_tracks_decoded_total counter
ray_tonearm_tracks_decoded_total{Component="core_worker",WorkerId="a"} 40.0
ray_tonearm_tracks_decoded_total{Component="core_worker",WorkerId="b"} 2.0
# HELP ray_tonearm_rejects_total Tracks
# TYPE ray_tonearm_rejects_total counter
ray_tonearm_rejects_total{WorkerId="a",reason="silent"} 3.0
# HELP ray_tonearm_trials Trials
# TYPE ray_tonearm_trials gauge
ray_tonearm_trials{state="running"} 2.0
# HELP ray_tonearm_epochs_total Epochs
# TYPE ray_tonearm_epochs_total counter
ray_tonearm_epochs_total{WorkerId="a"} 4.0
# HELP ray_tonearm_epoch_seconds_total Seconds
# TYPE ray_tonearm_epoch_seconds_total counter
ray_tonearm_epoch_seconds_total{WorkerId="a"} 10.0
# HELP ray_tonearm_data_wait_seconds_total Seconds
# TYPE ray_tonearm_data_wait_seconds_total counter
ray_tonearm_data_wait_seconds_total{WorkerId="a"} 5.0
"""
NOWHERE = 9


def ingress(name: str, answers: int) -> bytes:
    registry = CollectorRegistry()
    requests, listen = metrics.REQUESTS, metrics.LISTEN_SECONDS
    counter = Counter(requests.name, requests.help, requests.labels, registry=registry)
    counter.labels(name, "/v1/classify", "200").inc(answers)
    Gauge(listen.name, listen.help, listen.labels, registry=registry).labels(name).set(0.2)
    return generate_latest(registry)


class Answers(BaseHTTPRequestHandler):
    """A node, a dashboard that wants a token, and a server of two ingresses that answer in turn."""

    turns: Iterator[int]
    growing: Iterator[int]

    def do_GET(self) -> None:
        if self.path == "/api/prometheus/sd":
            if self.headers.get("Authorization") != "Bearer secret":
                self.send_error(401)
                return
            host, port = self.server.server_address[:2]
            body = json.dumps([{"labels": {"job": "ray"}, "targets": [f"{host}:{port}/node"]}]).encode()
        elif self.path == "/node/metrics":
            body = NODE
        elif self.path == "/metrics":
            body = ingress("ab"[next(self.turns) % 2], next(self.growing))
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    Answers.turns, Answers.growing = count(), count(10, 10)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_a_cluster_is_read_from_its_dashboard(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{port}"
    figures = read_nodes([*cluster_addresses(url), f"127.0.0.1:{NOWHERE}"])
    assert figures.total(metrics.DECODED_TRACKS) == 42
    assert figures.sums(metrics.REJECTS, "reason") == {("silent",): 3}
    assert not figures.knows(metrics.WAITING_TRACKS) and figures.total(metrics.WAITING_TRACKS) == 0
    assert not any(name.startswith("node_") for name, _ in figures.values), "Ray's own are left out"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    with pytest.raises(JobError, match=r"wants its token: put it in ~/\.ray/auth_token"):
        cluster_addresses(url)
    for wrong in (f"{url}/elsewhere", f"http://127.0.0.1:{free_port()}", "nonsense"):
        with pytest.raises(JobError, match="Ray dashboard"):
            cluster_addresses(wrong)


def test_all_ingresses_of_a_server_are_summed_up(port: int) -> None:
    server = ServerReader(f"http://127.0.0.1:{port}")
    first, second = server.read(), server.read()
    assert set(first.sums(metrics.REQUESTS, "ingress")) == {("a",), ("b",)}
    found = rates(first, second, lambda f: f.sums(metrics.REQUESTS, "route"))
    assert found["/v1/classify",] == pytest.approx(120 / (second.time - first.time))
    again = Exported({key: value / 1000 for key, value in second.values.items()}, second.time + 1)
    assert rates(second, again, lambda f: f.sums(metrics.REQUESTS, "route"))["/v1/classify",] < 1, "it began anew"
    assert rates(Exported(), second, lambda f: f.sums(metrics.REQUESTS, "route")) == {}
    assert ServerReader(f"http://127.0.0.1:{NOWHERE}").read().values == {}


def test_one_screen_tells_of_all(port: int, tonearm_home: Path) -> None:
    seen = str(Top(f"http://127.0.0.1:{port}", port, NOWHERE).look_once(0.01))
    lines = [" ".join(line.split()) for line in seen.splitlines()]
    assert f"home {tonearm_home}" in lines
    assert "42 0 0 silent 3" in lines, seen
    assert "4 2.5 50%" in lines, seen
    (answers,) = [line for line in lines if line.startswith("/v1/classify")]
    assert answers.endswith("200 230"), "the last of each ingress: 110 and 120"
    cut = fit(seen, 20, 5).splitlines()
    assert len(cut) == 5 and max(map(len, cut)) == 20 and cut[-1] == "…"


def test_one_sentence_where_nothing_runs(tonearm_home: Path) -> None:
    said = str(Top("", NOWHERE, NOWHERE).look_once())
    assert said == f"nothing runs on {tonearm_home} now: tonearm ls shows what there is"


def test_who_does_not_speak_http_exports_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            for _ in range(2):
                with listening.accept()[0] as asked:
                    asked.recv(4096)
                    asked.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        assert read_nodes([address]).values == {}
        with pytest.raises(JobError, match="no Ray dashboard answers"):
            cluster_addresses(f"http://{address}")
        thread.join(10)
