"""The page that people see at ``/``: files of this package alone, under a policy that lets nothing else in."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from serve.problems import RefusedError

FOLDER = Path(__file__).parent / "static"
FIRST = "index.html"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}  # fmt: skip
#: No script or style stands in the page itself; what is played and drawn is made here, as a blob.
POLICY = (
    "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-cache",  # a browser asks whether it changed, and is told so in a few bytes
    "Vary": "Accept-Encoding",
}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class StaticFile:
    """A file of the page.

    Attributes
    ----------
    body, packed
        As it is, and by gzip.
    media_type
        By its name.
    etag
        Digest of what is in it.
    """

    body: bytes
    packed: bytes
    media_type: str
    etag: str


@cache
def names() -> frozenset[str]:
    """Of the files that there are."""
    return frozenset(path.name for path in FOLDER.iterdir() if path.suffix in TYPES)


@cache
def paths() -> frozenset[str]:
    """Where they are asked for; everybody may, since they hold nobody's data."""
    return frozenset(("/", *(f"/page/{name}" for name in names())))


@cache
def _read(name: str, modified: int) -> StaticFile:
    body = (FOLDER / name).read_bytes()
    packed = gzip.compress(body, mtime=0)
    return StaticFile(body, packed, TYPES[Path(name).suffix], f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')


def _answer(request: Request, name: str) -> Response:
    found = _read(name, (FOLDER / name).stat().st_mtime_ns)
    headers = {**HEADERS, "ETag": found.etag}
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, media_type=found.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(found.body, media_type=found.media_type, headers=headers)


@router.get("/")
async def page(request: Request) -> Response:
    """The page."""
    return _answer(request, FIRST)


@router.get("/page/{name}")
async def file(request: Request, name: str) -> Response:
    """A file that it loads."""
    if name not in names():
        raise RefusedError(404, "not_found", f"there is no {name[:60]!r}: see /")
    return _answer(request, name)
