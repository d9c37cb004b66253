"""Whether something answers at a tracking URI, found within seconds: MLflow itself would try for minutes."""

from __future__ import annotations

import socket
import urllib.request
from urllib.parse import urlsplit

from tonearm.core import home
from tonearm.core.errors import JobError
from tonearm.tracking.retry import address

SECONDS_TO_ANSWER = 5.0
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


def require_tracking_server(uri: str) -> None:
    """Check that a connection can be made to the server of a tracking URI; behind a proxy nothing is known of it.

    Raises
    ------
    JobError
        If none can be made.
    """
    parts = urlsplit(uri)
    kind, host = parts.scheme.partition("+")[0], parts.hostname
    if kind not in PORTS or not host or _by_proxy(kind, parts.netloc):
        return
    try:
        socket.create_connection((host, parts.port or PORTS[kind]), SECONDS_TO_ANSWER).close()
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise JobError(
            f"{home.TRACKING} is {address()}, but no server answers there ({reason}): start it, or unset "
            f"{home.TRACKING} to keep runs in the home"
        ) from None


def _by_proxy(kind: str, netloc: str) -> bool:
    """Whether the environment names a proxy for these, and does not exempt the host."""
    proxies = urllib.request.getproxies()
    host = netloc.rpartition("@")[2]
    return (kind in proxies or "all" in proxies) and not urllib.request.proxy_bypass(host)
