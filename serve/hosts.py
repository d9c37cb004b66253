"""By which names the server may be asked. A page of elsewhere whose own name leads to this machine all at once (DNS
rebinding) would else read what a server answers that asks nobody for a token."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.problems import RefusedError


class Hosts:
    """ASGI middleware: 421 for a request whose ``Host`` is another.

    Parameters
    ----------
    names
        Names and addresses, without ports; an IPv6 address in brackets.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app, self._names = app, frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (name := host_of(scope)) in self._names:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            known = ", ".join(sorted(self._names))
            detail = (
                f"the server is not asked as {name[:200]!r}, but as {known}: use one, or name it in the setting hosts"
            )
            await RefusedError(421, "wrong_host", detail).response(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})


def host_of(scope: Scope) -> str:
    """The host that a request was sent to, without its port; "" if it names none."""
    host = Headers(scope=scope).get("host", "").lower()
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
