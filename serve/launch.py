"""Starting the server from Python: deploy, wait until it answers, take it down."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from serve import proxy
from serve.access import require_tokens, tokens_uri
from serve.fast import fast_variables
from serve.log_settings import log_settings
from serve.problems import MODEL_REFUSED
from serve.settings import INGRESS_CPUS, AppArgs
from serve.versions import Version, follows, listeners_of, resolve
from tonearm.core import storage
from tonearm.core.errors import BundleError, ConfigError, JobError
from tonearm.core.processes import require_free_port
from tonearm.workflows.ray_address import cluster_address

logger = logging.getLogger(__name__)

APPLICATION = str(AppArgs.model_fields["name"].default)
_shared = threading.Event()  # Serve ran before us: others have applications on it
SECONDS_OF_FAREWELL = 1.0
SECONDS_TO_ANSWER = 120.0  # the model is loaded meanwhile; a busy machine takes its time


def proxy_variables(fast: bool = False) -> dict[str, str]:
    """Variables of the process that starts Ray, which make its HTTP proxy a safe one, or a fast one that is as safe,
    let it keep no worker that has nothing to do, and let no process keep freed memory apart for each of its threads.

    Raises
    ------
    ConfigError
        If there can be no fast one here.
    """
    memory = {"MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "1")}
    return memory | {"RAY_num_workers_soft_limit": "0"} | proxy.VARIABLES | (fast_variables() if fast else {})


def start(args: AppArgs, host: str = "127.0.0.1", port: int = 0) -> str:
    """Deploy the application on the running Ray and wait until its model answers; its URL. Port 0 takes any free one.

    Raises
    ------
    BundleError, TrackingError
        If there is no such model.
    JobError
        If the port is in use, the model cannot be loaded, or the application does not answer.
    """
    from ray import serve

    from serve.app import application
    from serve.holding import listener_target

    port = port or _any_port(host)
    require_free_port(host, port)
    args = args.model_copy(update={"tokens": args.tokens or require_tokens(host, tokens_uri())})
    version = resolve(args.model)
    if not version.number and not storage.exists(version.uri):
        raise BundleError(f"{args.model} holds no model: nothing is there")
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    (_shared.set if serve.status().proxies else _shared.clear)()
    if args.name in serve.status().applications:
        raise JobError(f"{args.name} is served on this cluster already: stop that server first (serve shutdown)")
    try:
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": host, "port": port},
            logging_config=log_settings(),
        )
        ingress = serve.RunTarget(target=application(args, version), name=args.name, route_prefix="/")
        serve.run_many([listener_target(args, version), ingress], wait_for_applications_running=False)
        _wait_until_ready(f"http://{host}:{port}", version, args.name)
    except RuntimeError as error:  # Serve's word for a deployment that failed; the cause is in its message
        reason = next((line for line in str(error).splitlines() if "Error" in line), str(error))
        stop(args.name)
        raise JobError(f"the model {args.model} could not be served: {reason.strip()}") from error
    except BaseException:  # a signal, too: on a cluster Serve would outlive its driver
        stop(args.name)
        raise
    return f"http://{host}:{port}"


def _wait_until_ready(url: str, version: Version, name: str) -> None:
    import httpx

    seen = "no response"
    deadline = time.monotonic() + SECONDS_TO_ANSWER
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{url}/readyz", timeout=5, trust_env=False)  # no proxy is asked for our own
        except httpx.HTTPError as error:
            seen = repr(error)
        else:
            if answer.status_code == 200 and answer.json().get("model") == version.name:
                return
            seen = f"{answer.status_code} {answer.text[:2000]}"
            if MODEL_REFUSED in seen:
                raise JobError(
                    f"the model {version.name} could not be served: {_reasons(name) or answer.json()['detail']}"
                )
        time.sleep(0.1)
    raise JobError(
        f"{version.name} was deployed, but {url}/readyz returned {seen}: if Serve was already running on this cluster, "
        "it keeps its own host and port; shut it down first or use those"
    )


def _reasons(name: str) -> str:
    """What the follower knows of versions that were refused."""
    from ray import serve

    handle = serve.get_deployment_handle("Follower", name)
    return "; ".join(handle.reasons.remote().result(timeout_s=10))


def recommends(url: str) -> bool:
    """Whether the server at a URL has a catalogue to recommend from."""
    import httpx

    while (said := httpx.get(f"{url}/healthz", timeout=60, trust_env=False).json())["status"] != "ok":
        time.sleep(0.1)  # one of several ingresses has not heard of the model yet
    return bool(said["tracks"])


def stop(name: str = APPLICATION) -> None:
    """Take down what :func:`start` deployed; Serve itself only where it was not running before.

    Ray tells every driver that Serve's controller was killed in the middle of its last task, which is how Serve ends;
    a user would take it for a failure, so output is suppressed meanwhile.
    """
    from ray import serve

    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        if _shared.is_set():
            serve.delete(name)  # the follower, too: it would begin its listeners again
            for other in [n for n in serve.status().applications if n.startswith(listeners_of(name))]:
                serve.delete(other, _blocking=False)  # one that is still starting takes its time
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
        stop(args.name)


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
    """Check that a local Ray has the CPUs that the copies reserve; Serve would wait for them for ever. If they are too
    few for two versions at a time, as a promotion needs, the log tells so.

    Raises
    ------
    JobError
        If it has not. A cluster is not asked: it may grow.
    """
    import ray

    available = float(ray.cluster_resources().get("CPU", 0.0))  # type: ignore[no-untyped-call]
    replicas = args.replicas * (2 if args.challenger else 1)
    needed = replicas * args.cpus + args.ingresses * INGRESS_CPUS
    if cluster_address():
        return
    if needed > available:
        raise JobError(
            f"{replicas} replicas of {args.cpus:g} CPUs and {args.ingresses} ingresses of {INGRESS_CPUS:g} need "
            f"{needed:g} CPUs, this machine has {available:g}: choose fewer with --replicas"
        )
    both = needed + args.replicas * args.cpus
    if follows(args.model) and both > available:
        logger.warning(f"a promotion will not be followed: two versions at a time need {both:g} CPUs, this machine has "
                       f"{available:g}; choose fewer with --replicas")  # fmt: skip
