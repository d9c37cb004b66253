"""A real Prometheus scrapes a real run and a real server, and answers all that the dashboard asks."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from infra.monitoring.grafana.dashboard import FILE, SOURCE, dashboard, queries
from jobs import top
from tests.architecture.files import ROOT
from tests.builders import encode, sounds_like
from tests.integration.conftest import write_music
from tests.servers import free_port, needs, wait_until
from tonearm.core.metrics import JOB_METRICS, REFUSED_FEEDBACK, SERVER_METRICS

pytestmark = pytest.mark.integration

MONITORING = ROOT / "infra" / "monitoring"
SOON = {
    "RAY_enable_metrics_collection": "1",
    "RAY_metrics_report_interval_ms": "1000",
    "REPORTER_UPDATE_INTERVAL_MS": "1000",
}  # fmt: skip  of seconds; tests do without it otherwise
LIKED = {"event_id": "event-id-00000001", "listener": "listener-0123456789", "kind": "like", "track_id": "flute0"}
SWEEP = ("tests.integration.spaces:quick", "--epochs", "5000", "--set", "optim.patience=5000", "--cpus", "1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a sweep that runs, on a Ray of its own, with all that it extracts before."""
    folder = tmp_path_factory.mktemp("watched")
    write_music(folder / "music")
    ray_folder = tempfile.mkdtemp(prefix="tn", dir="/tmp")  # short: Ray's sockets lie there
    environment = {**os.environ, **SOON, "TONEARM_HOME": str(folder / "home"), "RAY_TMPDIR": ray_folder,
                   "TONEARM_CACHE": str(folder / "cache")}  # fmt: skip
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "jobs.sweep", *SWEEP, "--dataset", "folder", "--data", str(folder / "music"),
               "--label", "folder"]  # fmt: skip
    with (folder / "log").open("w") as log:
        job = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        exports = folder / "home" / "metrics"
        wait_until(lambda: job.poll() is not None or any(exports.glob("*.json")), "the sweep's Ray is written down")
        assert job.poll() is None, (folder / "log").read_text()
        yield folder / "home"
        assert job.poll() is None, f"it ended before it was looked at: {(folder / 'log').read_text()}"
    finally:
        started = psutil.Process(job.pid).children(recursive=True) if job.poll() is None else []
        job.terminate()
        job.wait(timeout=60)
        for process in started:
            if process.is_running():
                process.kill()
        shutil.rmtree(ray_folder, ignore_errors=True)
    assert not any(exports.glob("*.json")), "a Ray that has ended is not scraped any more"


@pytest.fixture(scope="module")
def prometheus(server: str, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus with our configuration, but for where it looks and how often."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config: dict[str, Any] = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "4s", "evaluation_interval": "4s"}  # which is its patience, too
    config["rule_files"] = [str(MONITORING / "alerts.yml")]
    for_ray, for_server = config["scrape_configs"]
    for_ray["file_sd_configs"][0] |= {"files": [f"{home}/metrics/*.json"], "refresh_interval": "1s"}
    (folder / "servers.json").write_text(json.dumps([{"targets": [server.removeprefix("http://")]}]))
    for_server["file_sd_configs"][0] |= {"files": [f"{folder}/servers.json"]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [needs("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
               f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(prometheus: str, path: str, **query: str) -> Any:
    try:
        answer = httpx.get(f"{prometheus}/api/v1/{path}", params=query, timeout=10)
    except httpx.HTTPError:  # it has just been started
        return None
    if answer.status_code == 503:
        return None
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def is_answered(prometheus: str, query: str) -> bool:
    found = ask(prometheus, "query", query=query)
    return bool(found) and any(not math.isnan(float(series["value"][1])) for series in found["result"])


def test_every_query_of_the_dashboard_is_answered(prometheus: str, server: str) -> None:
    audio, asked = encode(sounds_like("flute", 0)), queries()
    answered: set[str] = set()

    def all_answered() -> bool:
        httpx.post(f"{server}/v1/classify", content=audio, timeout=60)
        httpx.post(f"{server}/v1/feedback", json=LIKED, timeout=60)
        answered.update(query for query in asked if query not in answered and is_answered(prometheus, query))
        return len(answered) == len(set(asked))

    try:
        wait_until(all_answered, "Prometheus answers all queries")
    except AssertionError:
        pytest.fail(f"not answered: {set(asked) - answered}")
    names = set(ask(prometheus, "label/__name__/values"))
    assert {m.name for m in JOB_METRICS} <= names, "ours are there, without Ray's prefix"
    served = {m.name + "_bucket" * (m.kind == "histogram") for m in SERVER_METRICS}
    assert served - names == {REFUSED_FEEDBACK.name}, "that alone has no series before something is refused"
    rules = [rule for group in ask(prometheus, "rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"} and {rule["type"] for rule in rules} == {"alerting"}
    reasons = ask(prometheus, "query", query="sum by (reason) (tonearm_rejects_total)")["result"]
    assert {r["metric"]["reason"] for r in reasons} == {"undecodable"} and {r["value"][1] for r in reasons} == {"2"}
    assert (
        ask(prometheus, "query", query="sum(tonearm_tracks_decoded_total)")["result"][0]["value"][1] == "32"
    )  # a third cannot even be opened


def test_the_dashboards_file_is_what_its_code_makes() -> None:
    assert json.loads(FILE.read_text()) == dashboard(), "python infra/monitoring/grafana/dashboard.py writes it anew"
    sources = yaml.safe_load((MONITORING / "grafana/datasources/prometheus.yml").read_text())
    assert [s["uid"] for s in sources["datasources"]] == [SOURCE["uid"]]
    panels = dashboard()["panels"]
    assert len({p["id"] for p in panels}) == len({p["title"] for p in panels}) == len(panels)


def test_top_shows_the_same_without_prometheus(
    home: Path, server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    httpx.get(f"{server}/healthz", timeout=60)
    monkeypatch.setenv("TONEARM_HOME", str(home))
    port = int(server.rpartition(":")[2])

    def seen() -> list[str]:
        top.main(once=True, address="", port=port, mlflow_port=free_port(), seconds=2)
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    titles = {"jobs on this machine", "decoded waiting tracks/s set aside", "completed failed running stopped waiting",
              "epochs seconds each of it waiting for data", "model version role"}  # fmt: skip
    found: list[str] = []

    def all_seen() -> bool:  # a gauge that a busy machine reports late is gone meanwhile
        found.extend(seen())
        return titles <= set(found)

    wait_until(all_seen, f"top shows all of {titles}")
    assert any(line.startswith("32 0 ") and line.endswith("undecodable 2") for line in found), found
    assert any(line.startswith("/healthz ") and " 200 " in line for line in found), found
    assert any(line.endswith(" current") for line in found), "the version that answers"
    assert any(line.startswith("serve http://") for line in found), found
