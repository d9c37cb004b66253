"""The pages that describe the interface, for people: all they load is ours, and their policy lets nothing else in.

Swagger UI and Redoc come with the package ``fastapi_offline``, of which only the files are used.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from serve.problems import RefusedError

FILES = {"swagger-ui-bundle.js": "text/javascript", "redoc.standalone.js": "text/javascript",
         "swagger-ui.css": "text/css", "favicon.png": "image/png"}  # fmt: skip
PATHS = frozenset(("/docs", "/docs/start.js", "/redoc", "/redoc/start.js", "/openapi.json",
                   *(f"/docs/files/{name}" for name in FILES)))  # fmt: skip
#: Styles are made by both programs as they run; scripts are files of this server, and nothing is of another one.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tonearm</title><link rel="icon" href="docs/files/favicon.png">
{style}</head>
<body><div id="page"></div>
<script src="docs/files/{program}"></script><script src="{start}"></script>
</body></html>
"""
SWAGGER = """SwaggerUIBundle({url: "openapi.json", dom_id: "#page", validatorUrl: null,
  deepLinking: true, docExpansion: "list", defaultModelsExpandDepth: 0, tryItOutEnabled: true});
"""
REDOC = """Redoc.init("openapi.json", {disableSearch: true}, document.getElementById("page"));
"""

router = APIRouter(include_in_schema=False)


def _page(program: str, start: str, style: str = "") -> Response:
    return Response(PAGE.format(program=program, start=start, style=style), media_type="text/html", headers=HEADERS)


@router.get("/docs")
async def docs() -> Response:
    """The interface, with forms to try it."""
    style = '<link rel="stylesheet" href="docs/files/swagger-ui.css">\n'
    return _page("swagger-ui-bundle.js", "docs/start.js", style)


@router.get("/redoc")
async def redoc() -> Response:
    """The interface, to read."""
    return _page("redoc.standalone.js", "redoc/start.js")


@router.get("/docs/start.js")
async def start_docs() -> Response:
    """What begins ``/docs``."""
    return Response(SWAGGER, media_type="text/javascript", headers=HEADERS)


@router.get("/redoc/start.js")
async def start_redoc() -> Response:
    """What begins ``/redoc``."""
    return Response(REDOC, media_type="text/javascript", headers=HEADERS)


@router.get("/docs/files/{name}")
async def file(name: str) -> Response:
    """A file of the programs."""
    if name not in FILES:
        raise RefusedError(404, "not_found", f"there is no {name[:60]!r}: see /docs")
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:
        raise RefusedError(404, "no_docs", "this page needs pip install fastapi-offline; /openapi.json says the same")
    return FileResponse(Path(found.origin).parent / "static" / name, media_type=FILES[name], headers=HEADERS)
