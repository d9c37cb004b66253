"""A server that stays up: its processes are killed, its model is promoted, its sockets are held, while others ask."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from serve.schemas_feedback import LISTENER_HEADER
from serve.settings import AppArgs
from tests.builders import CLASSES, encode, sounds_like, tiny_config
from tests.serve.asgi_server import begin, read_answer
from tests.serve.clients import Asked, asking, kill, processes_of
from tests.servers import wait_until
from tonearm.ensembles.bundle import save_ensemble
from tonearm.feedback.events import arm_of
from tonearm.inference import PYFUNC_CODE, load
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import download_model
from tonearm.tracking.register import challenge, end_challenge, promote, register_candidate
from tonearm.training.bundle import Bundle, build_network, save_bundle

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("database")]

NAME, DATASET = "staying", "stays"
CLIPS = [encode(sounds_like(CLASSES[i % 3], i)) for i in range(8)]
LIMIT = 20 * 2**20  # bytes of an upload
GARBAGE = b"garbage!" * 8192


def write_network(folder: Path, seed: int) -> str:
    torch.manual_seed(seed)
    config = tiny_config()
    save_bundle(str(folder / "member"), Bundle(config, CLASSES, {}, build_network(config, len(CLASSES)).eval()))
    save_ensemble(str(folder / "bundle"), [str(folder / "member")], [1.0], {})
    return str(folder / "bundle")


def register(folder: Path, seed: int) -> str:
    """A version that is registered, and not promoted."""
    run = RunWriter.open(DATASET, f"run-{seed}").run_id
    return register_candidate(write_network(folder, seed), run, DATASET, CLASSES, PYFUNC_CODE)


@pytest.fixture(scope="module")
def home(one_home: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        patch.setenv("TONEARM_CACHE", str(one_home / "cache"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(one_home)
        yield one_home


@pytest.fixture(scope="module")
def url(server: str, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An application beside that of the other tests, which follows an alias."""
    from ray import serve

    from serve.app import build
    from serve.launch import _wait_until_ready
    from serve.versions import resolve

    promote(DATASET, register(tmp_path_factory.mktemp("first"), 1))
    args = AppArgs(
        model=f"models:/tonearm-{DATASET}@champion", name=NAME, cpus=0.1, cache_bytes=0, max_upload_bytes=LIMIT,
        tokens=False, first_seconds=60, follow_seconds=0.5, canary_share=0.5, canary_seconds=3,
        challenger=names.CHALLENGER,
    )  # fmt: skip
    serve.run(build(args), name=NAME, route_prefix=f"/{NAME}")
    _wait_until_ready(f"{server}/{NAME}", resolve(args.model), NAME)
    yield f"{server}/{NAME}"


@pytest.fixture(scope="module")
def expected(home: Path) -> Callable[[str], list[dict[str, float]]]:
    """The probabilities of a version for each clip, as Python answers."""
    found: dict[str, list[dict[str, float]]] = {}

    def answers(version: str) -> list[dict[str, float]]:
        if version not in found:
            model = load(f"models:/tonearm-{DATASET}/{version}")
            each = [model.predict(clip) for clip in CLIPS]
            found[version] = [dict(zip(p.labels, map(float, p.probabilities), strict=True)) for p in each]
        return found[version]

    return answers


def told(url: str) -> dict[str, Any]:
    """What the server says of its model: whenever it is asked, whichever ingress answers."""
    answer = httpx.get(f"{url}/v1/model", timeout=20)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def check(asked: list[Asked], expected: Callable[[str], list[dict[str, float]]]) -> None:
    """Each answer is exactly that of the version that it names."""
    for a in asked:
        given = {p["label"]: p["probability"] for p in a.answer["probabilities"]}
        assert given == pytest.approx(expected(a.answer["version"])[a.clip], abs=1e-5)


def test_a_listener_is_killed_and_nobody_sees_it(url: str, expected: Callable[[str], list[dict[str, float]]]) -> None:
    with asking(url, CLIPS) as clients:
        clients.wait_for(8)
        kill(processes_of(f"{NAME}-listener", "Listener"))
        clients.wait_for(16)
    assert not clients.failed, clients.failed[0].text
    check(clients.asked, expected)


def test_an_ingress_is_killed_and_only_who_was_there_sees_it(url: str) -> None:
    both = processes_of(NAME + ":", "Ingress")
    assert len(both) == 2
    with asking(url, CLIPS) as clients:
        clients.wait_for(8)
        when = kill(both)
        statuses: list[tuple[float, int]] = []
        while len(processes_of(NAME + ":", "Ingress")) < 2 or time.monotonic() < when + 3:
            began = time.monotonic()
            statuses.append((began, httpx.get(f"{url}/v1/model", timeout=60).status_code))
        clients.wait_for(8)
    assert {status for began, status in statuses if began > when + 0.5} == {200}, "the new ingress knows the model"
    late = [a for a in clients.failed if a.began > when + 0.5]
    assert not late, f"{late[0].began - when:.1f} s after: {late[0].status} {late[0].text}"
    assert len(clients.failed) <= 4, "one each"


def test_sockets_that_wait_hold_up_nobody(url: str) -> None:
    """Some send a head and no body, some not even a whole head."""
    port = int(httpx.URL(url).port or 0)
    head = f"POST /{NAME}/v1/classify HTTP/1.1\nContent-Type: audio/wav\nContent-Length: 90000"
    waiting = [begin(port, head, b"RIFF") for _ in range(150)]
    waiting += [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(150)]
    for opened in waiting[150:]:
        opened.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
    try:
        taken = []
        for _ in range(5):
            began = time.monotonic()
            assert httpx.get(f"{url}/healthz", timeout=20).status_code == 200
            taken.append(time.monotonic() - began)
        assert min(taken) < 2
        assert httpx.post(f"{url}/v1/classify", content=CLIPS[0], timeout=60).status_code == 200
    finally:
        for opened in waiting:
            opened.close()


def test_garbage_is_refused_before_it_is_taken(url: str) -> None:
    port = int(httpx.URL(url).port or 0)

    def send(_: int) -> tuple[int, int]:
        head = f"POST /{NAME}/v1/classify HTTP/1.1\nContent-Type: audio/mpeg\nContent-Length: {LIMIT}"
        sent, opened = 0, begin(port, head)
        while sent < LIMIT:
            readable, writable = select.select([opened], [opened], [], 60)[:2]
            if readable or not writable:
                break
            sent += opened.send(GARBAGE)
        return read_answer(opened)[0], sent

    with asking(url, CLIPS, 2) as clients, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(send, range(12)))
        clients.wait_for(4)
    assert {status for status, _ in answers} == {415}
    assert sum(sent for _, sent in answers) < 6 * LIMIT, "half of it at most; most of that lies in the sockets' buffers"
    assert not clients.failed, clients.failed[0].text


def test_a_promotion_while_clients_ask(
    url: str, expected: Callable[[str], list[dict[str, float]]], tmp_path: Path
) -> None:
    new = register(tmp_path, 2)
    with asking(url, CLIPS) as clients:
        clients.wait_for(8)
        promote(DATASET, new)
        wait_until(lambda: told(url)["version"] == new, "the new version answers")
        time.sleep(1)  # the other ingress looks twice a second
        clients.wait_for(8)
        since = len(clients.asked)
        clients.wait_for(16)
    assert not clients.failed, clients.failed[0].text
    assert {a.answer["version"] for a in clients.asked} == {"1", new}
    assert {a.answer["version"] for a in clients.asked[since + 4 :]} == {new}
    assert not np.allclose(list(expected("1")[0].values()), list(expected(new)[0].values()), atol=1e-3)
    check(clients.asked, expected)


def test_a_damaged_version_does_not_take_over(url: str, tmp_path: Path) -> None:
    before = told(url)
    damaged = register(tmp_path, 3)
    folder = Path(download_model(f"models:/tonearm-{DATASET}/{damaged}"))
    for file in folder.rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:100])
    with asking(url, CLIPS) as clients:
        promote(DATASET, damaged)
        wait_until(lambda: bool(told(url)["refused"]), "it was refused")
        clients.wait_for(8)
    now = told(url)
    assert now["version"] == before["version"] and damaged in now["refused"][0], now["refused"]
    assert not clients.failed
    assert {a.answer["version"] for a in clients.asked} == {before["version"]}


def test_a_share_of_the_listeners_gets_the_challenger_until_its_alias_goes(
    url: str, expected: Callable[[str], list[dict[str, float]]], tmp_path: Path
) -> None:
    champion, new = told(url)["version"], register(tmp_path, 4)
    challenge(DATASET, new)
    wait_until(lambda: all(told(url)["challenger"] == new for _ in range(10)), "both ingresses know the challenger")
    arms = {}
    for i in range(12):
        listener = {LISTENER_HEADER: f"listener-{i:08d}"}
        answer = httpx.post(f"{url}/v1/classify", content=CLIPS[0], headers=listener, timeout=60).json()
        check([Asked(0, 0.0, 200, answer)], expected)
        arms[listener[LISTENER_HEADER]] = answer["arm"]
        assert answer["version"] == (new if answer["arm"] == "challenger" else champion)
    assert arms == {listener: arm_of(listener, "1", 0.5) for listener in arms} and len(set(arms.values())) == 2
    with asking(url, CLIPS) as clients:
        clients.wait_for(4)
        assert end_challenge(DATASET, new) and not end_challenge(DATASET, new)
        wait_until(lambda: told(url)["challenger"] is None, "nobody is challenged")
        clients.wait_for(4)
    assert not clients.failed and {a.answer["version"] for a in clients.asked} == {champion}
