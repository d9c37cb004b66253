"""An ASGI application on a free port of this machine, and sockets that speak to it as they like."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp


@contextlib.contextmanager
def listening(app: ASGIApp, **options: Any) -> Iterator[int]:
    """Serve an application meanwhile, with options of uvicorn; its port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        options = {"log_level": "critical", "lifespan": "off", "timeout_graceful_shutdown": 0, **options}
        server = uvicorn.Server(uvicorn.Config(app, **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "uvicorn did not start"
            time.sleep(0.01)
        try:
            yield int(bound.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def begin(port: int, head: str, body: bytes = b"") -> socket.socket:
    """A socket that has sent the lines of a head, and some of the body."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=20)
    opened.sendall("\r\n".join([*head.splitlines(), "Host: localhost", "", ""]).encode() + body)
    return opened


def read_answer(opened: socket.socket) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of an answer, and whether the connection was closed behind it, as header ``closed``."""
    with opened, opened.makefile("rb") as lines:
        status = int(lines.readline().split()[1])
        headers = {}
        while line := lines.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        body = lines.read(int(headers.get("content-length", 0)))
        opened.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            headers["closed"] = str(opened.recv(1) == b"")
    return status, headers, json.loads(body)
