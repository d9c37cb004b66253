"""Jobs submitted to a cluster: a private one, with its own ports, folder and token, that only this test stops."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import Workplace
from tests.servers import PATIENCE, wait_until
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


class Cluster:
    """A head of one node, which can be killed and started again: it keeps what it knows on disk."""

    def __init__(self, place: Workplace, log: Path) -> None:
        self.place, self.log = place, log
        self.temporary = Path(place.environment["RAY_TMPDIR"])
        self.gcs, self.dashboard, self.client, self.agent = free_ports(4)
        self.url = f"http://127.0.0.1:{self.dashboard}"
        self.address = ("--address", self.url)

    def start(self) -> None:
        command = [
            str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", f"--port={self.gcs}",
            f"--dashboard-port={self.dashboard}", "--dashboard-host=127.0.0.1",
            f"--ray-client-server-port={self.client}",
            f"--dashboard-agent-listen-port={self.agent}",  # another Ray of this machine may have the usual one
            f"--temp-dir={self.temporary}", "--num-cpus=2", "--object-store-memory=200000000", "--disable-usage-stats",
        ]  # fmt: skip
        # Without this file, by which Ray would refuse to start beside nodes of the head before.
        (self.temporary / "ray_current_cluster").unlink(missing_ok=True)
        with self.log.open("a") as output:
            self.head = subprocess.Popen(command, env=self.place.environment, stdout=output, stderr=subprocess.STDOUT,
                                         text=True, start_new_session=True)  # fmt: skip

    def kill(self) -> None:
        """End the head and all that runs on it at once, as a power cut would."""
        end_ray(self.head)

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert self.head.poll() is None and time.monotonic() < deadline, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/api/version", headers=TOKEN).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)


TOKEN = {"Authorization": f"Bearer {'ab' * 32}"}


@pytest.fixture(scope="module")
def cluster(place: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    place.environment["RAY_AUTH_MODE"] = "token"
    place.environment["RAY_AUTH_TOKEN"] = "ab" * 32
    place.environment["RAY_gcs_storage"] = "rocksdb"
    place.environment["RAY_gcs_storage_path"] = str(tmp_path_factory.mktemp("gcs"))
    made = Cluster(place, tmp_path_factory.mktemp("cluster") / "log")
    made.start()
    try:
        made.wait()
        yield made
    finally:
        made.kill()


def next_line(job: subprocess.Popen[str], words: str) -> str:
    """What a job prints until a line has these words in it."""
    assert job.stdout is not None
    printed = ""
    for line in job.stdout:
        printed += line
        if words in line:
            return printed
    raise AssertionError(printed)


def test_ones_own_network_is_swept_to_the_end_although_the_head_is_killed(
    place: Workplace, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_module.py").write_text(OWN)
    found_in = os.pathsep.join([str(tmp_path), place.environment.get("PYTHONPATH", "")])  # here, and on no node
    here = dataclasses.replace(place, environment={**place.environment, "PYTHONPATH": found_in})
    extracted = place.job("jobs.submit", *cluster.address, "--", "jobs.extract", "--dataset", "folder", "--audio",
                          str(place.music))  # fmt: skip
    assert "data set music: 30 tracks" in extracted
    sweep = here.start("jobs.submit", *cluster.address, "--retries", "1", "--", "jobs.sweep", "own_module:own",
                       "--dataset", "music", "--trials", "3", "--epochs", "2")  # fmt: skip
    wait_until(lambda: any(place.home.glob("trials/*/*/ended.json")), "a trial has ended")
    ended = {path: path.stat().st_mtime_ns for path in place.home.glob("trials/*/*/ended.json")}
    cluster.kill()
    cluster.start()
    swept, _ = sweep.communicate(timeout=PATIENCE)
    assert sweep.returncode == 0 and "best on validation" in swept, swept
    for said in ("does not answer", "answers again", "lost its driver", "retries left: 0"):
        assert swept.count(said) == 1, swept
    assert len(ended) < 3, "the sweep was over before the head was killed"
    assert {path: path.stat().st_mtime_ns for path in ended} == ended, "what had ended was trained again"

    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    from tonearm.tracking.environment import commit
    from tonearm.tracking.log import client

    api = client()
    runs = api.search_runs([api.get_experiment_by_name("music").experiment_id])
    parent = next(r for r in runs if "mlflow.parentRunId" not in r.data.tags)
    trials = query.child_runs(parent.info.run_id)
    assert [t.status for t in trials] == ["FINISHED"] * 3
    assert all("validation_f1_micro" in t.metrics for t in trials)
    assert {t.params["model.kind"] for t in trials} == {"own_on_a_cluster"}
    assert {t.tags["tonearm.commit"] for t in trials} == {commit()}, "the job did not know its commit"


def test_a_job_is_left_attached_to_listed_and_stopped(place: Workplace, cluster: Cluster) -> None:
    port = free_ports(1)[0]
    words = ("jobs.submit", *cluster.address, "--", "mlflow", "--port", str(port))  # it runs until it is stopped
    first = place.start(*words)
    printed = next_line(first, str(port))
    second = place.start(*words)
    assert "runs already" in next_line(second, "runs already")
    first.send_signal(signal.SIGINT)
    left, _ = first.communicate(timeout=60)
    assert first.returncode == 130 and "the job goes on" in left
    (job,) = set(re.findall(r"submitted (mlflow-ui-\w+)", printed))
    assert re.search(rf"{job} +running", place.job("jobs.submit", "list", *cluster.address))
    assert f"{job} is stopped" in place.job("jobs.submit", "stop", job[:-4], *cluster.address)
    ended, _ = second.communicate(timeout=60)
    assert second.returncode == 1 and f"error: {job} was stopped" in ended
    assert "Traceback" not in left + ended


def test_a_wrong_token_is_one_sentence(place: Workplace, cluster: Cluster) -> None:
    wrong = dataclasses.replace(place, environment={**place.environment, "RAY_AUTH_TOKEN": "cd" * 32})
    said = wrong.job("jobs.submit", "list", *cluster.address, check=False).strip()
    assert said.startswith("error: ") and "refuses this token" in said and len(said.splitlines()) == 1


def test_failing_job_fails_here(place: Workplace, cluster: Cluster) -> None:
    done = subprocess.run(
        place.command("jobs.submit", *cluster.address, "--", "jobs.sweep", "demo", "--dataset", "absent"),
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
