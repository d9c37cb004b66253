"""A pipeline that is submitted to a cluster, whose driver is killed, and then a node, while it sweeps; and one that is
begun on two hosts at once, which nobody disturbs: both come to the same features and the same champion."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
import yaml

from serve.proxy import VARIABLES
from tests.builders import CLASSES, encode, sounds_like
from tests.cluster.conftest import extraction, fresh_home, values
from tests.cluster.network import ROOT, Machine
from tests.cluster.nodes import QUICK, Cluster, cluster
from tests.integration.conftest import Workplace, write_music
from tests.integration.quick_sweep import Figures, ended, figures, midway, sweep, wait
from tests.servers import missing, wait_until
from tonearm.inference import load
from tonearm.tracking import query
from tonearm.tracking.log import client
from tonearm.workflows.pipeline_ledger import PipelineLedger

pytestmark = [pytest.mark.integration, pytest.mark.long]

NAME, EPOCHS, PORT = "night", 10, 8000
PER_CLASS, SECONDS = 15, 4.0
DASHBOARD = "http://127.0.0.1:8265"
CHAMPION = "models:/tonearm-music@champion"
CLIP = encode(sounds_like(CLASSES[1], 7, SECONDS))
AT_WORK = ("-m jobs.", "ImplicitFunc", "Extractor")  # what is of a job, and ends with it


@pytest.fixture(scope="module")
def made(short_folder: Path) -> Iterator[Cluster]:
    """A head that computes nothing, and two nodes."""
    serves = {**VARIABLES, "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120"}
    with cluster(short_folder / "pipeline", **QUICK, **serves) as found:
        if not found.network.isolated:
            missing("root's right to make network namespaces, and iproute2: apt-get install iproute2")
        head = found.add("head", "--dashboard-host=127.0.0.1", "--dashboard-port=8265", cpus=0)
        found.wait_for(head)
        found.wait_for(head, *[found.add(name) for name in ("one", "two")])
        yield found


@pytest.fixture(scope="module")
def music(short_folder: Path) -> Path:
    """Fewer recordings than other tests here have: each step hears all of them."""
    write_music(short_folder / "few" / "music", PER_CLASS, SECONDS)
    return short_folder / "few" / "music"


def pipeline(made: Cluster, recordings: Path, *more: str) -> str:
    """The file of the first three steps, and more."""
    steps = [shlex.join(words).removeprefix("jobs.") for words in
             (extraction(recordings), sweep(0, "--epochs", str(EPOCHS)))]  # fmt: skip
    document = {"name": NAME, "steps": [*steps, "select --promote --most-members 1", *more]}
    file = made.home / "pipeline.yaml"
    file.write_text(yaml.safe_dump(document))
    return str(file)


def configuration(made: Cluster) -> str:
    """The file for serving on the cluster, whoever asks."""
    document = yaml.safe_load((ROOT / "serve" / "config" / "cluster.yaml").read_text())
    (application,) = document["applications"]
    hosts = [machine.address for machine in made.network.machines]
    application["args"] = {"model": CHAMPION, "cpus": 0.2, "ingresses": 1, "tokens": False, "hosts": hosts}
    file = made.home / "serve.yaml"
    file.write_text(yaml.safe_dump(document))
    return str(file)


@dataclass
class Story:
    """What became of a pipeline.

    Attributes
    ----------
    said
        What each of those who began it was told.
    codes
        Their exit codes.
    """

    place: Workplace
    said: list[str]
    codes: list[int | None]

    def swept(self) -> Figures:
        return figures(self.place, 0)

    def answer(self) -> dict[str, float]:
        """The champion's, to the question, in this process."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TONEARM_HOME", str(self.place.home))
            found = load(CHAMPION).predict(CLIP)
        return dict(zip(found.labels, map(float, found.probabilities), strict=True))

    def require_done_once(self, *names: str) -> None:
        """One run in MLflow for the pipeline, one below it for each step, which ended once; nothing runs any more."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TONEARM_HOME", str(self.place.home))
            api = client()
            runs = api.search_runs([e.experiment_id for e in api.search_experiments()], max_results=1000)
            assert {run.info.status for run in runs} == {"FINISHED"}
            (experiment,) = [e.experiment_id for e in api.search_experiments() if e.name == "pipelines"]
            parents = [r for r in runs if r.info.experiment_id == experiment
                       and "mlflow.parentRunId" not in r.data.tags]  # fmt: skip
            assert [r.info.run_id for r in parents] == [PipelineLedger.load(NAME).run]
            steps = query.child_runs(parents[0].info.run_id)
            assert [step.name for step in steps] == [f"{i} {name}" for i, name in enumerate(names, 1)]
            assert [len(query.metric_history(step.run_id, "seconds")) for step in steps] == [1] * len(names)


def told(processes: list[subprocess.Popen[str]], place: Workplace) -> Story:
    said = [process.communicate(timeout=540)[0] for process in processes]
    return Story(place, said, [process.returncode for process in processes])


def trainers(*nodes: Machine) -> list[Machine]:
    """Those that train a trial now."""
    return [node for node in nodes if node.processes("ImplicitFunc")]


@pytest.fixture(scope="module")
def undisturbed(made: Cluster, music: Path) -> Story:
    """Begun by two drivers at once."""
    place = Workplace(fresh_home(made, "undisturbed"), music, {}, {})
    file = pipeline(made, music)
    return told([made.begin("jobs.pipeline", file, on=machine) for machine in made.network.machines[1:]], place)


@pytest.fixture(scope="module")
def disturbed(made: Cluster, music: Path, undisturbed: Story) -> Story:
    """Submitted twice; its driver is killed in its sweep, and then a node, in what is left of this."""
    head, one, two = made.network.machines
    place = Workplace(fresh_home(made, "disturbed"), music, {}, {})
    deploy = f"deploy music --config {configuration(made)} --server http://{one.address}:{PORT}"
    file = pipeline(made, music, "index --dataset music", deploy)

    def submit(name: str) -> subprocess.Popen[str]:
        send = (sys.executable, "-m", "jobs.submit", "--address", DASHBOARD, "--patience", "120", "--retries", "1")
        return head.start(*send, "--home", str(place.home), "--", "pipeline", file,
                          TONEARM_CACHE=str(head.private / name))  # fmt: skip

    first = submit("first")
    wait(first, lambda: (place.home / "pipelines" / NAME).exists(), "the pipeline began")
    second = submit("second")
    wait(first, lambda: bool(ended(place, 0)) and midway(place, 0, EPOCHS), "a trial had ended, and one had not")
    had_ended = ended(place, 0)
    killed = [*head.processes("-m jobs.pipeline"), *head.processes("-m jobs.sweep")]
    for process in killed:
        if "jobs.pipeline" in process.cmdline():
            process.kill()
    wait(first, lambda: any(p not in killed for p in head.processes("-m jobs.sweep")) and bool(trainers(one, two)),
         "a node trains for the driver that came after")  # fmt: skip
    victim = trainers(one, two)[-1]
    victim.kill()
    made.start(victim)
    story = told([first, second], place)
    assert {name: time for name, time in ended(place, 0).items() if name in had_ended} == had_ended, story.said[0]
    return story


def test_of_two_drivers_one_runs_it_and_the_other_says_who_does(undisturbed: Story) -> None:
    (code, said), (other_code, refused) = sorted(zip(undisturbed.codes, undisturbed.said, strict=True))
    assert (code, other_code) == (0, 1), said + refused
    by = r"by process \d+ on (one|two): wait for it"
    assert re.search(rf"^error: the pipeline night is being run since .* {by}", refused.strip())
    assert len(refused.strip().splitlines()) == 1
    undisturbed.require_done_once("extract", "sweep", "select")


def test_it_goes_on_although_its_driver_and_a_node_are_killed(disturbed: Story, undisturbed: Story) -> None:
    first, second = disturbed.said
    assert disturbed.codes == [0, 0], first + second
    assert "runs already" in second
    assert first.count("lost its driver (Job entrypoint command failed with exit code 137):") == 1, first
    assert first.count(": ended before, skipped") == 1, first
    disturbed.require_done_once("extract", "sweep", "select", "index", "deploy")
    features = values(undisturbed.place.home)
    assert len(features) == PER_CLASS * len(CLASSES) and values(disturbed.place.home) == features
    assert disturbed.swept() == undisturbed.swept()
    assert disturbed.answer() == undisturbed.answer()


def test_what_was_submitted_twice_ran_once_and_once_again(made: Cluster, disturbed: Story) -> None:
    listed = made.head.do(sys.executable, "-m", "jobs.submit", "list", "--address", DASHBOARD)
    assert len(re.findall(r"^pipeline-", listed, re.MULTILINE)) == 2, listed


def test_what_it_deployed_answers(made: Cluster, disturbed: Story, undisturbed: Story) -> None:
    for machine in made.network.machines[1:]:
        wait_until(partial(ready, machine), f"{machine.name} answers")
        url = f"http://{machine.address}:{PORT}/v1/classify"
        answer = httpx.post(url, files={"audio": ("song.wav", CLIP)}, timeout=60, trust_env=False)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["model"], answer.json()["version"]) == ("tonearm-music", "1")
        given = {p["label"]: p["probability"] for p in answer.json()["probabilities"]}
        assert given == pytest.approx(undisturbed.answer(), abs=1e-5)


def ready(machine: Machine) -> bool:
    try:
        return httpx.get(f"http://{machine.address}:{PORT}/readyz", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_nothing_of_it_runs_any_more(made: Cluster, disturbed: Story) -> None:
    wait_until(lambda: not [p for m in made.network.machines for word in AT_WORK for p in m.processes(word)],
               "no process outlives its job")  # fmt: skip
