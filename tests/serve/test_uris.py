"""A URI is read only where the owner allows it, and only from an address that is public or that he names."""

from __future__ import annotations

import asyncio
import datetime
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from serve.problems import RefusedError
from serve.uris import Uris
from tests.serve.asgi_server import listening
from tonearm.core.errors import ConfigError

HOST, LOCAL = "music.example", ["127.0.0.0/8"]
asked: list[str] = []


async def song(request: Request) -> Response:
    asked.append(request.headers["host"])
    return Response(b"song" * 100)


async def parts(request: Request) -> Response:
    async def stream() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1000)
            await asyncio.sleep(0.05)

    return StreamingResponse(stream())


app = Starlette(
    routes=[
        Route("/a/song", song),
        Route("/a/moved", lambda request: RedirectResponse("/a/song")),
        Route("/a/parts", parts),
        Route("/b/song", song),
    ]
)


class Names:
    """What names resolve to; each look at one is counted."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {HOST: ["127.0.0.1"]}
        self.looked: list[str] = []

    def getaddrinfo(self, host: Any, port: Any, *arguments: Any, **named: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        self.looked.append(name)
        if name not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        kinds = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in self.addresses[name]]
        return [(kind, socket.SOCK_STREAM, 6, "", (address, int(port)))
                for kind, address in zip(kinds, self.addresses[name], strict=True)]  # fmt: skip


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    asked.clear()
    return found


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listening(app) as port:
        yield port


def refusal(uris: Uris, uri: str) -> tuple[int, str]:
    with pytest.raises(RefusedError) as refused:
        asyncio.run(uris.read(uri))
    assert "127.0.0.1" not in refused.value.detail, "an answer names no address"
    return refused.value.status, refused.value.error


def test_a_recording_is_read_by_its_name(port: int, names: Names) -> None:
    uri = f"http://{HOST}:{port}/a/song"
    assert asyncio.run(Uris([f"http://{HOST}:{port}/a"], LOCAL).read(uri)) == b"song" * 100
    assert asked == [f"{HOST}:{port}"] and names.looked == [HOST]  # looked up once: what was checked is connected to


def test_nothing_is_read_unless_it_is_allowed(port: int, names: Names) -> None:
    uri = f"http://{HOST}:{port}/a/song"
    assert refusal(Uris([]), uri) == (403, "uri_not_allowed")
    uris = Uris([f"http://{HOST}:{port}/a"], LOCAL)
    others = [
        f"http://{HOST}:{port}/b/song", f"http://{HOST}:{port}/ab", f"http://{HOST}/a/song", f"https://{HOST}:{port}/a/x",
        f"http://{HOST}.evil.example:{port}/a/song", f"http://evil.example:{port}/a/song",
        f"http://{HOST}:{port}@evil.example/a/song", f"http://evil.example#@{HOST}:{port}/a/song",
        f"http://{HOST}:{port}/a/../b/song", f"http://{HOST}:{port}/a/%2e%2e/b/song",
        f"http://{HOST}:{port}/a/%252e%252e/b/song", f"http://{HOST}:{port}/a/..%2fb/song",
        f"http://{HOST}:{port}/a\\..\\b", f"http://{HOST}:{port}/a/x y", f"http://{HOST}:{port}/a/x\r\nHost: y",
        f"http://{HOST}:{port}/a/ö", f"http://{HOST}:99999/a/song", "http:///a/song", "/etc/passwd", "file:///etc/passwd",
        "memory://a", "s3://bucket/a", "http://[::1/a", "",
    ]  # fmt: skip
    assert {refusal(uris, other) for other in others} == {(403, "uri_not_allowed")}
    assert (asked, names.looked) == ([], [])


INSIDE = [
    "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
    "::1", "::", "fe80::1", "fd00::1", "fec0::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_leads_inside_is_refused_and_nobody_is_connected_to(
    address: str, port: int, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[Any] = []
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", connected.append)
    for found in ([address], ["93.184.216.34", address]):
        names.addresses[HOST] = found
        assert refusal(Uris([f"http://{HOST}:{port}/"]), f"http://{HOST}:{port}/a/song") == (403, "uri_not_allowed")
    assert (asked, connected) == ([], [])


def test_a_network_may_be_allowed_and_the_next_address_is_tried(port: int, names: Names) -> None:
    names.addresses[HOST] = ["127.0.0.9", "127.0.0.1"]  # nobody listens on the first one
    assert asyncio.run(Uris([f"http://{HOST}:{port}/"], LOCAL).read(f"http://{HOST}:{port}/a/song"))


def test_redirects_are_not_followed(port: int, names: Names) -> None:
    assert refusal(Uris([f"http://{HOST}:{port}/"], LOCAL), f"http://{HOST}:{port}/a/moved") == (502, "uri_unreadable")
    assert asked == []


def test_what_is_too_large_or_too_slow_is_not_read_to_its_end(port: int, names: Names) -> None:
    prefix = [f"http://{HOST}:{port}/"]
    assert refusal(Uris(prefix, LOCAL, most_bytes=399), f"http://{HOST}:{port}/a/song") == (413, "too_large")
    assert refusal(Uris(prefix, LOCAL, most_bytes=2500), f"http://{HOST}:{port}/a/parts") == (413, "too_large")
    assert refusal(Uris(prefix, LOCAL, most_seconds=0.3), f"http://{HOST}:{port}/a/parts") == (504, "uri_slow")


def test_hosts_that_fail_are_named_without_their_address(port: int, names: Names) -> None:
    hosts = [f"http://{HOST}:{port}", "http://nowhere.example", f"http://{HOST}:1", f"https://{HOST}:{port}"]
    uris, failing = Uris(hosts, LOCAL), [f"{host}/none" for host in hosts]
    assert {refusal(uris, uri) for uri in failing} == {(502, "uri_unreadable")}


def test_https_is_of_the_name_that_was_asked_for(names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_certificate(tmp_path, HOST)
    names.addresses["other.example"] = ["127.0.0.1"]
    with listening(app, **files) as port:
        prefixes = [f"https://{HOST}:{port}/", f"https://other.example:{port}/"]
        assert refusal(Uris(prefixes, LOCAL), f"https://{HOST}:{port}/a/song") == (502, "uri_unreadable")
        monkeypatch.setenv("SSL_CERT_FILE", files["ssl_certfile"])  # now it is known
        uris = Uris(prefixes, LOCAL)
        assert asyncio.run(uris.read(f"https://{HOST}:{port}/a/song")) == b"song" * 100
        assert refusal(uris, f"https://other.example:{port}/a/song") == (502, "uri_unreadable")


def write_certificate(folder: Path, host: str) -> dict[str, str]:
    """Files of a certificate of a host that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)]), datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    own, public = folder / "key.pem", folder / "certificate.pem"
    own.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return {"ssl_certfile": str(public), "ssl_keyfile": str(own)}


@pytest.mark.parametrize(
    "prefix", ["file:///music", "/music", "music.example", "https://", "https://a/?q", "ftp://a", "https://me@a/", ""]
)
def test_prefixes_that_cannot_be_are_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match="is no prefix of URIs"):
        Uris([prefix])
    with pytest.raises(ConfigError, match="give networks as"):
        Uris([], ["10.0.0.1/8"])


@pytest.mark.integration
def test_objects_are_read_from_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, at = server.get_host_and_port()
        for name, value in {"AWS_ENDPOINT_URL": f"http://{host}:{at}", "AWS_ACCESS_KEY_ID": "key",
                            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()  # of another test's server
        client = boto3.client("s3")
        client.create_bucket(Bucket="music")
        client.put_object(Bucket="music", Key="a/song", Body=b"song" * 100)
        uris = Uris(["s3://music/a"])
        assert asyncio.run(uris.read("s3://music/a/song")) == b"song" * 100
        assert refusal(uris, "s3://music/a/none") == (502, "uri_unreadable")
        assert refusal(uris, "s3://music/b/song") == (403, "uri_not_allowed")
        assert refusal(Uris(["s3://music/a"], most_bytes=399), "s3://music/a/song") == (413, "too_large")
        monkeypatch.setattr(fsspec, "open", broken)
        assert refusal(uris, "s3://music/a/song") == (502, "uri_unreadable")
    finally:
        server.stop()


def broken(*arguments: Any) -> Any:
    raise RuntimeError("a store's own error")
