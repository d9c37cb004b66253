"""Every failure becomes a problem document: a code and a sentence, never a traceback."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from serve.problems import ProblemResponse, RefusedError, problem

logger = logging.getLogger("ray.serve")


def add_handlers(api: FastAPI) -> None:
    """Answer all failures of an application."""
    handlers: dict[Any, Any] = {
        RefusedError: refused,
        RequestValidationError: invalid,
        HTTPException: http_error,
        ClientDisconnect: client_disconnected,
        Exception: unexpected,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


async def refused(request: Request, refusal: RefusedError) -> ProblemResponse:
    return refusal.response


async def invalid(request: Request, error: RequestValidationError) -> ProblemResponse:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return problem(422, "invalid", f"{where}: {first['msg']} (got {first.get('input')!r:.200})")


async def http_error(request: Request, error: HTTPException) -> ProblemResponse:
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    detail = f"{request.method} {request.url.path}: {error.detail}; see /docs"
    return problem(error.status_code, code, detail, error.headers)  # the headers of a 405 list the allowed methods


async def client_disconnected(request: Request, error: ClientDisconnect) -> ProblemResponse:
    # Nobody receives this; without a handler a broken connection would be logged as a fault of the server.
    return problem(400, "disconnected", "the upload ended before it was whole: send it again")


async def unexpected(request: Request, error: Exception) -> ProblemResponse:
    return failure(error).response


def failure(error: Exception) -> RefusedError:
    """The refusal of what failed by our fault, which the log has under a reference."""
    reference = uuid.uuid4().hex[:12]
    logger.exception("request failed, reference %s", reference, exc_info=error)
    return RefusedError(500, "internal", f"this is our fault; the log has it under {reference}")
