"""Ray that is slow or gives up: it is given time, and what it says is one line."""

from __future__ import annotations

import errno
import inspect
import os
from pathlib import Path

import pytest

from jobs.common import cli_errors
from tonearm.core.error_text import describe_error
from tonearm.core.errors import JobError, TrainingError
from tonearm.workflows.ray_session import PROXY_PATIENCE, start_ray

OF_FULL_STORE = "Ray's object store is full of what other jobs hold, and so is the disk of its temporary folder: "


def test_serve_is_given_time_to_start_its_proxy() -> None:
    from ray.serve._private import constants

    name, seconds = PROXY_PATIENCE
    assert f'"{name}"' in inspect.getsource(constants), "Ray reads another variable now"
    submitted = (Path(__file__).parents[2] / "infra" / "runtime_env.yaml").read_text()
    assert f'{name}: "{seconds}"' in submitted and float(seconds) >= 60


def test_a_node_that_does_not_start_in_time_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen")  # as ray._private.node does

    monkeypatch.setattr("ray.init", slow)
    with pytest.raises(JobError, match=r"^Ray cannot be started here: The current node timed out .*run it again"):
        start_ray()


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
