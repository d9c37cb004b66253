"""Recordings by URI: only below prefixes that the server's owner allows, and never from inside his network."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import ssl
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import httpcore

from serve.problems import RefusedError
from tonearm.core.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS = {"https": 443, "http": 80}
OBJECTS = ("s3", "gs")
PLAIN = re.compile(r"[!-\[\]-~]+")  # ASCII that can be seen, without the backslash
STEP_SECONDS = 5.0  # for a connection, and between two parts of a file
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # IPv4 addresses behind NAT64
HEADERS = [("User-Agent", "tonearm"), ("Accept", "audio/*, */*;q=0.1"), ("Accept-Encoding", "identity")]

logger = logging.getLogger("ray.serve")


class Uris:
    """Reads recordings at URIs.

    Parameters
    ----------
    prefixes
        Below which recordings may be: ``https://music.example/albums/``, ``s3://bucket/music``; ``http`` only where it
        says so. None: none is read.
    networks
        Networks that are not public, in which hosts may be: ``192.168.1.0/24``.
    most_bytes, most_seconds
        That a recording may have, and take to come.

    Raises
    ------
    ConfigError
        For a prefix or a network that cannot be.
    """

    def __init__(
        self, prefixes: Sequence[str], networks: Sequence[str] = (), most_bytes: int = 50 * 2**20,
        most_seconds: float = 30.0,
    ) -> None:  # fmt: skip
        self._prefixes = [_read_prefix(prefix) for prefix in prefixes]
        try:
            self._backend = _PublicBackend([ipaddress.ip_network(network) for network in networks])
        except ValueError as error:
            raise ConfigError(f"{error}: give networks as 192.168.1.0/24") from None
        self._most_bytes, self._most_seconds = most_bytes, most_seconds
        self._tls: ssl.SSLContext | None = None

    async def read(self, uri: str) -> bytes:
        """The bytes of a recording.

        Raises
        ------
        RefusedError
            403 where it is not allowed, 413 if it is too large, 502 if it cannot be read, 504 if it takes too long.
        """
        parts = _split(uri)
        if parts is None or not any(_is_below(parts, prefix) for prefix in self._prefixes):
            raise RefusedError(403, "uri_not_allowed", "this server reads no recordings there: upload the file itself")
        try:
            async with asyncio.timeout(self._most_seconds):
                if parts.scheme in OBJECTS:
                    return await asyncio.to_thread(self._read_object, uri)
                return await self._read_http(uri)
        except (TimeoutError, httpcore.TimeoutException):
            detail = f"the recording did not come within {self._most_seconds:g} s: upload the file itself"
            raise RefusedError(504, "uri_slow", detail) from None
        except (OSError, ValueError, httpcore.NetworkError, httpcore.ProtocolError) as error:
            logger.warning("%s could not be read: %r", uri, error)
            raise _unreadable("its host does not answer as it should") from None

    async def _read_http(self, uri: str) -> bytes:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        limits: dict[str, Any] = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), STEP_SECONDS)}
        async with (
            httpcore.AsyncConnectionPool(self._tls, network_backend=self._backend) as pool,
            pool.stream("GET", uri, headers=HEADERS, extensions=limits) as answer,
        ):
            if 300 <= answer.status < 400:
                raise _unreadable("its host names another place, which is not followed")
            if answer.status != 200:
                raise _unreadable(f"its host answers with status {answer.status}")
            data = bytearray()
            async for part in answer.aiter_stream():
                data += part
                if len(data) > self._most_bytes:
                    raise self._too_large()
            return bytes(data)

    def _read_object(self, uri: str) -> bytes:
        import fsspec

        try:
            with fsspec.open(uri, "rb") as file:
                if (file.size or 0) > self._most_bytes:
                    raise self._too_large()
                return bytes(file.read())
        except FileNotFoundError:
            raise _unreadable("there is none of that name") from None
        except RefusedError:
            raise
        except Exception as error:  # each store has its own
            logger.warning("%s could not be read: %r", uri, error)
            raise _unreadable("its store does not answer as it should") from None

    def _too_large(self) -> RefusedError:
        detail = f"the recording is over the limit of {self._most_bytes} bytes: send less audio"
        return RefusedError(413, "too_large", detail)


class _PublicBackend(httpcore.AsyncNetworkBackend):
    """Connects to public addresses alone. The address that was checked is the one that is connected to: a name that is
    looked up again may lead elsewhere."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks, self._inner = networks, httpcore.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:  # fmt: skip
        found = await asyncio.get_running_loop().getaddrinfo(host, port)
        addresses = list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found))
        inside = [address for address in addresses if not self._is_allowed(address)]
        if inside or not addresses:
            logger.warning("%s was refused: it is at %s", host, ", ".join(map(str, inside)))
            raise RefusedError(403, "uri_not_allowed", "its host is not on the public network: upload the file itself")
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(str(addresses[-1]), port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *arguments: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("no local sockets")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def _is_allowed(self, address: Address) -> bool:
        while isinstance(address, ipaddress.IPv6Address):
            inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
            if inner is None and address in TRANSLATED:
                inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
            if inner is None:
                break
            address = inner
        if any(address in network for network in self._networks):
            return True
        return address.is_global and not address.is_multicast and not getattr(address, "is_site_local", False)


def _read_prefix(prefix: str) -> SplitResult:
    parts = _split(prefix)
    if parts is None or parts.query:
        schemes = ", ".join((*PORTS, *OBJECTS))
        raise ConfigError(f"{prefix!r} is no prefix of URIs: give one of {schemes}, such as https://music.example/")
    if parts.scheme in OBJECTS:
        import fsspec

        try:
            fsspec.get_filesystem_class(parts.scheme)
        except ImportError as error:
            raise ConfigError(f"{prefix}: {error}") from None
    return parts


def _split(uri: str) -> SplitResult | None:
    """The parts of a URI that leaves no doubt what it names; None of others."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    known = parts.scheme in PORTS or (parts.scheme in OBJECTS and port is None and not parts.query)
    plain = PLAIN.fullmatch(uri) and "#" not in uri and "@" not in parts.netloc and "%" not in parts.netloc
    path, again = unquote(parts.path), unquote(unquote(parts.path))
    steps = {"..", "."} & {*re.split(r"[/\\]", path), *re.split(r"[/\\]", again)}
    return parts if known and plain and parts.hostname and not steps else None


def _is_below(parts: SplitResult, prefix: SplitResult) -> bool:
    def host(of: SplitResult) -> tuple[str, str | None, int | None]:
        return of.scheme, of.hostname, of.port or PORTS.get(of.scheme)

    folder = prefix.path.rstrip("/")
    return host(parts) == host(prefix) and (parts.path == prefix.path or parts.path.startswith(f"{folder}/"))


def _unreadable(why: str) -> RefusedError:
    return RefusedError(502, "uri_unreadable", f"the recording could not be read: {why}; upload the file itself")
