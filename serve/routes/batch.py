"""Many recordings at once: what each of them is, a line each, as soon as it is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.datastructures import FormData, UploadFile
from starlette.types import Receive, Scope, Send

from serve.answers import classified
from serve.front import Front
from serve.handlers import failure
from serve.openapi import BATCH, NDJSON, PROBLEMS
from serve.problems import RefusedError
from serve.schemas_feedback import Listener
from serve.schemas_server import BatchLine
from serve.state import Here
from serve.uploads import empty, read_batch, too_large

router = APIRouter(prefix="/v1", tags=["listening"], responses=PROBLEMS)


class Lines(StreamingResponse):
    """A stream of lines about the files of a form; when the client has gone, it ends, and so does the form."""

    media_type = NDJSON

    def __init__(self, lines: AsyncGenerator[str], form: FormData) -> None:
        super().__init__(lines)
        self._lines, self._form = lines, form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._lines):
                await super().__call__(scope, receive, send)
        finally:
            await self._form.close()


@router.post(
    "/batch",
    openapi_extra=BATCH,
    response_class=StreamingResponse,
    responses={200: {"model": BatchLine, "content": {NDJSON: {}}, "description": "A line a file, in no order"}},
)
async def batch(
    here: Here,
    request: Request,
    timeline: Annotated[bool, Query(description="tell what is heard in each window, too")] = False,
    listener: Listener = None,
) -> Lines:
    """What each of many recordings is: a JSON object a line, as soon as it is known, in no order.

    A recording that cannot be told has a problem in its line, and does no harm to the others.
    """
    form = await read_batch(request, here.args.batch_bytes, here.args.batch_files)
    files = [file for _, file in form.multi_items() if isinstance(file, UploadFile)]
    return Lines(
        _lines(here.front, files, here.args.max_upload_bytes, here.args.batch_at_once, timeline, listener), form
    )


async def _lines(
    front: Front, files: Sequence[UploadFile], largest: int, at_once: int, timeline: bool, listener: str | None
) -> AsyncGenerator[str]:
    places = asyncio.Semaphore(at_once)

    async def line(place: int, file: UploadFile) -> str:
        said: dict[str, object] = {"file": file.filename or "", "place": place}
        async with places:
            try:
                said["answer"] = await _answer(front, file, largest, timeline, listener)
            except RefusedError as refusal:
                said["problem"] = refusal.document
            except Exception as error:
                said["problem"] = failure(error).document
        return BatchLine.model_validate(said).model_dump_json(exclude_unset=True) + "\n"

    tasks = [asyncio.create_task(line(place, file)) for place, file in enumerate(files)]
    try:
        for ready in asyncio.as_completed(tasks):
            yield await ready
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(
    front: Front, file: UploadFile, largest: int, timeline: bool, listener: str | None
) -> dict[str, object]:
    """What one of the files is.

    Raises
    ------
    RefusedError
        If it cannot be told.
    """
    if (file.size or 0) > largest:
        raise too_large(largest)
    audio = await file.read()
    if not audio:
        raise empty()
    async with front.admission.listened_in_turn():
        return await classified(front, audio, timeline, listener=listener)
