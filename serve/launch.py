"""Starting the server from Python: deploy, wait until it answers, take it down."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from serve.settings import INGRESS_CPUS, AppArgs
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.processes import require_free_port
from tonearm.workflows.ray_address import cluster_address

APPLICATION = "tonearm"
_shared = threading.Event()  # Serve ran before us: others have applications on it
SECONDS_OF_FAREWELL = 1.0
SECONDS_TO_ANSWER = 60.0  # of a deployment whose status is already "running"


def start(args: AppArgs, host: str = "127.0.0.1", port: int = 0) -> str:
    """Deploy the application on the running Ray and wait until it answers; its URL. Port 0 takes any free one.

    Raises
    ------
    BundleError, TrackingError
        If the model cannot be loaded: found here in seconds; Serve would try three times and not report the cause.
    JobError
        If the port is in use, or the application does not become healthy.
    """
    from ray import serve

    from serve.app import build
    from tonearm.inference import load

    port = port or _any_port(host)
    require_free_port(host, port)
    load(args.model, args.allowed_modules)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    (_shared.set if serve.status().proxies else _shared.clear)()
    try:
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": host, "port": port},
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        serve.run(build(args), name=APPLICATION, route_prefix="/", blocking=False)
        _wait_until_healthy(f"http://{host}:{port}", args.model)
    except RuntimeError as error:  # Serve's word for a deployment that failed; the cause is in its message
        reason = next((line for line in str(error).splitlines() if "Error" in line), str(error))
        stop()
        raise JobError(f"the model {args.model} could not be served: {reason.strip()}") from error
    except BaseException:  # a signal, too: on a cluster Serve would outlive its driver
        stop()
        raise
    return f"http://{host}:{port}"


def _wait_until_healthy(url: str, model: str) -> None:
    import httpx

    seen = "no response"
    deadline = time.monotonic() + SECONDS_TO_ANSWER
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{url}/healthz", timeout=5, trust_env=False)  # no proxy is asked for our own
        except httpx.HTTPError as error:
            seen = repr(error)
        else:
            if answer.status_code == 200 and answer.json()["model"] == model:
                return
            seen = f"{answer.status_code} {answer.text[:200]}"
        time.sleep(0.1)
    raise JobError(
        f"{model} was deployed, but {url}/healthz returned {seen}: if Serve was already running on this cluster, it "
        "keeps its own host and port; shut it down first or use those"
    )


def recommends(url: str) -> bool:
    """Whether the server at a URL has a catalogue to recommend from."""
    import httpx

    return bool(httpx.get(f"{url}/healthz", timeout=60, trust_env=False).json()["tracks"])


def stop() -> None:
    """Take down what :func:`start` deployed; Serve itself only where it was not running before.

    Ray tells every driver that Serve's controller was killed in the middle of its last task, which is how Serve ends;
    a user would take it for a failure, so output is suppressed meanwhile.
    """
    from ray import serve

    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        if _shared.is_set():
            serve.delete(APPLICATION)
        else:
            serve.shutdown()  # type: ignore[no-untyped-call]
        time.sleep(SECONDS_OF_FAREWELL)


def _any_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(args: AppArgs, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """:func:`start`, and :func:`stop` at the end, however it comes; the URL meanwhile."""
    url = start(args, host, port)
    try:
        yield url
    finally:
        stop()


def check_settings(**values: Any) -> AppArgs:
    """Checked settings.

    Raises
    ------
    ConfigError
        If a value cannot be; all of them are listed.
    """
    try:
        return AppArgs(**values)
    except ValidationError as error:
        raise ConfigError(f"{e['loc'][0]}: {e['msg']}, got {e['input']!r}" for e in error.errors()) from None


def require_cpus(args: AppArgs) -> None:
    """Check that a local Ray has the CPUs that the copies reserve; Serve would wait for them for ever.

    Raises
    ------
    JobError
        If it has not. A cluster is not asked: it may grow.
    """
    import ray

    available = float(ray.cluster_resources().get("CPU", 0.0))  # type: ignore[no-untyped-call]
    needed = args.replicas * args.cpus + INGRESS_CPUS
    if not cluster_address() and needed > available:
        raise JobError(
            f"{args.replicas} replicas of {args.cpus:g} CPUs and the ingress of {INGRESS_CPUS:g} need {needed:g} CPUs, "
            f"this machine has {available:g}: choose fewer with --replicas"
        )
