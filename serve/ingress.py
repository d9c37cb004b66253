"""HTTP: uploads in, JSON out. Every failure is JSON too, with a code and a sentence; never a traceback.

Annotations here are objects, not text (no ``from __future__ import annotations``): FastAPI reads them after Ray has
sent the class to its replica, where names of this module can no longer be looked up and every request answers 422.
"""

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from ray import serve
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from serve.schemas import Classification, Health, Problem, Recommendation
from serve.settings import MAX_NEIGHBOURS, AppArgs
from tonearm.audio.formats import READ_FORMATS

AUDIO_FIELD = "audio"
MULTIPART_OVERHEAD = 64 * 1024  # bytes that a form's boundaries and headers may add to the file

#: HTTP status of the reasons for which audio is refused; anything else that is wrong with a recording is 422.
STATUS_BY_REASON = {"empty": 400, "undecodable": 415, "bad_header": 415, "too_long": 413, "no_catalogue": 409}

logger = logging.getLogger("ray.serve")
PROBLEMS: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (400, 409, 413, 415, 422, 500)}
UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {AUDIO_FIELD: {"type": "string", "format": "binary"}},
                    "required": [AUDIO_FIELD],
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

api = FastAPI(
    title="Tonearm",
    description=f"Send a recording ({READ_FORMATS}) and learn what it is and what sounds like it.",
)


class RefusedError(Exception):
    """A request that is refused; the response is a :class:`Problem`."""

    def __init__(self, status: int, error: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.error, self.detail = status, error, detail


def problem(status: int, error: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response to a failure."""
    return JSONResponse({"error": error, "detail": detail}, status_code=status, headers=headers)


@api.exception_handler(RefusedError)
async def refused(request: Request, refusal: RefusedError) -> JSONResponse:
    return problem(refusal.status, refusal.error, refusal.detail)


@api.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return problem(422, "invalid", f"{where}: {first['msg']} (got {first.get('input')!r})")


@api.exception_handler(HTTPException)
async def http_error(request: Request, error: HTTPException) -> JSONResponse:
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    detail = f"{request.method} {request.url.path}: {error.detail}; see /docs"
    return problem(error.status_code, code, detail, error.headers)  # the headers of a 405 list the allowed methods


@api.exception_handler(ClientDisconnect)
async def client_disconnected(request: Request, error: ClientDisconnect) -> JSONResponse:
    # Nobody receives this; without a handler a broken connection would be logged as a fault of the server.
    return problem(400, "disconnected", "the upload ended before it was whole: send it again")


@api.exception_handler(Exception)
async def unexpected(request: Request, error: Exception) -> JSONResponse:
    reference = uuid.uuid4().hex[:12]
    logger.exception("request failed, reference %s", reference, exc_info=error)
    return problem(500, "internal", f"this is our fault; the log has it under {reference}")


async def read_upload(request: Request, limit: int) -> bytes:
    """The audio of a request: the form field ``audio``, or the whole body.

    Reading ends at the limit, whatever was declared; a form's file is kept on disk until its size has been checked.

    Raises
    ------
    RefusedError
        400 if there is no audio, 413 if it is over the limit.
    """
    form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    allowed = limit + (MULTIPART_OVERHEAD if form else 0)
    too_large = RefusedError(413, "too_large", f"the upload is over the limit of {limit} bytes: send less audio")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > allowed:
        raise too_large
    counted = Request(request.scope, _ending_at(allowed, request.receive, too_large))
    audio = await _form_field(counted, limit, too_large) if form else await counted.body()
    if not audio:
        raise RefusedError(
            400, "empty", f"no bytes were sent: upload a recording, e.g. curl -F {AUDIO_FIELD}=@song.mp3 URL"
        )
    return audio


def _ending_at(allowed: int, receive: Receive, too_large: RefusedError) -> Receive:
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > allowed:
            raise too_large
        return message

    return counted


async def _form_field(request: Request, limit: int, too_large: RefusedError) -> bytes:
    try:
        form = await request.form(max_files=1, max_fields=8)
    except (MultiPartException, HTTPException) as error:
        detail = getattr(error, "message", None) or getattr(error, "detail", "")
        raise RefusedError(
            400, "bad_form", f"the form is broken ({detail}): use curl -F {AUDIO_FIELD}=@song.mp3"
        ) from None
    try:
        upload = form.get(AUDIO_FIELD)
        if not isinstance(upload, UploadFile):
            raise RefusedError(
                400, "no_audio", f"the form has no file {AUDIO_FIELD!r}: use curl -F {AUDIO_FIELD}=@song.mp3"
            )
        if (upload.size or 0) > limit:
            raise too_large
        return await upload.read()
    finally:
        await form.close()


@serve.ingress(api)
class Ingress:
    """Takes requests, passes their bytes to a model replica and returns its results."""

    def __init__(self, replica: Any, args: dict[str, Any]) -> None:
        self._replica = replica
        self._args = AppArgs(**args)

    @api.get("/healthz")
    async def healthz(self) -> Health:
        """Whether the model is there, and which."""
        return Health(**await self._replica.health.remote())

    @api.post("/v1/classify", responses=PROBLEMS, openapi_extra=UPLOAD)
    async def classify(self, request: Request) -> Classification:
        """Which class a recording belongs to."""
        return Classification(**await self._predict(request, 0))

    @api.post("/v1/recommend", responses=PROBLEMS, openapi_extra=UPLOAD)
    async def recommend(
        self, request: Request, k: int | None = Query(None, ge=1, le=MAX_NEIGHBOURS, description="how many")
    ) -> Recommendation:
        """Which tracks of the catalogue sound like a recording."""
        return Recommendation(**await self._predict(request, k or self._args.neighbours))

    async def _predict(self, request: Request, neighbours: int) -> dict[str, Any]:
        audio = await read_upload(request, self._args.max_upload_bytes)
        result: dict[str, Any] = await self._replica.predict.remote(audio, neighbours)
        if "problem" in result:
            reason = result["problem"]
            raise RefusedError(STATUS_BY_REASON.get(reason, 422), reason, result["detail"])
        return result
