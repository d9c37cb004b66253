"""Ray that is slow or gives up: it is given time, and what it says is one line."""

from __future__ import annotations

import errno
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jobs.common import cli_errors
from tonearm.core.error_text import describe_error
from tonearm.core.errors import JobError, TrainingError
from tonearm.workflows.ray_session import PROXY_PATIENCE, TRIES, start_ray

OF_FULL_STORE = "Ray's object store is full of what other jobs hold, and so is the disk of its temporary folder: "


def test_serve_is_given_time_to_start_its_proxy() -> None:
    from ray.serve._private import constants

    name, seconds = PROXY_PATIENCE
    assert f'"{name}"' in inspect.getsource(constants), "Ray reads another variable now"
    submitted = (Path(__file__).parents[2] / "infra" / "runtime_env.yaml").read_text()
    assert f'{name}: "{seconds}"' in submitted and float(seconds) >= 60


def test_a_node_that_never_starts_in_time_is_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import ray

    tries: list[subprocess.Popen[bytes]] = []
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    other = subprocess.Popen(sleep)

    def slow(**_: object) -> None:
        assert all(process.poll() is not None for process in tries), "the one before takes the machine's time"
        tries.append(subprocess.Popen([*sleep, f"{ray.__path__[0]}/a/part/of/it"]))
        raise Exception("The current node timed out during startup.\nThis could happen")  # as ray._private.node does

    monkeypatch.setattr("ray.init", slow)
    try:
        with pytest.raises(JobError, match=r"^Ray cannot be started here: The current node timed out .*run it again"):
            start_ray()
        assert len(tries) == TRIES and caplog.text.count("Ray was not up in time") == TRIES - 1
        assert all(process.poll() is not None for process in tries), "nothing of it is left to who starts another one"
        assert other.poll() is None, "it is not of Ray"
    finally:
        for process in (other, *tries):
            process.kill()
            process.wait()


SLOW_AT_FIRST = """
import psutil
from ray._private import services
from tonearm.workflows.ray_session import start_ray

node_of, ray_of = services.get_node, []

def slow_at_first(*address):
    found = node_of(*address)
    ray_of.append(psutil.Process().children(recursive=True))
    if len(ray_of) == 1:
        raise Exception("The current node timed out during startup. ")
    return found

services.get_node = slow_at_first
start_ray(num_cpus=1)
import ray

assert not any(process.is_running() for process in ray_of[0]), ray_of[0]
print(len(ray_of[0]), ray.get(ray.remote(lambda: 6 * 7).remote()))
"""


@pytest.mark.integration
def test_a_node_that_starts_in_time_when_asked_again(tmp_path: Path) -> None:
    environment = {**os.environ, "RAY_TMPDIR": tempfile.mkdtemp(prefix="tn", dir="/tmp"),
                   "PYTHONPATH": str(Path(__file__).parents[2] / "platform")}  # fmt: skip
    environment.pop("RAY_ADDRESS", None)
    try:
        done = subprocess.run([sys.executable, "-c", SLOW_AT_FIRST], cwd=tmp_path, env=environment, text=True,
                              capture_output=True, timeout=300)  # fmt: skip
    finally:
        shutil.rmtree(environment["RAY_TMPDIR"], ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    started, answer = map(int, done.stdout.split())
    assert started >= 2 and answer == 42
    assert "Ray was not up in time: this machine may be busy" in done.stderr


def test_errors_of_ray_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from ray.exceptions import ActorDiedError, GetTimeoutError, ObjectStoreFullError, OutOfDiskError, RayTaskError

    def from_worker(cause: Exception) -> Exception:
        return RayTaskError("f", "Traceback (of a worker):\n  many\n  lines", cause).as_instanceof_cause()

    user_code = type("UserCodeException", (Exception,), {"__module__": "ray.data.exceptions"})
    of_data, on_full_disk = user_code(), user_code()
    of_data.__cause__ = JobError("too short")
    full = on_full_disk.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raised: list[tuple[Exception, str]] = [
        (ActorDiedError(), "Ray gave up: ActorDiedError: The actor died"),
        (GetTimeoutError("no answer"), "Ray gave up: GetTimeoutError: no answer"),
        (OutOfDiskError("Local disk is full"), f"Local disk is full ({OF_FULL_STORE}"),
        (ObjectStoreFullError("Failed to put object 1"), f"Failed to put object 1 ({OF_FULL_STORE}"),
        (from_worker(of_data), "error: too short\n"),
        (from_worker(on_full_disk), "error: No space left on device: make space there"),
        (full, "error: No space left on device: make space there"),
        (
            OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "/h/x"),
            "error: Disk quota exceeded (/h/x): make space there",
        ),
        (from_worker(KeyError("x")), "Ray gave up: KeyError: 'x'"),
        (from_worker(TrainingError("the loss is nan")), "error: the loss is nan\n"),
    ]
    for error, told in raised:
        with pytest.raises(SystemExit) as end, cli_errors():
            raise error
        said = capsys.readouterr().err
        assert end.value.code == 1 and told in said and len(said.strip().splitlines()) == 1
        if "Ray gave up" in said:
            kept = Path(said.strip().removesuffix(")").rsplit(" ", 1)[1])
            assert "Traceback" in kept.read_text()
            kept.unlink()
    assert describe_error(KeyError("x")) == "", "a bug keeps its traceback"
    bug = KeyError("x")
    bug.__cause__ = JobError("handled wrongly")
    assert describe_error(bug) == "", "whatever it was raised from"
    assert describe_error(TimeoutError("of a lock, a socket ...")) == ""
    of_serve = {"__name__": "ray.serve._private.api"}
    exec("def start():\n    raise TimeoutError('no proxy \\udcff')", of_serve)  # Serve raises Python's own
    with pytest.raises(SystemExit), cli_errors():
        of_serve["start"]()  # type: ignore[operator]
    said = capsys.readouterr().err
    assert "Ray gave up: TimeoutError: no proxy" in said
    Path(said.strip().removesuffix(")").rsplit(" ", 1)[1]).unlink()
