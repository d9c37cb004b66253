"""Whether a cluster answers at ``RAY_ADDRESS``, found within seconds: Ray itself would try for minutes."""

from __future__ import annotations

import os
import socket

from tonearm.core import home
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.text import command

VARIABLE = "RAY_ADDRESS"
SECONDS_TO_ANSWER = 5.0
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # with which every client begins
BEGINNINGS = (b"\0", b"\x15", b"")  # of an answer: a frame of HTTP/2, an alert of TLS, a connection that is closed
FIX = f"unset {VARIABLE} to use this machine, or set it to HOST:PORT of a cluster's head (6379 by default)"


def cluster_address() -> str:
    """``RAY_ADDRESS``; "" if Ray is to be started on this machine."""
    given = os.environ.get(VARIABLE, "").strip()
    return "" if given == "local" else given


def check_ray_address(out: str = "") -> None:
    """Check, where ``RAY_ADDRESS`` is set, that it is of a kind that jobs can join, with a home that all nodes reach.

    Called before the places are made absolute.

    Parameters
    ----------
    out
        A home that an option names, as it was typed; "" if ``TONEARM_HOME`` says it.

    Raises
    ------
    ConfigError
        If it is a dashboard's URL or no address, or the home is relative: on another node it would lie in
        Ray's temporary folder and be lost.
    """
    address = cluster_address()
    if not address:
        return
    if "://" in address and not address.startswith("ray://"):
        raise ConfigError(
            f"{VARIABLE} is {address}: jobs join a cluster by HOST:PORT; to send one to the dashboard at that URL use "
            f"{command('submit', '--address', address, '--', 'JOB')}. {FIX}"
        )
    if address != "auto":
        _host_and_port(address)
    name, where = ("--out", out) if out else (home.HOME, os.environ.get(home.HOME, "").strip())
    if not (os.path.isabs(where) or "://" in where):  # noqa: PTH117
        example = command("submit", "--home", "s3://bucket/tonearm", "--", "sweep", "NAME")
        raise ConfigError(
            f"{VARIABLE} is {address}, and {name} is {where or 'not set'!r} in a job on a cluster: set a folder "
            f"or URI that all nodes reach, e.g. {example}; or unset {VARIABLE} to use this machine"
        )


def require_cluster() -> None:
    """Check that something that speaks Ray's protocol answers at ``RAY_ADDRESS``, where it is set.

    Raises
    ------
    JobError
        If nothing does, or something else.
    """
    address = cluster_address()
    if not address or address == "auto":  # Ray looks for that one on this machine, at once
        return
    try:
        with socket.create_connection(_host_and_port(address), SECONDS_TO_ANSWER) as connection:
            connection.settimeout(SECONDS_TO_ANSWER)
            connection.sendall(HTTP2)
            answer = connection.recv(16)
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise JobError(f"{VARIABLE} is {address}, but no Ray cluster answers there ({reason}): {FIX}") from None
    if answer[:1] not in BEGINNINGS:
        raise JobError(f"{VARIABLE} is {address}, where something else answers and no Ray cluster: {FIX}")


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ConfigError(f"{VARIABLE} is {address!r}: {FIX}")
    return host.strip("[]"), int(port)
