"""Jobs submitted to a cluster: a private one, with its own ports, folder and token, that only this test stops."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import Workplace
from tests.servers import PATIENCE
from tests.shared_ray import end_ray
from tonearm.core.errors import ConfigError
from tonearm.tracking import query

pytestmark = pytest.mark.integration


OWN = """
import dataclasses

from search_spaces.demo import demo
from tonearm.models.simple import SimpleConfig
from tonearm.sweeps import Choice


class OwnConfig(SimpleConfig, kind="own_on_a_cluster"):
    pass


MODELS = (OwnConfig(variant="chroma"), OwnConfig(variant="chroma", width=4))  # whose pools leave something of 64 bands


def own():
    return dataclasses.replace(demo(), over={**demo().over, "model": Choice(*MODELS)})
"""


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.fixture(scope="module")
def cluster(place: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    gcs, dashboard, client, agent = free_ports(4)
    log = tmp_path_factory.mktemp("cluster") / "log"
    place.environment["RAY_AUTH_MODE"] = "token"
    place.environment["RAY_AUTH_TOKEN"] = "ab" * 32
    command = [
        str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", f"--port={gcs}",
        f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1", f"--ray-client-server-port={client}",
        f"--dashboard-agent-listen-port={agent}",  # another Ray of this machine may have the usual one
        f"--temp-dir={place.environment['RAY_TMPDIR']}", "--num-cpus=2", "--object-store-memory=200000000",
        "--disable-usage-stats",
    ]  # fmt: skip
    with log.open("w") as output:
        head = subprocess.Popen(command, env=place.environment, stdout=output, stderr=subprocess.STDOUT, text=True,
                                start_new_session=True)  # fmt: skip
    url = f"http://127.0.0.1:{dashboard}"
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert head.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                if httpx.get(f"{url}/api/version", headers={"Authorization": f"Bearer {'ab' * 32}"}).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield url
    finally:
        end_ray(head)


def test_extraction_and_sweep_of_ones_own_network(
    place: Workplace, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_module.py").write_text(OWN)
    found_in = os.pathsep.join([str(tmp_path), place.environment.get("PYTHONPATH", "")])  # here, and on no node
    here = dataclasses.replace(place, environment={**place.environment, "PYTHONPATH": found_in})
    address = ("--address", cluster)
    extracted = place.job("jobs.submit", *address, "--", "jobs.extract", "--dataset", "folder", "--audio",
                          str(place.music))  # fmt: skip
    assert "data set music: 30 tracks" in extracted
    swept = here.job("jobs.submit", *address, "--", "jobs.sweep", "own_module:own", "--dataset", "music", "--trials",
                     "2", "--epochs", "2")  # fmt: skip
    assert "best on validation" in swept

    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    from tonearm.tracking.environment import commit
    from tonearm.tracking.log import client

    api = client()
    runs = api.search_runs([api.get_experiment_by_name("music").experiment_id])
    parent = next(r for r in runs if "mlflow.parentRunId" not in r.data.tags)
    trials = query.child_runs(parent.info.run_id)
    assert [t.status for t in trials] == ["FINISHED", "FINISHED"]
    assert all("validation_f1_micro" in t.metrics for t in trials)
    assert {t.params["model.kind"] for t in trials} == {"own_on_a_cluster"}
    assert {t.tags["tonearm.commit"] for t in trials} == {commit()}, "the job did not know its commit"


def test_failing_job_fails_here(place: Workplace, cluster: str) -> None:
    done = subprocess.run(
        place.command("jobs.submit", "--address", cluster, "--", "jobs.sweep", "demo", "--dataset", "absent"),
        env=place.environment, cwd=Path(__file__).parents[2], text=True, capture_output=True, timeout=540,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no manifest" in done.stdout


def test_no_cluster(place: Workplace) -> None:
    port = free_ports(1)[0]
    output = place.job("jobs.submit", "--address", f"http://127.0.0.1:{port}", "--", "jobs.sweep", check=False)
    assert "no Ray cluster answers" in output


def test_relative_home_is_refused() -> None:
    from tonearm.workflows.submit import runtime_env

    with pytest.raises(ConfigError, match="give a folder or URI"):
        runtime_env(Path(__file__).parents[2], ".tonearm")
