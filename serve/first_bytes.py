"""The first bytes of an upload are looked at before the rest is taken."""

from __future__ import annotations

from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.problems import Exchange, RefusedError
from tonearm.audio.formats import LEAST_HEAD, is_known
from tonearm.audio.mpeg import LONGEST_JUNK

AUDIO_PATHS = ("/v1/classify", "/v1/playlists", "/v1/attributes", "/v1/recommend")  # to which recordings are sent
MOST_LOOKED_AT = 2 * LONGEST_JUNK  # bytes; what is not decided by then, for a large tag, is left to the decoder
OTHER_TYPES = ("application/json", "application/x-www-form-urlencoded")


class FirstBytes:
    """ASGI middleware: an upload that begins as none of the formats that are read is refused with 415 at once.

    Nothing is held back: the application gets each part of the body as it comes.

    Parameters
    ----------
    takes_audio
        Whether the body of a request is a recording, or a form with one.
    field
        Of forms, which holds the recording.
    """

    def __init__(self, app: ASGIApp, takes_audio: Callable[[Scope], bool], field: str = "audio") -> None:
        self._app, self._takes_audio, self._field = app, takes_audio, field

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        look = self._look(scope) if scope["type"] == "http" and self._takes_audio(scope) else None
        if look is None:
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)

        async def receive_known() -> Message:
            message = await exchange.receive()
            try:
                look(message.get("body", b""))
            except RuntimeError as error:
                detail = f"the upload is no audio that can be read: {error}"
                return await exchange.refuse(RefusedError(415, "undecodable", detail))
            return message

        await exchange.run(self._app, receive_known)

    def _look(self, scope: Scope) -> Callable[[bytes], None] | None:
        """What looks at the parts of a body; None where there is nothing to look at."""
        kind, options = parse_options_header(Headers(scope=scope).get("content-type", ""))
        if kind.lower() in (b"", *(other.encode() for other in OTHER_TYPES)):
            return None if kind else Head().add
        if kind.lower() != b"multipart/form-data":
            return Head().add
        return FormHead(options[b"boundary"], self._field).add if options.get(b"boundary") else None


class Head:
    """The first bytes of a file, until it is known what they begin."""

    def __init__(self) -> None:
        self._data, self._next, self.known = bytearray(), LEAST_HEAD, False

    def add(self, data: bytes) -> None:
        """Look at some more of the file.

        Raises
        ------
        RuntimeError
            If it is no recording.
        """
        if self.known:
            return
        self._data += data[: MOST_LOOKED_AT - len(self._data)]
        if len(self._data) >= self._next:
            self.known = is_known(bytes(self._data)) or len(self._data) >= MOST_LOOKED_AT
            self._next = min(MOST_LOOKED_AT, self._next + LONGEST_JUNK)


class FormHead:
    """The first bytes of the file in a form.

    Parameters
    ----------
    boundary
        Of the form's parts.
    field
        The name of the file's part.
    """

    def __init__(self, boundary: bytes, field: str) -> None:
        self._field, self._head, self._inside = field.encode(), Head(), False
        self._name, self._value = b"", b""
        self._broken = False
        self._parser = MultipartParser(boundary, {
            "on_part_begin": self._leave, "on_header_field": self._add_name, "on_header_value": self._add_value,
            "on_header_end": self._read_header, "on_part_data": self._add_data, "on_part_end": self._leave,
        })  # fmt: skip

    def add(self, data: bytes) -> None:
        """Look at some more of the form; what is wrong with its parts is the application's matter.

        Raises
        ------
        RuntimeError
            If the file is no recording.
        """
        if self._head.known or self._broken or not data:
            return
        try:
            self._parser.write(data)
        except FormParserError:
            self._broken = True

    def _leave(self) -> None:
        self._inside = False

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _read_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            options = parse_options_header(self._value)[1]
            self._inside = options.get(b"name") == self._field and b"filename" in options
        self._name = self._value = b""

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._head.add(data[start:end])
