"""Who may ask: anybody on this machine; from elsewhere, who has a token. Tokens are random, and kept as digests."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.paths import own_path
from serve.problems import RefusedError
from serve.rates import Rates
from serve.subsonic import PREFIX, api_key, failed, form_of
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
OPEN_PATHS = frozenset(("/healthz", "/readyz"))
SECONDS_TO_LOOK = 5.0  # between looks at whether the file of tokens was changed
ANSWERS = {"WWW-Authenticate": 'Bearer realm="tonearm"'}

logger = logging.getLogger("ray.serve")


def tokens_uri() -> str:
    """Where the digests of tokens are."""
    return storage.join(home.home(), "tokens.json")


def new_token(name: str, uri: str) -> str:
    """Make a token for somebody; it is returned now and cannot be read again.

    Parameters
    ----------
    name
        Whose it is: letters, digits and ``_.@-``.
    uri
        The file of :func:`tokens_uri`, which keeps a salted digest of the token, 256 random bits.

    Raises
    ------
    ConfigError
        If that name cannot be, or has a token.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name of a token: take up to 64 letters, digits and _.@-")
    known = read_tokens(uri)
    if name in known:
        raise ConfigError(f"{name} has a token: remove it first, or choose another name")
    token, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
    known[name] = {"salt": salt.hex(), "digest": _digest(token, salt).hex(), "made": datetime.now(UTC).isoformat()}
    storage.write_json(uri, known)
    return token


def remove_token(name: str, uri: str) -> None:
    """Take away somebody's token; servers notice within seconds.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    known = read_tokens(uri)
    if known.pop(name, None) is None:
        raise ConfigError(f"{name!r} has no token; these have one: {', '.join(sorted(known)) or 'nobody'}")
    storage.write_json(uri, known)


def change_tokens(new: str, removed: str, uri: str = "") -> str:
    """Make a token for somebody of one name, take away that of another; what is to be told."""
    uri = uri or tokens_uri()
    told = []
    if removed:
        remove_token(removed, uri)
        told.append(f"{removed} has no token any more; servers notice within {SECONDS_TO_LOOK:g} s")
    if new:
        told.append(f"{new_token(new, uri)}\n  is the token of {new}; it is not kept, and cannot be shown again")
    return "\n".join(told)


def read_tokens(uri: str) -> dict[str, dict[str, str]]:
    """Salt and digest, in hexadecimal digits, of each token by name; empty without a file.

    Raises
    ------
    ConfigError
        If the file is damaged.
    """
    if not storage.exists(uri):
        return {}
    try:
        known: dict[str, dict[str, str]] = storage.read_json(uri)
        for entry in known.values():
            bytes.fromhex(entry["salt"]), bytes.fromhex(entry["digest"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{uri} is no file of tokens ({error}): remove it, and make new tokens") from None
    return known


def require_tokens(host: str, uri: str) -> bool:
    """Whether who asks a server on a host needs a token: not on this machine alone.

    Raises
    ------
    ConfigError
        If one is needed, and nobody has one.
    """
    if is_loopback(host):
        return False
    if not read_tokens(uri):
        raise ConfigError(
            f"on {host} others can reach the server, and nobody has a token: make one with tonearm serve --new-token "
            "NAME, or serve on 127.0.0.1 (and say so in a configuration: tokens: false)"
        )
    return True


def is_loopback(host: str) -> bool:
    """Whether a host is this machine for itself alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Tokens:
    """The tokens of a file, looked up again when it was changed."""

    def __init__(self, uri: str) -> None:
        self._uri, self._known = uri, read_tokens(uri)
        self._modified, self._looked = storage.modified(uri), time.monotonic()

    async def owner(self, token: str) -> str | None:
        """Whose a token is; None if nobody's."""
        if time.monotonic() - self._looked > SECONDS_TO_LOOK:
            self._looked = time.monotonic()
            await asyncio.to_thread(self._look)
        found = None
        for name, entry in self._known.items():  # all of them: how long it takes tells nothing
            if hmac.compare_digest(_digest(token, bytes.fromhex(entry["salt"])), bytes.fromhex(entry["digest"])):
                found = name
        return found

    def _look(self) -> None:
        modified = storage.modified(self._uri)
        if modified == self._modified and modified is not None:
            return
        try:
            self._known, self._modified = read_tokens(self._uri), modified
        except (ConfigError, OSError):
            logger.exception("the tokens could not be read again, the ones that were known stay")


class Access:
    """ASGI middleware: 401 without a token, 429 for too many requests with one.

    Its owner's name is in the ``state`` of the scope as ``caller``.

    Parameters
    ----------
    tokens
        Those that are known; None asks nobody for one. OpenSubsonic's requests have them as its parameter.
    rates
        How often each may ask; None: as often as they like.
    open_paths
        Which everybody may ask for.
    """

    def __init__(
        self, app: ASGIApp, tokens: Tokens | None, rates: Rates | None = None,
        open_paths: Collection[str] = OPEN_PATHS,
    ) -> None:  # fmt: skip
        self._app, self._tokens, self._rates, self._open = app, tokens, rates, frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] != "lifespan" and own_path(scope) not in self._open:
                await self._require(scope)
        except RefusedError as refusal:
            if scope["type"] == "http":
                answer = failed(refusal, form_of(scope)) if _is_subsonic(scope) else refusal.response
                await answer(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        await self._app(scope, receive, send)

    async def _require(self, scope: Scope) -> None:
        caller = ""
        if self._tokens is not None:
            token = api_key(scope) if _is_subsonic(scope) else _bearer(scope)
            found = await self._tokens.owner(token)
            if found is None:
                bad = {"WWW-Authenticate": f'{ANSWERS["WWW-Authenticate"]}, error="invalid_token"'}
                raise RefusedError(401, "wrong_token", "nobody has this token: ask for another", bad)
            caller = found
        state: dict[str, Any] = scope.setdefault("state", {})
        state["caller"] = caller
        if self._rates is not None:
            self._rates.count(caller)


def _is_subsonic(scope: Scope) -> bool:
    return own_path(scope).startswith(PREFIX)


def _bearer(scope: Scope) -> str:
    kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        detail = "a token is needed: send it as Authorization: Bearer TOKEN"
        raise RefusedError(401, "no_token", detail, ANSWERS)
    return token.strip()


class HeadAsGet:
    """ASGI middleware: HEAD is answered for whatever can be got, with the same headers and no body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, send_head)


def _digest(token: str, salt: bytes) -> bytes:
    """Of 256 random bits, which nobody guesses: no slow function is needed."""
    return hashlib.blake2b(token.encode(), salt=salt).digest()
