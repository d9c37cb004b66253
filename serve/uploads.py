"""The body of a request: the recording in it, up to a limit, and what is asked beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message, Receive

from serve.problems import RefusedError
from serve.questions import Question, read_fields, read_json
from serve.settings import MAX_HEARD

AUDIO_FIELD = "audio"
SEND = f"upload a recording, e.g. curl -F {AUDIO_FIELD}=@song.mp3 URL"
MOST_FIELDS = 200  # of a form: liked tracks, say
MULTIPART_OVERHEAD = 64 * 1024  # bytes that a form's boundaries and headers may add to the file


ReadUri = Callable[[str], Awaitable[bytes]]
"""How the recording at a URI is read; see :meth:`serve.uris.Uris.read`."""


async def read_upload(request: Request, limit: int, read_uri: ReadUri | None = None) -> bytes:
    """The audio of a request: the form field ``audio``, the whole body, or what a JSON object names by ``uri``.

    Reading ends at the limit, whatever was declared; a form's file is kept on disk until its size has been checked.

    Raises
    ------
    RefusedError
        400 if there is no audio, 413 if it is over the limit.
    """
    audio, recording = await read_recording(request, limit, read_uri)
    if recording:
        detail = "recording is for /v1/recommend and /v1/attributes: send the recording itself, or name one by uri"
        raise RefusedError(422, "invalid", detail)
    return audio


async def read_recording(request: Request, limit: int, read_uri: ReadUri | None = None) -> tuple[bytes, str]:
    """The audio of a request, as :func:`read_upload` has it; or none, and the name of a recording that was heard
    lately, where a JSON object says ``recording``.

    Raises
    ------
    RefusedError
        As :func:`read_upload`.
    """
    counted = _limited(request, limit)
    if _is_form(request):
        audio, _ = await _read_form(counted, limit, needs_audio=True)
    elif _is_json(request) and read_uri is not None:
        named = _named(await counted.body())
        if named.recording and named.uri:
            raise RefusedError(422, "invalid", "uri and recording each name a recording: say one of them")
        if named.recording:
            return b"", named.recording
        audio = await read_uri(named.uri)
    else:
        audio = await counted.body()
    if not audio:
        raise empty()
    return audio, ""


async def read_batch(request: Request, limit: int, most_files: int) -> FormData:
    """A form with one or more files, which are kept on disk; whoever takes it closes it.

    Raises
    ------
    RefusedError
        400 if there is no file, 413 if there are too many, or too many bytes.
    """
    how = f"use curl -F {AUDIO_FIELD}=@one.mp3 -F {AUDIO_FIELD}=@two.mp3"
    if not _is_form(request):
        raise RefusedError(415, "no_form", f"many recordings come in a form of multipart/form-data: {how}")
    form = await _parsed(_limited(request, limit), most_files + 1, how)
    count = sum(isinstance(file, UploadFile) for _, file in form.multi_items())
    if 1 <= count <= most_files:
        return form
    await form.close()
    if not count:
        raise RefusedError(400, "no_audio", f"the form has no file: {how}")
    raise RefusedError(413, "too_many_files", f"the form has over {most_files} files: send them in several")


def empty() -> RefusedError:
    """The refusal of an upload without a byte."""
    return RefusedError(400, "empty", f"no bytes were sent: {SEND}")


def too_large(limit: int) -> RefusedError:
    """The refusal of an upload of more bytes than allowed."""
    return RefusedError(413, "too_large", f"the upload is over the limit of {limit} bytes: send less audio")


async def read_request(
    request: Request, limit: int, k: int, read_uri: ReadUri | None = None
) -> tuple[bytes, dict[str, Any]]:
    """The audio of a request, b"" without one, and what is asked, by name: of a form's fields, of a JSON object, or of
    the address alone, where the body is audio; ``k`` where it is not said.

    Raises
    ------
    RefusedError
        As :func:`read_upload`; 422 if a field is wrong.
    """
    counted = _limited(request, limit)
    try:
        if _is_form(request):
            audio, fields = await _read_form(counted, limit, needs_audio=False)
            question = read_fields(fields)
        elif _is_json(request):
            audio, question = b"", read_json(await counted.body())
        else:
            audio, question = await read_upload(request, limit), Question()
    except ValueError as error:
        raise RefusedError(422, "invalid", str(error)) from None
    if sum(map(bool, (audio, question.uri, question.recording))) > 1:
        detail = "of a recording that is sent, uri and recording, each names one: say one of them"
        raise RefusedError(422, "invalid", detail)
    if question.uri and read_uri is not None:
        audio = await read_uri(question.uri)
    return audio, _complete(question, k, bool(audio))


def read_address(request: Request, k: int) -> dict[str, Any]:
    """What is asked by an address alone; ``k`` where it is not said.

    Raises
    ------
    RefusedError
        As :func:`read_request`.
    """
    try:
        question = read_fields(request.query_params.multi_items())
    except ValueError as error:
        raise RefusedError(422, "invalid", str(error)) from None
    if question.uri or question.recording:
        detail = "uri and recording are for POST: whoever asks by an address names tracks or artists"
        raise RefusedError(422, "invalid", detail)
    return _complete(question, k, False)


def _complete(question: Question, k: int, has_audio: bool) -> dict[str, Any]:
    """The fields of a question that can be answered.

    Raises
    ------
    RefusedError
        If there is nothing to be like, or more windows are wanted than are heard.
    """
    asked = question.model_dump(exclude={"uri"})
    if question.recording and question.windows:
        raise RefusedError(422, "invalid", "windows are heard in the recording itself: send it, do not name it")
    if not has_audio and not question.recording and not asked["like"] and not asked["artists"]:
        raise RefusedError(400, "no_audio", f"there is no recording, and nothing is liked: {SEND}, or name track ids")
    count = question.k or k
    if question.windows and count > MAX_HEARD:
        detail = f"k is {count}: at most {MAX_HEARD} with windows, each of which is heard"
        raise RefusedError(422, "invalid", detail)
    return asked | {"k": count}


def _named(body: bytes) -> Question:
    """The JSON object that names a recording.

    Raises
    ------
    RefusedError
        422 if it names none.
    """
    try:
        question = read_json(body)
    except ValueError as error:
        raise RefusedError(422, "invalid", str(error)) from None
    if not question.uri and not question.recording:
        raise RefusedError(400, "no_audio", 'there is no recording: upload one, or name one as {"uri": "https://..."}')
    return question


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("application/json")


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


def _limited(request: Request, limit: int) -> Request:
    """The request, read up to the limit."""
    allowed = limit + (MULTIPART_OVERHEAD if _is_form(request) else 0)
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > allowed:
        raise too_large(limit)
    return Request(request.scope, _ending_at(allowed, request.receive, too_large(limit)))


def _ending_at(allowed: int, receive: Receive, error: RefusedError) -> Receive:
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > allowed:
            raise error
        return message

    return counted


async def _parsed(request: Request, most_files: int, how: str) -> FormData:
    try:
        return await request.form(max_files=most_files, max_fields=MOST_FIELDS)
    except (MultiPartException, HTTPException) as error:
        detail = getattr(error, "message", None) or getattr(error, "detail", "")
        raise RefusedError(400, "bad_form", f"the form is broken ({detail}): {how}") from None


async def _read_form(request: Request, limit: int, needs_audio: bool) -> tuple[bytes, list[tuple[str, str]]]:
    """The audio of a form, b"" without one, and its other fields."""
    how = f"use curl -F {AUDIO_FIELD}=@song.mp3"
    form = await _parsed(request, 1, how)
    try:
        upload = form.get(AUDIO_FIELD)
        if not isinstance(upload, UploadFile) and (needs_audio or upload is not None):
            raise RefusedError(400, "no_audio", f"the form has no file {AUDIO_FIELD!r}: {how}")
        fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        if not isinstance(upload, UploadFile):
            return b"", fields
        if (upload.size or 0) > limit:
            raise too_large(limit)
        audio = await upload.read()
        if not audio:
            raise empty()
        return audio, fields
    finally:
        await form.close()
