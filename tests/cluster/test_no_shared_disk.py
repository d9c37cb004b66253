"""Machines that share no disk: home in S3, runs and feedback in PostgreSQL, each machine with folders of its own. What
one extracts others train, choose, index and serve; and what is secret stands nowhere."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import httpx
import psutil
import pytest

from tests.cluster.conftest import FEATURE, say_if_not_isolated
from tests.cluster.leaks import Watch, files_below, found
from tests.cluster.network import Machine
from tests.cluster.nodes import QUICK, Cluster, cluster
from tests.object_store import BUCKET, ObjectStore, running_object_store
from tests.servers import Postgres, running_postgres, wait_until
from tonearm.tracking.log import client
from tonearm.tracking.overview import overview

pytestmark = [pytest.mark.integration, pytest.mark.long]

HOME, MUSIC = f"s3://{BUCKET}/my home", f"s3://{BUCKET}/music"
PER_CLASS, PORT, DASHBOARD = 15, 8000, "http://127.0.0.1:8265"
#: Each command of a machine begins in an empty folder of that machine's own.
OWN_FOLDERS = ("sh", "-c", 'mkdir -p "$0/tmp" "$0/user" "$0/work" && cd "$0/work" && exec "$@"')
SWEEP = ("tests.integration.spaces:quick", "--dataset", "music", "--epochs", "2")
LIKED = {"event_id": "event-id-00000001", "listener": "listener-0123456789", "kind": "like", "track_id": "flute/0.ogg"}


@dataclass
class Story:
    """What was done, and all that was said.

    Attributes
    ----------
    secrets
        By name: passwords, keys, tokens.
    said
        What each command printed, by name.
    answers
        Of the server.
    jobs
        As Ray's job API lists them.
    """

    made: Cluster
    store: ObjectStore
    secrets: dict[str, str]
    said: dict[str, str]
    answers: dict[str, httpx.Response]
    watch: Watch
    jobs: str = ""
    tracking: str = ""


@pytest.fixture(scope="module")
def story(short_folder: Path, recordings: Path) -> Iterator[Story]:
    """From recordings in a bucket to a server, each step on another machine; secrets are set on the machines, as
    infra/README.md says, and what submits has none."""
    folder = short_folder / "far"
    planted = {"database password": secrets.token_hex(16), "MLflow password": secrets.token_hex(16)}
    with cluster(folder, **QUICK) as made:
        say_if_not_isolated(made.network)
        here = made.network.here
        with running_object_store(short_folder / "weed", here) as store:
            for postgres in running_postgres(here, planted["database password"]):
                planted |= {"S3 key": store.secret, "Ray token": os.environ["RAY_AUTH_TOKEN"]}
                with Watch(planted) as watch:
                    found_out = Story(made, store, planted, {}, {}, watch, tracking=postgres.uri)
                    put_recordings(store, recordings)
                    nodes = start_nodes(found_out, postgres)
                    tell(found_out, nodes, postgres)
                    serve(found_out)
                yield found_out


def put_recordings(store: ObjectStore, folder: Path) -> None:
    for path in sorted(folder.glob("*/*.ogg")):
        if int(path.stem) < PER_CLASS:
            store.client.upload_file(str(path), BUCKET, f"music/{path.parent.name}/{path.name}")


def start_nodes(story: Story, postgres: Postgres) -> list[Machine]:
    """A head, a node, and a machine that is of no cluster."""
    made, network = story.made, story.made.network
    made.environment |= {
        **story.store.variables, "TONEARM_HOME": HOME, "MLFLOW_TRACKING_URI": postgres.uri,
        "TONEARM_FEEDBACK": postgres.uri.replace(f":{postgres.password}@", "@") + f"?password={postgres.password}",
        "MLFLOW_TRACKING_USERNAME": "anna", "MLFLOW_TRACKING_PASSWORD": story.secrets["MLflow password"],
        "PGPASSWORD": postgres.password,
    }  # fmt: skip
    for name in ("head", "node", "server"):
        private = network.folder / "private" if network.isolated else network.folder / "m" / name
        own = {"TMPDIR": f"{private}/tmp", "HOME": f"{private}/user", "RAY_TMPDIR": str(private)}
        wrapper = (*OWN_FOLDERS, str(private))
        if name == "server":
            machine = network.machine(name)
            machine.wrapper, machine.environment = wrapper, {**made.environment, "TONEARM_CACHE": f"{private}/c", **own}
            machine.boot("sleep", "3600")
        elif name == "head":
            made.add(name, "--dashboard-host=127.0.0.1", "--dashboard-port=8265", wrapper=wrapper, **own)
            made.wait_for(made.head)
        else:
            made.add(name, wrapper=wrapper, **own)
    made.wait_for(*network.machines[:2])
    return network.machines


def tell(story: Story, machines: list[Machine], postgres: Postgres) -> None:
    """Extract by a submitted job, sweep from two machines at once, of which one is refused, select on the head, index
    by another submitted job."""
    made, (head, node, _) = story.made, machines
    known = {"MLFLOW_TRACKING_URI": postgres.uri.replace(f":{postgres.password}@", "@")}

    def submitted(*words: str) -> str:
        to = ("--address", DASHBOARD, "--patience", "120", "--home", HOME)
        send = (sys.executable, "-m", "jobs.submit", *to, "--", *words)
        return head.do(*send, **known, AWS_SECRET_ACCESS_KEY="", PGPASSWORD="", MLFLOW_TRACKING_PASSWORD="",
                       TONEARM_FEEDBACK="")  # fmt: skip

    story.said["extract"] = submitted("extract", "--dataset", "folder", "--audio", MUSIC, "--features", FEATURE,
                                      "--seconds", "10", "--min-seconds", "3")  # fmt: skip
    drivers = [made.begin("jobs.sweep", *SWEEP, on=machine) for machine in (node, head)]
    ends = sorted((driver.communicate(timeout=500)[0], driver.returncode) for driver in drivers)
    (story.said["sweep"],) = [said for said, code in ends if code == 0]
    (story.said["refused"],) = [said for said, code in ends if code == 1]
    (name,) = set(re.findall(r"\bquick-[0-9a-f]+", story.said["sweep"]))
    story.said["select"] = made.job("jobs.select", name, "--promote")
    story.said["index"] = submitted("index", "--dataset", "music")
    story.said["index again"] = submitted("index", "--audio", MUSIC, "--name", "bucket")
    listed = ("import os, urllib.request as r; print(r.urlopen(r.Request('http://127.0.0.1:8265/api/jobs/', headers="
              "{'Authorization': 'Bearer ' + os.environ['RAY_AUTH_TOKEN']})).read().decode())")  # fmt: skip
    story.jobs = head.do(sys.executable, "-c", listed)


def serve(story: Story) -> None:
    """Serve on a machine that took no part so far, and ask from this one."""
    server = story.made.network.machines[2]
    made_token = server.do(sys.executable, "-m", "jobs.serve", "--new-token", "anna")
    (token,) = re.findall(r"^(\S{43})$", made_token, re.MULTILINE)
    story.secrets["serve token"] = token
    story.watch.secrets["serve token"] = token.encode()
    process = server.start(sys.executable, "-m", "jobs.serve", "--host", server.address, "--port", str(PORT))
    url = f"http://{server.address}:{PORT}"
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False) as asked:
        wait_until(lambda: process.poll() is not None or ready(asked), "the server answers")
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        clip = story.store.client.get_object(Bucket=BUCKET, Key="music/flute/0.ogg")["Body"].read()
        audio = {"audio": ("song.ogg", clip)}
        story.answers["nobody"] = httpx.post(f"{url}/v1/classify", files=audio, timeout=60, trust_env=False)
        story.answers["classify"] = asked.post("/v1/classify", files=audio)
        story.answers["recommend"] = asked.post("/v1/recommend?k=5", files=audio)
        story.answers["feedback"] = asked.post("/v1/feedback", json=LIKED)
        story.answers["subsonic"] = httpx.get(
            f"{url}/rest/tokenInfo?apiKey={token}&f=json", timeout=60, trust_env=False
        )
    inside = psutil.Process(process.pid).children() if story.made.network.isolated else [psutil.Process(process.pid)]
    inside[0].terminate()  # not nsenter, which would leave it alone
    story.said["serve"], _ = process.communicate(timeout=120)


def ready(asked: httpx.Client) -> bool:
    try:
        return asked.get("/readyz").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def told(story: Story, monkeypatch: pytest.MonkeyPatch) -> Story:
    """With this process looking at the same home."""
    for name, value in {**story.store.variables, "TONEARM_HOME": HOME, "MLFLOW_TRACKING_URI": story.tracking}.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # of another test's server
    return story


def test_what_one_machine_extracts_others_train_choose_index_and_serve(told: Story) -> None:
    assert f"{3 * PER_CLASS} tracks extracted now" in told.said["extract"]
    assert "the sweep is being run since" in told.said["refused"], "the lock in S3 let two drivers in"
    assert "promoted to champion" in told.said["select"]
    for index in ("index", "index again"):
        assert f"{3 * PER_CLASS} tracks in the space of models:/tonearm-music@champion" in told.said[index]
    assert ", 0 recordings heard now" in told.said["index again"], "the bucket's recordings are those of the data set"
    seen = overview()
    assert {r.status for r in seen.runs} == {"FINISHED"}
    assert [m.name for m in seen.models] == ["tonearm-music"]
    answers = {name: answer.status_code for name, answer in told.answers.items()}
    assert answers == {"nobody": 401, "classify": 200, "recommend": 200, "feedback": 200, "subsonic": 200}
    assert len(told.answers["classify"].json()["probabilities"]) == 3
    assert len(told.answers["recommend"].json()["neighbours"]) == 5
    assert told.answers["subsonic"].json()["subsonic-response"]["status"] == "ok"
    for machine in told.made.network.machines:
        left = [p.name for p in (machine.folder / "work").iterdir()]
        assert left == [], f"{machine.name} wrote where it was started"


def test_what_is_secret_stands_nowhere(told: Story) -> None:
    """Not in arguments of processes, Ray's logs, job records, MLflow, the home, nor in what people are told."""
    assert told.watch.looks > 100
    assert told.watch.seen == {}
    machines = [machine.folder / "ray" for machine in told.made.network.machines]
    logs = [entry for folder in machines for entry in files_below(folder)]
    assert any("runtime_env_agent.log" in name for name, _ in logs), "these are not Ray's logs"
    assert found(told.secrets, logs) == []
    assert json.loads(told.jobs) and "jobs.extract" in told.jobs
    told_people = [(name, text.encode()) for name, text in told.said.items()]
    assert found(told.secrets, [("job records", told.jobs.encode()), *told_people]) == []
    assert found(told.secrets, [(m.name, m.log.read_bytes()) for m in told.made.network.machines]) == []
    assert found(told.secrets, told.store.objects()) == []
    api = client()
    experiments = api.search_experiments()
    runs = api.search_runs([e.experiment_id for e in experiments])
    kept = [*experiments, *(r.data for r in runs), *api.search_registered_models(), *api.search_model_versions()]
    assert len(runs) > 5 and found(told.secrets, [("MLflow", repr(vars(k)).encode()) for k in kept]) == []


def test_a_password_that_a_node_does_not_have_is_named(told: Story) -> None:
    head, node, _ = told.made.network.machines
    elsewhere = {"RAY_ADDRESS": told.made.address, "MLFLOW_TRACKING_URI": f"{told.tracking}?application_name=another"}
    said = head.do(sys.executable, "-m", "jobs.sweep", *SWEEP, "--seed", "5", check=False, **elsewhere)
    assert f"node {node.address} has another MLFLOW_TRACKING_URI" in said and "Traceback" not in said
    assert "whose password is not sent" in said and told.secrets["database password"] not in said
